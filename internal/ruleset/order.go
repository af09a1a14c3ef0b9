package ruleset

import (
	"cmp"
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
		s.names.tidy()
		for _, e := range s.names.list {
			if e.at == (slots{}) {
				continue
			}
			name, _ := pattern.FromSortKey(s.names.keys.get(e.key))
			for _, k := range kindOrder {
				if sl := e.at[k]; sl != 0 && !yield(pattern.Pattern{Kind: k, Name: name}, sl) {
					return
				}
			}
		}
		for p, sl := range s.others() {
			if !yield(p, sl) {
				return
			}
		}
	}
}

// others yields the patterns that are not for names, in the order of Rules.
func (s *Set) others() iter.Seq2[pattern.Pattern, slot] {
	return func(yield func(pattern.Pattern, slot) bool) {
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
