package dataplane

import (
	"time"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// hitPatience is how much longer than looking up new rules' counts took a HitBook waits before it looks up others: with a million
// rules, all of which have to be hashed for it, that takes a good part of a second.
const hitPatience = 20

// A HitBook is Hits for who asks again and again. It reads the rules once for each rule set, and goes through them only where a
// rule has decided its first connection, and not often: such a rule may be missing for a while. It is for one goroutine.
type HitBook struct {
	of     RuleSetID
	set    *ruleset.Set
	former map[uint64]pattern.Name
	rules  map[learnHit]ruleset.Rule
	gone   map[learnHit]bool // counts of what is no rule
	next   time.Time         // when it may look up again
}

// RuleSetID tells rule sets apart. Generations alone do not: they begin anew with each start, and who looks once a second
// may not see that there was one.
type RuleSetID struct {
	key        pattern.HashKey // another with each start
	generation uint32
}

// RuleSetID is that of the rule set in force.
func (s *System) RuleSetID() RuleSetID { return RuleSetID{s.key(), s.generation()} }

// Read is Hits, in no order.
func (b *HitBook) Read(s *System) ([]Hit, error) {
	raw, err := s.rawHits()
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	if id := s.RuleSetID(); b.set == nil || b.of != id {
		set, err := s.Rules()
		if err != nil {
			return nil, err
		}
		*b = HitBook{of: id, set: set, former: s.former, rules: map[learnHit]ruleset.Rule{}, gone: map[learnHit]bool{}}
	}
	unknown := map[learnHit]uint64{}
	for h := range raw {
		if _, known := b.rules[h]; !known && !b.gone[h] {
			unknown[h] = 0
		}
	}
	if begun := time.Now(); len(unknown) > 0 && begun.After(b.next) {
		if err := b.lookUp(s, unknown); err != nil {
			return nil, err
		}
		b.next = time.Now().Add(hitPatience * time.Since(begun))
	}
	sums := map[ruleset.Rule]uint64{}
	for h, n := range raw {
		if r, ok := b.rules[h]; ok {
			sums[r] += n
		}
	}
	hits := make([]Hit, 0, len(sums))
	for r, n := range sums {
		hits = append(hits, Hit{r, n})
	}
	return hits, nil
}

// lookUp finds the rules of counts.
func (b *HitBook) lookUp(s *System, unknown map[learnHit]uint64) error {
	targets, err := s.targets()
	if err != nil {
		return err
	}
	s.former = b.former
	k := &book{b.of.generation, b.set, targets, s.conditionID}
	at := s.meanings(b.set, unknown)
	for h := range unknown {
		if r, ok := k.ruleOfHit(h, at); ok {
			b.rules[h] = r
		} else {
			b.gone[h] = true
		}
	}
	return nil
}
