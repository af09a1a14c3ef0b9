package ruleset

import (
	"cmp"
	"slices"
)

// sortByHash sorts entries in place. Hashes are spread evenly, so that buckets by their first bits are small and of a
// like size.
func sortByHash(entries []Entry) {
	const bits = 12
	byHash := func(a, b Entry) int { return cmp.Compare(a.Hash, b.Hash) }
	if len(entries) < 1<<bits {
		slices.SortFunc(entries, byHash)
		return
	}
	byBuckets(entries, bits, func(e Entry) int { return int(e.Hash >> (64 - bits)) }, func(some []Entry) {
		slices.SortFunc(some, byHash)
	})
}

// byBuckets moves items in place into the order of their buckets, 0 to 1<<bits-1, and gives each bucket to sort.
func byBuckets[T any](items []T, bits int, bucket func(T) int, sort func([]T)) {
	ends := make([]int, 1<<bits)
	next := make([]int, 1<<bits) // where the first item of a bucket is that may belong elsewhere
	for _, item := range items {
		ends[bucket(item)]++
	}
	sum := 0
	for b := range ends {
		next[b] = sum
		sum += ends[b]
		ends[b] = sum
	}
	for b := range ends {
		for next[b] < ends[b] {
			item := items[next[b]]
			for to := bucket(item); to != b; to = bucket(item) {
				item, items[next[to]] = items[next[to]], item
				next[to]++
			}
			items[next[b]] = item
			next[b]++
		}
	}
	begin := 0
	for _, end := range ends {
		if end-begin > 1 {
			sort(items[begin:end])
		}
		begin = end
	}
}
