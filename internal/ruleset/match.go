package ruleset

import (
	"bytes"
	"iter"
	"net/netip"

	"github.com/domain-route/domain-route/internal/pattern"
)

// The stages of a decision: the rules for the names that are learnt for an address, then the rules for the address, then
// the default. Each is asked on its own.

// MatchName returns the name rule that decides for n and w: Exact first, then the longest suffix, where for strict
// subdomains "*.x" comes before "x". A rule whose condition does not hold is as if it were not there. ok is false when
// no rule is left.
func (s *Set) MatchName(n pattern.Name, w Who) (r Rule, ok bool) {
	for name, at := range s.upwards(n) {
		kinds := [...]pattern.Kind{pattern.Subdomains, pattern.Suffix}
		if len(name) == len(n) {
			kinds[0] = pattern.Exact
		}
		for _, k := range kinds {
			if c, id := s.decide(at[k], w); id != 0 {
				return Rule{pattern.Pattern{Kind: k, Name: name}, c, s.target(id)}, true
			}
		}
	}
	return Rule{}, false
}

// Mentions tells whether some name rule is for n, whether its condition holds or not.
func (s *Set) Mentions(n pattern.Name) bool {
	for name, at := range s.upwards(n) {
		k := pattern.Subdomains
		if len(name) == len(n) {
			k = pattern.Exact
		}
		if at[k]|at[pattern.Suffix] != 0 {
			return true
		}
	}
	return false
}

// upwards yields n and the names above it that have rules, with their slots.
func (s *Set) upwards(n pattern.Name) iter.Seq2[pattern.Name, slots] {
	return func(yield func(pattern.Name, slots) bool) {
		var buf [keyRoom]byte
		key := n.AppendSortKey(buf[:0])
		for parent, ok := n.Parent(); ok; parent, ok = n.Parent() {
			if at := s.slotsOf(key); at != (slots{}) && !yield(n, at) {
				return
			}
			n = parent
			key = key[:bytes.LastIndexByte(key[:len(key)-1], 0)+1]
		}
	}
}

// MatchAddr returns the rule of the longest prefix that decides for a and w. An IPv4 address in IPv6 is the IPv4
// address, and a zone does not matter.
func (s *Set) MatchAddr(a netip.Addr, w Who) (r Rule, ok bool) {
	a = a.Unmap().WithZone("")
	if len(s.prefixes) == 0 {
		return Rule{}, false
	}
	for bits := a.BitLen(); bits >= 0; bits-- {
		p, err := a.Prefix(bits)
		if err != nil {
			break
		}
		if c, id := s.decide(s.prefixes[p], w); id != 0 {
			return Rule{pattern.Pattern{Kind: pattern.Prefix, Prefix: p}, c, s.target(id)}, true
		}
	}
	return Rule{}, false
}

// Default returns the default rule that decides for w.
func (s *Set) Default(w Who) (r Rule, ok bool) {
	c, id := s.decide(s.def, w)
	if id == 0 {
		return Rule{}, false
	}
	return Rule{pattern.Pattern{Kind: pattern.Default, Name: pattern.Root}, c, s.target(id)}, true
}
