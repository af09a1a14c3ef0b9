package ruleset

import (
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
	// The patterns that differ, as a set: its order is that of Rules.
	var differ Set
	for _, e := range s.entries {
		others := to.slots(e.name)
		for k, sl := range e.at {
			if !s.same(sl, to, others[k]) {
				differ.put(pattern.Pattern{Kind: pattern.Kind(k), Name: e.name}, Condition{}, 1)
			}
		}
	}
	for _, e := range to.entries {
		others := s.slots(e.name)
		for k, sl := range e.at {
			if sl != 0 && others[k] == 0 {
				differ.put(pattern.Pattern{Kind: pattern.Kind(k), Name: e.name}, Condition{}, 1)
			}
		}
	}
	for p, sl := range s.prefixes {
		if !s.same(sl, to, to.prefixes[p]) {
			differ.put(pattern.Pattern{Kind: pattern.Prefix, Prefix: p}, Condition{}, 1)
		}
	}
	for p := range to.prefixes {
		if s.prefixes[p] == 0 {
			differ.put(pattern.Pattern{Kind: pattern.Prefix, Prefix: p}, Condition{}, 1)
		}
	}
	if !s.same(s.def, to, to.def) {
		differ.def = 1
	}
	var out []Change
	for p := range differ.ordered() {
		out = s.changes(to, p, out)
	}
	return slices.Clip(out)
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
func (s *Set) changes(to *Set, p pattern.Pattern, out []Change) []Change {
	begin, from, with := len(out), s.slot(p), to.slot(p)
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
