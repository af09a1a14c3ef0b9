package dataplane

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// Hit is how many connections a rule decided.
type Hit struct {
	Rule  ruleset.Rule
	Count uint64
}

// Hits are the rules in force that decided at least one connection since start, or since the rule came: the most first. A datagram
// counts where its socket was bound or marked for it, or it was refused.
//
// The kernel has no rules, but where suffixes and prefixes lead. So connections count for the less specific rule where a rule
// changes nothing and is left out; and go on counting for the rule that took the place of one that led to the same.
func (s *System) Hits() ([]Hit, error) {
	raw, err := s.rawHits()
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	set, err := s.Rules()
	if err != nil {
		return nil, err
	}
	return s.hitsOf(set, raw)
}

// HitsOf is Hits for who has read the rule set in force already.
func (s *System) HitsOf(inForce *ruleset.Set) ([]Hit, error) {
	raw, err := s.rawHits()
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	return s.hitsOf(inForce, raw)
}

func (s *System) rawHits() (map[learnHit]uint64, error) {
	all := map[learnHit]uint64{}
	err := each(s.maps[learnMapHits], func(h learnHit, n uint64) { all[h] = n })
	if err != nil {
		return nil, fmt.Errorf("count connections: %w", err)
	}
	return all, nil
}

func (s *System) hitsOf(set *ruleset.Set, raw map[learnHit]uint64) ([]Hit, error) {
	targets, err := s.targets()
	if err != nil {
		return nil, err
	}
	k := &book{s.generation(), set, targets, s.conditionID}
	at := s.meanings(set, raw)
	sums := map[ruleset.Rule]uint64{}
	for h, n := range raw {
		if r, ok := k.ruleOfHit(h, at); ok {
			sums[r] += n
		}
	}
	hits := make([]Hit, 0, len(sums))
	for r, n := range sums {
		hits = append(hits, Hit{r, n})
	}
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Rule.Pattern.String(), b.Rule.Pattern.String()),
			cmp.Compare(a.Rule.Condition.String(), b.Rule.Condition.String()))
	})
	return hits, nil
}

// meanings are the names and prefixes that hashes stand for.
type meanings struct {
	names    map[uint64]pattern.Name
	prefixes map[uint64]netip.Prefix
}

func (s *System) meanings(set *ruleset.Set, raw map[learnHit]uint64) meanings {
	m := meanings{map[uint64]pattern.Name{}, map[uint64]netip.Prefix{}}
	names, prefixes := map[uint64]bool{}, false
	for h := range raw {
		switch h.How {
		case byName, byNameBelow:
			names[h.Rule] = true
		case byAddress:
			prefixes = true
		}
	}
	if len(names) > 0 {
		m.names = set.NamesOf(names, s.key())
	}
	for hash, n := range s.former { // they have entries, but no rules
		if m.names[hash] == "" && n != "" {
			m.names[hash] = n
		}
	}
	if prefixes {
		for _, p := range set.Prefixes() {
			m.prefixes[s.prefixID(p)] = p
		}
	}
	return m
}

// ruleOfHit finds the rule of a count; false: it is gone, and its count soon will be.
func (k *book) ruleOfHit(h learnHit, m meanings) (ruleset.Rule, bool) {
	who := ruleset.Who{UID: nobody}
	switch h.How {
	case byDefault:
		return k.ruleOf(h, k.set.CandidatesDefault(who))
	case byAddress:
		p, ok := m.prefixes[h.Rule]
		if !ok {
			return ruleset.Rule{}, false
		}
		var covering []ruleset.Candidate
		for _, c := range k.set.CandidatesAddr(p.Addr(), who) {
			if c.Pattern.Prefix.Bits() <= p.Bits() {
				covering = append(covering, c)
			}
		}
		return k.ruleOf(h, covering)
	}
	n, ok := m.names[h.Rule]
	if !ok {
		return ruleset.Rule{}, false
	}
	if h.How == byNameBelow {
		n = someBelow(n)
	}
	return k.ruleOf(h, k.set.Candidates(n, who))
}

// forgetHits forgets the counts of what is not in a rule set, given as the kernel has it: a target's number may be another
// target's one day. Called when no program goes by an earlier one any more.
func (s *System) forgetHits(in *staged) error {
	raw, err := s.rawHits()
	if err != nil || len(raw) == 0 {
		return err
	}
	if in == nil {
		if in, err = s.inForceStaged(); err != nil {
			return err
		}
	}
	refs := in.refs(raw, s.prefixID)
	for h := range raw {
		if in.leads(refs[h], h) {
			continue
		}
		if err := s.maps[learnMapHits].Delete(h); err != nil && !isNotExist(err) {
			return fmt.Errorf("forget a count: %w", err)
		}
	}
	return nil
}

// refs finds where the suffixes and prefixes of counts lead.
func (in *staged) refs(raw map[learnHit]uint64, id func(netip.Prefix) uint64) map[learnHit]ruleset.Ref {
	type place struct {
		rule      uint64
		isAddress bool
	}
	wanted := map[place][]learnHit{}
	refs := map[learnHit]ruleset.Ref{}
	for h := range raw {
		if h.How == byDefault {
			refs[h] = ruleset.Ref(in.meta.DefaultRef)
			continue
		}
		p := place{h.Rule, h.How == byAddress}
		wanted[p] = append(wanted[p], h)
	}
	for _, e := range in.entries {
		for _, h := range wanted[place{e.Hash, false}] {
			if refs[h] = e.Sub; h.How == byName {
				refs[h] = e.Apex
			}
		}
	}
	for _, p := range in.prefixes {
		for _, h := range wanted[place{id(p.Prefix), true}] {
			refs[h] = p.To
		}
	}
	return refs
}

// leads tells whether a ref can lead to what was counted.
func (in *staged) leads(ref ruleset.Ref, h learnHit) bool {
	for range ruleset.MaxChoices + 1 {
		if ref&ruleset.ChoiceBit == 0 {
			break
		}
		index := int(ref &^ ruleset.ChoiceBit)
		if index >= len(in.choices) {
			return false
		}
		c := in.choices[index]
		if c.ID == h.Condition && c.Then == uint32(h.Target) {
			return true
		}
		ref = ruleset.Ref(c.Otherwise)
	}
	return ref != 0 && h.Condition == 0 && uint32(ref) == uint32(h.Target)
}

// inForceStaged compiles the rule set in force once more, for what a killed change left to do.
func (s *System) inForceStaged() (*staged, error) {
	set, err := s.Rules()
	if err != nil {
		return nil, err
	}
	c, err := set.Compile(s.key())
	if err != nil {
		return nil, err
	}
	numbers := make([]uint32, len(c.Targets)+1)
	present, err := s.targets()
	if err != nil {
		return nil, err
	}
	for n, t := range present {
		if i := slices.Index(c.Targets, t); i >= 0 {
			numbers[i+1] = n
		}
	}
	in := s.numbered(c, s.former, numbers)
	return &in, nil
}
