package ruleset

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sort"
)

// entry is what a set does with one name.
type entry struct {
	key uint32 // where its sort key is
	at  slots  // all 0: no rule is left
}

// names holds the entries of a set. As long as they come in the order of their keys, or few do not, the list is in this
// order and has no index. With an index the list's end may be out of order, until sort.
type names struct {
	keys   arena
	list   []entry
	sorted int      // so many from the first are in order
	index  []uint64 // open addressing, a power of two long: hash of a key << 32 | place in list + 1; 0 free; nil: none
	rules  int      // entries with rules
	pains  int      // what was done without an index
}

// patience is how many entries are inserted in the middle, or found by bisection, before an index is made.
const patience = 64

var hashSeed = maphash.MakeSeed()

func hashOf(key []byte) uint64 { return maphash.Bytes(hashSeed, key) &^ (1<<32 - 1) }

// grow makes room for n names.
func (n *names) grow(count int) { n.list = slices.Grow(n.list, count) }

// find returns the place of a key in the list.
func (n *names) find(key []byte) (place int, ok bool) {
	if n.index == nil {
		if n.pains++; n.pains <= patience+len(n.list)/16 {
			return n.bisect(key)
		}
		n.makeIndex()
	}
	_, place, ok = n.probe(key)
	return place, ok
}

// bisect finds a key, or where it belongs, in a list in order.
func (n *names) bisect(key []byte) (place int, ok bool) {
	return sort.Find(len(n.list), func(i int) int { return bytes.Compare(key, n.keys.get(n.list[i].key)) })
}

// probe finds a key, or where it belongs in the index.
func (n *names) probe(key []byte) (at, place int, ok bool) {
	hash := hashOf(key)
	mask := len(n.index) - 1
	for at = int(hash>>32) & mask; n.index[at] != 0; at = (at + 1) & mask {
		if n.index[at]&^(1<<32-1) != hash {
			continue
		}
		place = int(uint32(n.index[at])) - 1
		if bytes.Equal(n.keys.get(n.list[place].key), key) {
			return at, place, true
		}
	}
	return at, 0, false
}

func (n *names) makeIndex() {
	size := 64
	for 3*size < 4*max(len(n.list), cap(n.list)) {
		size *= 2
	}
	n.index = make([]uint64, size)
	for i, e := range n.list {
		n.enter(hashOf(n.keys.get(e.key)) | uint64(i+1))
	}
}

// enter puts what is not in it into the index.
func (n *names) enter(cell uint64) {
	mask := len(n.index) - 1
	at := int(cell>>32) & mask
	for n.index[at] != 0 {
		at = (at + 1) & mask
	}
	n.index[at] = cell
}

// entry returns the entry of a key, new if need be.
func (n *names) entry(key []byte) *entry {
	if n.index == nil {
		if e := n.inOrder(key); e != nil {
			return e
		}
		n.makeIndex()
	}
	at, place, ok := n.probe(key)
	if ok {
		return &n.list[place]
	}
	place = len(n.list)
	if n.sorted == place && (place == 0 || bytes.Compare(n.keys.get(n.list[place-1].key), key) < 0) {
		n.sorted++
	}
	n.list = append(n.list, entry{key: n.keys.add(key)})
	n.index[at] = hashOf(key) | uint64(place+1)
	if 4*len(n.list) > 3*len(n.index) {
		old := n.index
		n.index = make([]uint64, 2*len(old))
		for _, cell := range old {
			if cell != 0 {
				n.enter(cell)
			}
		}
	}
	return &n.list[place]
}

// inOrder is entry for a list in order without an index; nil: now an index pays.
func (n *names) inOrder(key []byte) *entry {
	place, ok := len(n.list), false
	if place > 0 {
		switch order := bytes.Compare(n.keys.get(n.list[place-1].key), key); {
		case order == 0:
			return &n.list[place-1]
		case order > 0:
			if n.pains++; n.pains > patience {
				return nil
			}
			place, ok = n.bisect(key)
		}
	}
	if !ok {
		n.list = slices.Insert(n.list, place, entry{key: n.keys.add(key)})
		n.sorted++
	}
	return &n.list[place]
}

// set gives one kind of an entry another slot.
func (n *names) set(e *entry, kind int, sl slot) {
	before := e.at == slots{}
	e.at[kind] = sl
	switch after := e.at == (slots{}); {
	case before && !after:
		n.rules++
	case after && !before:
		n.rules--
	}
}

// clone returns a copy that shares nothing that changes.
func (n *names) clone() names {
	c := *n
	c.keys = n.keys.clone()
	c.list = slices.Clone(n.list)
	c.index = slices.Clone(n.index)
	return c
}
