package dataplane

import (
	"net/netip"
	"sync/atomic"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// book is what a rule set's numbers and hashes stand for.
type book struct {
	generation uint32
	set        *ruleset.Set
	targets    map[uint32]ruleset.Target
	condition  func(ruleset.Condition) uint32
}

// books reads rule sets as events come of them, without the lock. Of a rule set that was replaced before it was read nothing is
// known: numbers and hashes may mean something else in the next.
type books struct {
	system      *System
	last, prior *book
}

func (b *books) of(generation uint32) *book {
	for _, k := range []*book{b.last, b.prior} {
		if k != nil && k.generation == generation {
			return k
		}
	}
	if b.last != nil && int32(generation-b.last.generation) < 0 {
		return nil
	}
	k := b.system.readBook()
	if k == nil {
		return nil
	}
	if b.last == nil || b.last.generation != k.generation {
		b.last, b.prior = k, b.last
	}
	if k.generation != generation {
		return nil
	}
	return k
}

// readBook reads the rule set in force without the lock; nil: it was replaced meanwhile, each time.
func (s *System) readBook() *book {
	for range 3 {
		one := *s // whose rule set is that of one moment
		active := atomic.LoadUint64(&s.shared().Active)
		one.state.Active = active
		set, err := one.Rules()
		if err != nil {
			continue
		}
		targets, err := one.targets()
		if err == nil && atomic.LoadUint64(&s.shared().Active) == active {
			return &book{one.generation(), set, targets, s.conditionID}
		}
	}
	return nil
}

// ruleOf finds the rule that the kernel says decided, among those that are for what was asked, in order of precedence: the first
// with the condition that held. If none did, it may be that one did which changes nothing, and is not in the kernel: the first that
// holds for whom was asked, if it leads to the same.
func (k *book) ruleOf(h learnHit, candidates []ruleset.Candidate) (ruleset.Rule, bool) {
	target, ok := k.targets[uint32(h.Target)]
	if !ok {
		return ruleset.Rule{}, false
	}
	for _, c := range candidates {
		if c.Holds() && h.Condition == 0 {
			if c.Target == target {
				return c.Rule, true
			}
			break
		}
	}
	for _, c := range candidates {
		if k.condition(c.Condition) == h.Condition {
			return c.Rule, c.Target == target
		}
	}
	return ruleset.Rule{}, false
}

// candidates are the rules for what a verdict was about: `how` in bpf/abi.h.
func (k *book) candidates(how uint16, name pattern.Name, to netip.Addr, w ruleset.Who) []ruleset.Candidate {
	switch how {
	case byAddress:
		return k.set.CandidatesAddr(to, w)
	case byDefault:
		return k.set.CandidatesDefault(w)
	}
	return k.set.Candidates(name, w)
}

// enum how in bpf/abi.h.
const (
	byName = iota
	byAddress
	byDefault
	byNameBelow
)

// someBelow is a name below n that no rule is about.
func someBelow(n pattern.Name) pattern.Name { return "\x01\x00" + n }

// nameCache keeps texts of names by their hashes.
type nameCache struct {
	system *System
	known  map[uint64]pattern.Name
}

// cachedNames is how many names a watcher keeps.
const cachedNames = 8192

func (c *nameCache) of(hash uint64) pattern.Name {
	if hash == 0 {
		return ""
	}
	if n, ok := c.known[hash]; ok {
		return n
	}
	n, err := c.system.nameOf(hash)
	if err != nil || n == "" {
		return ""
	}
	if c.known == nil || len(c.known) >= cachedNames {
		c.known = map[uint64]pattern.Name{}
	}
	c.known[hash] = n
	return n
}
