package ruleset

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/domain-route/domain-route/internal/pattern"
)

// kindOrder is the order of the rules of one name.
var kindOrder = [...]pattern.Kind{pattern.Exact, pattern.Suffix, pattern.Subdomains}

// Rules returns all rules in a stable order: by name, label by label from the right, so that siblings stand together; for
// one name Exact, Suffix, Subdomains; then prefixes by address and length, IPv4 first; Default last. The rules of one
// pattern stand in the order in which they decide.
func (s *Set) Rules() []Rule {
	out := make([]Rule, 0, s.rules)
	for r := range s.All() {
		out = append(out, r)
	}
	return out
}

// All yields the rules in the order of Rules. The set must not be changed meanwhile.
func (s *Set) All() iter.Seq[Rule] {
	return func(yield func(Rule) bool) {
		for p, sl := range s.ordered() {
			for c, id := range s.each(sl) {
				if !yield(Rule{p, c, s.target(id)}) {
					return
				}
			}
		}
	}
}

// ordered yields the patterns in the order of Rules.
func (s *Set) ordered() iter.Seq2[pattern.Pattern, slot] {
	return func(yield func(pattern.Pattern, slot) bool) {
		for _, n := range s.sorted() {
			for _, k := range kindOrder {
				if sl := n.at[k]; sl != 0 && !yield(pattern.Pattern{Kind: k, Name: n.name}, sl) {
					return
				}
			}
		}
		for _, p := range s.sortedPrefixes() {
			if !yield(pattern.Pattern{Kind: pattern.Prefix, Prefix: p}, s.prefixes[p]) {
				return
			}
		}
		if s.def != 0 {
			yield(pattern.Pattern{Kind: pattern.Default, Name: pattern.Root}, s.def)
		}
	}
}

// sortedPrefixes returns the prefixes, each before those it covers.
func (s *Set) sortedPrefixes() []netip.Prefix {
	return slices.SortedFunc(maps.Keys(s.prefixes), comparePrefixes)
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// sorted returns the entries of s by the keys of their names. Sorting small records that carry
// the first bytes of the key keeps most comparisons out of scattered memory.
func (s *Set) sorted() []entry {
	type record struct {
		lead uint64 // bytes 4 to 11 of the key
		top  uint32 // bytes 0 to 3, mostly "com\0"
		item uint32 // index into entries and ends
	}
	records := make([]record, 0, len(s.entries))
	ends := make([]int, 1, len(s.entries)+1)
	keys := make([]byte, 0, 24*len(s.entries))
	for i, e := range s.entries {
		begin := len(keys)
		keys = e.name.AppendSortKey(keys)
		var lead [12]byte
		copy(lead[:], keys[begin:])
		records = append(records, record{
			lead: binary.BigEndian.Uint64(lead[4:]),
			top:  binary.BigEndian.Uint32(lead[:4]),
			item: uint32(i),
		})
		ends = append(ends, len(keys))
	}
	slices.SortFunc(records, func(a, b record) int {
		if c := cmp.Compare(a.top, b.top); c != 0 {
			return c
		}
		if c := cmp.Compare(a.lead, b.lead); c != 0 {
			return c
		}
		return bytes.Compare(keys[ends[a.item]:ends[a.item+1]], keys[ends[b.item]:ends[b.item+1]])
	})
	out := make([]entry, len(records))
	for i, r := range records {
		out[i] = s.entries[r.item]
	}
	return out
}
