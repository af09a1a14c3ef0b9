package ruleset

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// tidy brings the list in order and drops entries without rules when they are many. Keys lie in the order of the list
// then, so that walks over all of them read memory in one direction.
func (n *names) tidy() {
	dead := len(n.list) - n.rules
	if tail := len(n.list) - n.sorted; tail <= patience && dead <= patience+n.rules {
		if tail > 0 {
			n.insertTail()
		}
		return
	}
	order := n.order()
	out := names{list: make([]entry, len(order)), rules: n.rules}
	out.keys.chunks = make([][]byte, 0, len(n.keys.chunks))
	for i, r := range order {
		e := n.list[r.item]
		out.list[i] = entry{out.keys.add(n.keys.get(e.key)), e.at}
	}
	out.sorted = len(out.list)
	*n = out
}

// insertTail moves the few entries that are out of order to their places.
func (n *names) insertTail() {
	tail := slices.Clone(n.list[n.sorted:])
	n.list, n.index, n.pains = n.list[:n.sorted], nil, 0
	for _, e := range tail {
		place, _ := n.bisect(n.keys.get(e.key))
		n.list = slices.Insert(n.list, place, e)
	}
	n.sorted = len(n.list)
}

// record is an entry with the beginning of its key, which keeps most comparisons out of scattered memory.
type record struct {
	lead uint64 // bytes 4 to 11 of the key
	top  uint32 // bytes 0 to 3, mostly "com\0"
	item uint32 // place in the list
}

// leadSize is how many bytes of a key a record has.
const leadSize = 12

func (r record) byte(i int) byte {
	if i < 4 {
		return byte(r.top >> (24 - 8*i))
	}
	return byte(r.lead >> (56 - 8*(i-4)))
}

// order returns the entries with rules in the order of their keys.
func (n *names) order() []record {
	records := make([]record, 0, n.rules)
	for i, e := range n.list {
		if e.at == (slots{}) {
			continue
		}
		var lead [leadSize]byte
		copy(lead[:], n.keys.get(e.key))
		records = append(records, record{
			lead: binary.BigEndian.Uint64(lead[4:]),
			top:  binary.BigEndian.Uint32(lead[:4]),
			item: uint32(i),
		})
	}
	n.sortRecords(records, 0)
	return records
}

// smallBucket is how few records are better sorted by comparing.
const smallBucket = 256

// sortRecords sorts records whose first bytes are the same: by their next byte first, if they are many.
func (n *names) sortRecords(records []record, same int) {
	if len(records) > smallBucket && same < leadSize {
		byBuckets(records, 8, func(r record) int { return int(r.byte(same)) }, func(some []record) { n.sortRecords(some, same+1) })
		return
	}
	slices.SortFunc(records, func(a, b record) int {
		if c := cmp.Compare(a.top, b.top); c != 0 {
			return c
		}
		if c := cmp.Compare(a.lead, b.lead); c != 0 {
			return c
		}
		return bytes.Compare(n.keys.get(n.list[a.item].key), n.keys.get(n.list[b.item].key))
	})
}
