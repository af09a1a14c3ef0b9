package ruleset

import (
	"maps"
	"slices"

	"github.com/domain-route/domain-route/internal/pattern"
)

// Rule sends the names of a pattern to a target.
type Rule struct {
	Pattern pattern.Pattern
	Target  Target
}

// targetID is a target's place in Set.targets plus one; 0 is none.
type targetID uint32

// slots are the targets of one name, by pattern kind: Suffix, Subdomains, Exact.
type slots [3]targetID

type entry struct {
	name pattern.Name
	at   slots
}

// Set is a set of rules with at most one for each pattern. The zero value is empty.
// It is not safe for use by several goroutines when one of them writes.
//
// A million rules have few targets, so that rules hold small numbers instead, and
// the patterns of one name share one entry. Entries lie in a slice for the sake of
// walks over all of them, which are bound by memory.
type Set struct {
	entries []entry
	index   map[pattern.Name]uint32 // into entries
	def     targetID
	rules   int
	targets []Target // never shrinks; what no rule uses any more does not show
	ids     map[Target]targetID
}

// New returns a set of the given rules; of two with one pattern the later stays.
func New(rules ...Rule) *Set {
	s := &Set{}
	s.grow(len(rules))
	for _, r := range rules {
		s.Add(r)
	}
	return s
}

// grow makes an empty set ready for n names.
func (s *Set) grow(n int) {
	s.entries = make([]entry, 0, n)
	s.index = make(map[pattern.Name]uint32, n)
}

// Add puts r in the set, in place of the rule with the same pattern if there is one.
func (s *Set) Add(r Rule) (old Target, replaced bool) {
	id := s.put(r.Pattern, s.intern(r.Target))
	return s.target(id), id != 0
}

// put sets the target of p and returns the one before.
func (s *Set) put(p pattern.Pattern, id targetID) (old targetID) {
	if p.Kind == pattern.Default {
		old, s.def = s.def, id
	} else {
		at := &s.entry(p.Name).at[p.Kind]
		old, *at = *at, id
	}
	if old == 0 {
		s.rules++
	}
	return old
}

// entry returns the entry of n, new if need be.
func (s *Set) entry(n pattern.Name) *entry {
	i, ok := s.index[n]
	if !ok {
		if s.index == nil {
			s.index = make(map[pattern.Name]uint32)
		}
		i = uint32(len(s.entries))
		s.index[n] = i
		s.entries = append(s.entries, entry{name: n})
	}
	return &s.entries[i]
}

// slots returns the targets of n, all 0 when no rule is about it.
func (s *Set) slots(n pattern.Name) slots {
	if i, ok := s.index[n]; ok {
		return s.entries[i].at
	}
	return slots{}
}

// intern returns the number of t, new if need be.
func (s *Set) intern(t Target) targetID {
	if n := len(s.targets); n > 0 && s.targets[n-1] == t {
		return targetID(n)
	}
	if id, ok := s.ids[t]; ok {
		return id
	}
	if s.ids == nil {
		s.ids = make(map[Target]targetID)
	}
	s.targets = append(s.targets, t)
	id := targetID(len(s.targets))
	s.ids[t] = id
	return id
}

func (s *Set) target(id targetID) Target {
	if id == 0 {
		return Target{}
	}
	return s.targets[id-1]
}

// id returns the number of the target of p, 0 when there is no such rule.
func (s *Set) id(p pattern.Pattern) targetID {
	if p.Kind == pattern.Default {
		return s.def
	}
	return s.slots(p.Name)[p.Kind]
}

// Del removes the rule of p and tells whether there was one.
func (s *Set) Del(p pattern.Pattern) bool {
	if s.id(p) == 0 {
		return false
	}
	s.rules--
	if p.Kind == pattern.Default {
		s.def = 0
		return true
	}
	i := s.index[p.Name]
	s.entries[i].at[p.Kind] = 0
	if s.entries[i].at == (slots{}) {
		s.drop(i)
	}
	return true
}

// drop removes entry i; the last one takes its place.
func (s *Set) drop(i uint32) {
	last := len(s.entries) - 1
	delete(s.index, s.entries[i].name)
	if int(i) != last {
		s.entries[i] = s.entries[last]
		s.index[s.entries[i].name] = i
	}
	s.entries[last] = entry{}
	s.entries = s.entries[:last]
}

// Get returns the target of the rule of exactly p.
func (s *Set) Get(p pattern.Pattern) (Target, bool) {
	id := s.id(p)
	return s.target(id), id != 0
}

// Targets returns the distinct targets of all rules, in no particular order; after Del it may hold targets that
// no rule has any more.
func (s *Set) Targets() []Target { return slices.Clone(s.targets) }

// Len returns the number of rules.
func (s *Set) Len() int { return s.rules }

// Clone returns a copy that shares nothing with s that changes.
func (s *Set) Clone() *Set {
	c := *s
	c.entries = slices.Clone(s.entries)
	c.index = maps.Clone(s.index)
	c.ids = maps.Clone(s.ids)
	c.targets = slices.Clone(s.targets)
	return &c
}

// Match returns the rule that decides for n: Exact first, then the longest suffix,
// where for strict subdomains "*.x" comes before "x", then Default. ok is false
// when no rule matches.
func (s *Set) Match(n pattern.Name) (r Rule, ok bool) {
	if r, ok := s.first(n, pattern.Exact, pattern.Suffix); ok {
		return r, true
	}
	for p, ok := n.Parent(); ok; p, ok = p.Parent() {
		if r, ok := s.first(p, pattern.Subdomains, pattern.Suffix); ok {
			return r, true
		}
	}
	if s.def == 0 {
		return Rule{}, false
	}
	return Rule{pattern.Pattern{Kind: pattern.Default, Name: pattern.Root}, s.target(s.def)}, true
}

// first returns the rule of n for the first of the two kinds that has one.
func (s *Set) first(n pattern.Name, kinds ...pattern.Kind) (Rule, bool) {
	at := s.slots(n)
	for _, k := range kinds {
		if at[k] != 0 {
			return Rule{pattern.Pattern{Kind: k, Name: n}, s.target(at[k])}, true
		}
	}
	return Rule{}, false
}
