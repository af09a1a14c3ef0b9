package ruleset

import (
	"net/netip"

	"github.com/domain-route/domain-route/internal/pattern"
)

// The stages of a decision: the rules for the names that are learnt for an address, then the rules for the address, then
// the default. Each is asked on its own.

// MatchName returns the name rule that decides for n and w: Exact first, then the longest suffix, where for strict
// subdomains "*.x" comes before "x". A rule whose condition does not hold is as if it were not there. ok is false when
// no rule is left.
func (s *Set) MatchName(n pattern.Name, w Who) (r Rule, ok bool) {
	if r, ok := s.first(n, w, pattern.Exact, pattern.Suffix); ok {
		return r, true
	}
	for p, ok := n.Parent(); ok; p, ok = p.Parent() {
		if r, ok := s.first(p, w, pattern.Subdomains, pattern.Suffix); ok {
			return r, true
		}
	}
	return Rule{}, false
}

// first returns the rule of n for the first of the two kinds that has one for w.
func (s *Set) first(n pattern.Name, w Who, kinds ...pattern.Kind) (Rule, bool) {
	at := s.slots(n)
	for _, k := range kinds {
		if c, id := s.decide(at[k], w); id != 0 {
			return Rule{pattern.Pattern{Kind: k, Name: n}, c, s.target(id)}, true
		}
	}
	return Rule{}, false
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

// Mentions tells whether some name rule is for n, whether its condition holds or not.
func (s *Set) Mentions(n pattern.Name) bool {
	if at := s.slots(n); at[pattern.Exact]|at[pattern.Suffix] != 0 {
		return true
	}
	for p, ok := n.Parent(); ok; p, ok = p.Parent() {
		if at := s.slots(p); at[pattern.Subdomains]|at[pattern.Suffix] != 0 {
			return true
		}
	}
	return false
}
