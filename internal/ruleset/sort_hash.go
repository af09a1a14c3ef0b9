package ruleset

import (
	"cmp"
	"slices"
)

// hashBits is how many of the highest bits of a hash choose its bucket.
const hashBits = 12

// sortByHash sorts entries in place. Hashes are spread evenly, so that buckets by their first bits are small and of a
// like size.
func sortByHash(entries []Entry) {
	bucket := func(e Entry) uint64 { return e.Hash >> (64 - hashBits) }
	byHash := func(a, b Entry) int { return cmp.Compare(a.Hash, b.Hash) }
	if len(entries) < 1<<hashBits {
		slices.SortFunc(entries, byHash)
		return
	}
	var ends, next [1 << hashBits]int // next: where a bucket's first entry is that may belong elsewhere
	for _, e := range entries {
		ends[bucket(e)]++
	}
	sum := 0
	for b := range ends {
		next[b] = sum
		sum += ends[b]
		ends[b] = sum
	}
	for b := range ends {
		for next[b] < ends[b] {
			e := entries[next[b]]
			for to := bucket(e); to != uint64(b); to = bucket(e) {
				e, entries[next[to]] = entries[next[to]], e
				next[to]++
			}
			entries[next[b]] = e
			next[b]++
		}
	}
	begin := 0
	for _, end := range ends {
		slices.SortFunc(entries[begin:end], byHash)
		begin = end
	}
}
