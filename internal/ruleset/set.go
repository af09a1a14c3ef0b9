package ruleset

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/domain-route/domain-route/internal/pattern"
)

// Rule sends what its pattern is for to a target, if its condition holds.
type Rule struct {
	Pattern   pattern.Pattern
	Condition Condition
	Target    Target
}

// slots are those of one name, by pattern kind: Suffix, Subdomains, Exact.
type slots [3]slot

// Set is a set of rules with at most one for each pattern and condition. The zero value is empty.
// It is not safe for use by several goroutines, not even for reading.
//
// A million rules have few targets and conditions, so that rules hold small numbers instead, and the patterns of one
// name share one entry.
type Set struct {
	names    names
	prefixes map[netip.Prefix]slot
	def      slot
	rules    int
	targets  []Target // never shrinks; what no rule uses any more does not show
	ids      map[Target]targetID
	nodes    []node // likewise
	nodeIDs  map[node]slot
	sweepAt  int // so many nodes are worth a look for those in no use
}

// New returns a set of the given rules; of two with one pattern and condition the later stays.
func New(rules ...Rule) *Set {
	s := &Set{}
	s.names.grow(len(rules))
	for _, r := range rules {
		s.Add(r)
	}
	return s
}

// Add puts r in the set, in place of the rule with the same pattern and condition if there is one. A set with more than
// MaxChoices conditions for one pattern does not compile.
func (s *Set) Add(r Rule) (old Target, replaced bool) {
	id := s.put(r.Pattern, r.Condition, s.intern(r.Target))
	return s.target(id), id != 0
}

// put sets the target of p where c holds and returns the one before.
func (s *Set) put(p pattern.Pattern, c Condition, id targetID) (old targetID) {
	s.sweep()
	switch p.Kind {
	case pattern.Default:
		s.def, old = s.with(s.def, c, id)
	case pattern.Prefix:
		if s.prefixes == nil {
			s.prefixes = make(map[netip.Prefix]slot)
		}
		s.prefixes[p.Prefix], old = s.with(s.prefixes[p.Prefix], c, id)
	default:
		var buf [keyRoom]byte
		return s.putKey(p.Kind, p.Name.AppendSortKey(buf[:0]), c, id)
	}
	if old == 0 {
		s.rules++
	}
	return old
}

// keyRoom is enough for nearly every key.
const keyRoom = 256

// putKey is put for a pattern of names.
func (s *Set) putKey(k pattern.Kind, key []byte, c Condition, id targetID) (old targetID) {
	s.sweep()
	e := s.names.entry(key)
	sl, old := s.with(e.at[k], c, id)
	s.names.set(e, int(k), sl)
	if old == 0 {
		s.rules++
	}
	return old
}

// slots returns the slots of n, all 0 when no rule is about it.
func (s *Set) slots(n pattern.Name) slots {
	var buf [keyRoom]byte
	return s.slotsOf(n.AppendSortKey(buf[:0]))
}

func (s *Set) slotsOf(key []byte) slots {
	if i, ok := s.names.find(key); ok {
		return s.names.list[i].at
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

// slot returns what s does with p.
func (s *Set) slot(p pattern.Pattern) slot {
	switch p.Kind {
	case pattern.Default:
		return s.def
	case pattern.Prefix:
		return s.prefixes[p.Prefix]
	}
	return s.slots(p.Name)[p.Kind]
}

// Del removes the rule of exactly p and c and tells whether there was one.
func (s *Set) Del(p pattern.Pattern, c Condition) bool {
	s.sweep()
	sl, old := s.with(s.slot(p), c, 0)
	if old == 0 {
		return false
	}
	s.rules--
	switch p.Kind {
	case pattern.Default:
		s.def = sl
	case pattern.Prefix:
		s.prefixes[p.Prefix] = sl
		if sl == 0 {
			delete(s.prefixes, p.Prefix)
		}
	default:
		var buf [keyRoom]byte
		i, _ := s.names.find(p.Name.AppendSortKey(buf[:0]))
		s.names.set(&s.names.list[i], int(p.Kind), sl)
		if dead := len(s.names.list) - s.names.rules; dead > patience+s.names.rules {
			s.names.tidy()
		}
	}
	return true
}

// Get returns the target of the rule of exactly p and c.
func (s *Set) Get(p pattern.Pattern, c Condition) (Target, bool) {
	id := s.of(s.slot(p), c)
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
	c.names = s.names.clone()
	c.prefixes = maps.Clone(s.prefixes)
	c.nodes = slices.Clone(s.nodes)
	c.nodeIDs = maps.Clone(s.nodeIDs)
	c.ids = maps.Clone(s.ids)
	c.targets = slices.Clone(s.targets)
	return &c
}
