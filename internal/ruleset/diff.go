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
	Kind     ChangeKind
	Pattern  pattern.Pattern
	From, To Target
}

// Diff returns what makes s into to, in the order of Rules.
func (s *Set) Diff(to *Set) []Change {
	// The patterns that differ, as a set: its order is that of Rules.
	var differ Set
	for _, e := range s.entries {
		others := to.slots(e.name)
		for k, id := range e.at {
			if id != 0 && (others[k] == 0 || s.target(id) != to.target(others[k])) {
				differ.put(pattern.Pattern{Kind: pattern.Kind(k), Name: e.name}, 1)
			}
		}
	}
	for _, e := range to.entries {
		others := s.slots(e.name)
		for k, id := range e.at {
			if id != 0 && others[k] == 0 {
				differ.put(pattern.Pattern{Kind: pattern.Kind(k), Name: e.name}, 1)
			}
		}
	}
	if s.target(s.def) != to.target(to.def) {
		differ.def = 1
	}
	var out []Change
	for p := range differ.ordered() {
		out = append(out, s.change(to, p))
	}
	return slices.Clip(out)
}

func (s *Set) change(to *Set, p pattern.Pattern) Change {
	from, had := s.Get(p)
	target, has := to.Get(p)
	kind := Changed
	switch {
	case !had:
		kind = Added
	case !has:
		kind = Removed
	}
	return Change{kind, p, from, target}
}
