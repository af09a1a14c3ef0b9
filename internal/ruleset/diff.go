package ruleset

import (
	"bytes"
	"maps"
	"slices"

	"github.com/domain-route/domain-route/internal/pattern"
)

// ChangeKind is how a rule differs between two sets.
type ChangeKind uint8

// The kinds of change. Of an added rule From, of a removed one To is zero.
const (
	Added ChangeKind = iota + 1
	Removed
	Changed
)

// String returns "added", "removed" or "changed".
func (k ChangeKind) String() string {
	switch k {
	case Added:
		return "added"
	case Removed:
		return "removed"
	case Changed:
		return "changed"
	}
	return "none"
}

// Change is one rule's difference between two sets.
type Change struct {
	Kind      ChangeKind
	Pattern   pattern.Pattern
	Condition Condition
	From, To  Target
}

// Diff returns what makes s into to, in the order of Rules.
func (s *Set) Diff(to *Set) []Change {
	out := s.diffNames(to, nil)
	prefixes := slices.Collect(maps.Keys(s.prefixes))
	for p := range to.prefixes {
		if s.prefixes[p] == 0 {
			prefixes = append(prefixes, p)
		}
	}
	slices.SortFunc(prefixes, comparePrefixes)
	for _, p := range prefixes {
		out = s.changes(pattern.Pattern{Kind: pattern.Prefix, Prefix: p}, s.prefixes[p], to, to.prefixes[p], out)
	}
	out = s.changes(pattern.Pattern{Kind: pattern.Default, Name: pattern.Root}, s.def, to, to.def, out)
	return slices.Clip(out)
}

// diffNames walks over the names of both sets side by side.
func (s *Set) diffNames(to *Set, out []Change) []Change {
	s.names.tidy()
	to.names.tidy()
	a, b := s.names.list, to.names.list
	for len(a)+len(b) > 0 {
		var key []byte
		var from, with slots
		order := 0
		switch {
		case len(a) == 0:
			order = 1
		case len(b) == 0:
			order = -1
		default:
			order = bytes.Compare(s.names.keys.get(a[0].key), to.names.keys.get(b[0].key))
		}
		if order <= 0 {
			key, from, a = s.names.keys.get(a[0].key), a[0].at, a[1:]
		}
		if order >= 0 {
			key, with, b = to.names.keys.get(b[0].key), b[0].at, b[1:]
		}
		var name pattern.Name
		for _, k := range kindOrder {
			if s.same(from[k], to, with[k]) {
				continue
			}
			if name == "" {
				name, _ = pattern.FromSortKey(key)
			}
			out = s.changes(pattern.Pattern{Kind: k, Name: name}, from[k], to, with[k], out)
		}
	}
	return out
}

// same tells whether two slots of two sets say the same.
func (s *Set) same(a slot, to *Set, b slot) bool {
	for a&nodeBit != 0 && b&nodeBit != 0 {
		m, n := s.nodes[a&^nodeBit], to.nodes[b&^nodeBit]
		if m.cond != n.cond || s.target(m.then) != to.target(n.then) {
			return false
		}
		a, b = m.otherwise, n.otherwise
	}
	return (a|b)&nodeBit == 0 && s.target(targetID(a)) == to.target(targetID(b))
}

// changes appends how the rules of p differ.
func (s *Set) changes(p pattern.Pattern, from slot, to *Set, with slot, out []Change) []Change {
	begin := len(out)
	for c, id := range s.each(from) {
		switch other := to.of(with, c); {
		case other == 0:
			out = append(out, Change{Removed, p, c, s.target(id), Target{}})
		case s.target(id) != to.target(other):
			out = append(out, Change{Changed, p, c, s.target(id), to.target(other)})
		}
	}
	for c, id := range to.each(with) {
		if s.of(from, c) == 0 {
			out = append(out, Change{Added, p, c, Target{}, to.target(id)})
		}
	}
	slices.SortFunc(out[begin:], func(a, b Change) int { return a.Condition.compare(b.Condition) })
	return out
}
