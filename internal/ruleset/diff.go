package ruleset

import (
	"bytes"
	"iter"
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
func (s *Set) Diff(to *Set) []Change { return slices.Collect(s.Changes(to)) }

// Changes yields what Diff returns, one by one: there may be a million. The sets must not be changed meanwhile.
func (s *Set) Changes(to *Set) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		var of []Change // of one pattern
		for d := range s.different(to) {
			of = s.changes(d.p, d.from, to, d.with, of[:0])
			for _, c := range of {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// difference is a pattern for which two sets say different things.
type difference struct {
	p          pattern.Pattern
	from, with slot
}

// different yields the patterns that differ.
func (s *Set) different(to *Set) iter.Seq[difference] {
	return func(yield func(difference) bool) {
		for d := range s.differentNames(to) {
			if !yield(d) {
				return
			}
		}
		prefixes := slices.Collect(maps.Keys(s.prefixes))
		for p := range to.prefixes {
			if s.prefixes[p] == 0 {
				prefixes = append(prefixes, p)
			}
		}
		slices.SortFunc(prefixes, comparePrefixes)
		for _, p := range prefixes {
			d := difference{pattern.Pattern{Kind: pattern.Prefix, Prefix: p}, s.prefixes[p], to.prefixes[p]}
			if !s.same(d.from, to, d.with) && !yield(d) {
				return
			}
		}
		if !s.same(s.def, to, to.def) {
			yield(difference{pattern.Pattern{Kind: pattern.Default, Name: pattern.Root}, s.def, to.def})
		}
	}
}

// differentNames walks over the names of both sets side by side.
func (s *Set) differentNames(to *Set) iter.Seq[difference] {
	return func(yield func(difference) bool) {
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
				if !yield(difference{pattern.Pattern{Kind: k, Name: name}, from[k], with[k]}) {
					return
				}
			}
		}
	}
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
