package ruleset

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/domain-route/domain-route/internal/pattern"
)

// What the kernel side does with a Compiled, stage by stage.

// MatchName looks up the SuffixHashes of a name, from the longest suffix down, and returns the number of the deciding
// target, with the hash of the suffix whose entry decided. Both are 0 when there is no entry for the name; the target
// alone is 0 when no condition holds: the next stage decides.
func (c Compiled) MatchName(hashes []uint64, w Who) (target Ref, rule uint64) {
	for i := len(hashes) - 1; i > 0; i-- {
		at, ok := c.find(hashes[i])
		if !ok {
			continue
		}
		ref := c.Entries[at].Sub
		if i == len(hashes)-1 {
			ref = c.Entries[at].Apex
		}
		if ref != 0 {
			return c.decide(ref, w), hashes[i]
		}
	}
	return 0, 0
}

// HasEntry tells whether there is an entry for the name of a hash.
func (c Compiled) HasEntry(hash uint64) bool {
	_, ok := c.find(hash)
	return ok
}

// Inherited is what the entries above a name lead it and the names below it to, given the SuffixHashes of the name.
func (c Compiled) Inherited(hashes []uint64) Ref {
	for i := len(hashes) - 2; i > 0; i-- {
		if at, ok := c.find(hashes[i]); ok {
			return c.Entries[at].Sub
		}
	}
	return 0
}

func (c Compiled) find(hash uint64) (at int, ok bool) {
	return slices.BinarySearchFunc(c.Entries, hash, func(e Entry, h uint64) int { return cmp.Compare(e.Hash, h) })
}

// MatchAddr returns the number of the target of the longest prefix that covers an address, 0 when there is none or no
// condition holds.
func (c Compiled) MatchAddr(a netip.Addr, w Who) Ref {
	a = a.Unmap().WithZone("")
	for bits := a.BitLen(); bits >= 0; bits-- {
		p, err := a.Prefix(bits)
		if err != nil {
			return 0
		}
		at, ok := slices.BinarySearchFunc(c.Prefixes, p, func(e PrefixEntry, p netip.Prefix) int {
			return comparePrefixes(e.Prefix, p)
		})
		if ok {
			return c.decide(c.Prefixes[at].To, w)
		}
	}
	return 0
}

// NamesOf returns the names of s with rules that have one of these hashes, by hash.
func (s *Set) NamesOf(hashes map[uint64]bool, key pattern.HashKey) map[uint64]pattern.Name {
	found := map[uint64]pattern.Name{}
	for _, e := range s.names.list {
		n, ok := pattern.FromSortKey(s.names.keys.get(e.key))
		if !ok || e.at == (slots{}) {
			continue
		}
		if h := key.Hash(n); hashes[h] {
			found[h] = n
		}
	}
	return found
}

// MatchDefault returns the number of the default's target, 0 when there is none or no condition holds.
func (c Compiled) MatchDefault(w Who) Ref { return c.decide(c.Default, w) }
