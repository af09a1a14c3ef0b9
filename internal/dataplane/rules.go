package dataplane

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/cilium/ebpf"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

func (s *System) key() pattern.HashKey {
	var k pattern.HashKey
	binary.LittleEndian.PutUint64(k[:8], s.state.Key[0])
	binary.LittleEndian.PutUint64(k[8:], s.state.Key[1])
	return k
}

// Rules reads the rule set in force.
func (s *System) Rules() (*ruleset.Set, error) {
	set := ruleset.New()
	text, err := s.text()
	if err != nil {
		return nil, err
	}
	if err := set.UnmarshalText(text); err != nil {
		return nil, err
	}
	s.noteTargets(set)
	s.former = s.formerIn(text)
	return set, nil
}

// noteTargets keeps which targets the rule set in force has.
func (s *System) noteTargets(set *ruleset.Set) {
	s.inForce = map[ruleset.Target]bool{}
	for _, t := range set.Targets() {
		s.inForce[t] = true
	}
}

// SetRules puts a rule set in force. It is built beside the one in force and becomes it by one word; cut
// short before, it never was.
//
// Names learnt without a rule that have one now must be looked up at connect from the commit on. So the
// learners are told first (`staged`) to hint at whatever they learn meanwhile; replacing the inner map waits
// for those that did not see it; and what is learnt already is hinted at before the commit.
func (s *System) SetRules(set *ruleset.Set) error {
	for range changeTries {
		complete, err := s.change(set)
		if err != nil {
			return err
		}
		if complete {
			break
		}
	}
	if s.history() {
		return nil
	}
	if err := s.forgetUnruled(set); err != nil {
		return fmt.Errorf("the rules are in force, but names that lost theirs are still kept: %w", err)
	}
	return nil
}

// CheckRules tells whether SetRules would refuse a rule set, and changes nothing.
func (s *System) CheckRules(set *ruleset.Set) error {
	c, err := set.Compile(s.key())
	if err != nil {
		return err
	}
	if len(c.Targets) >= maxTargets {
		return fmt.Errorf("%w: %d of at most %d", ErrTooManyTargets, len(c.Targets), maxTargets-1)
	}
	return checkConditions(c.Choices)
}

// changeTries is how often a rule set is put in force again because of what was learnt under the one before meanwhile.
const changeTries = 3

// change puts a rule set in force. It tells whether the set has all that live names were matched by: once in force, it is
// what learners match by, too.
func (s *System) change(set *ruleset.Set) (complete bool, err error) {
	next := s.generation() + 1
	slot := 1 - s.slot()
	staged, err := s.prepare(set, next)
	if err != nil {
		return false, err
	}
	s.setStaged(1)
	if err := s.stage(slot, staged); err != nil {
		return false, err
	}
	if err := s.hintAt(set); err != nil {
		return false, err
	}
	s.setActive(next, slot)
	s.noteTargets(set)
	s.former = staged.former
	// In force now. If the rest fails, `staged` stays set, and the next command does it.
	if s.finishChange(&staged) != nil {
		return true, nil
	}
	late, err := s.recorded(staged.has)
	return err != nil || len(late) == 0, nil
}

// staged is a rule set as the kernel is given it.
type staged struct {
	meta     learnRuleset
	entries  []ruleset.Entry // refs are the kernel's
	prefixes []ruleset.PrefixEntry
	choices  []choice
	compiled ruleset.Compiled
	former   map[uint64]pattern.Name // see formerNames
}

// has tells whether the set was made with what was matched by the rule of this name in mind.
func (s staged) has(rule uint64) bool {
	_, ok := s.former[rule]
	return ok || s.compiled.HasEntry(rule)
}

// prepare makes a rule set ready, its targets numbered and its text pinned. Nothing uses them yet.
func (s *System) prepare(set *ruleset.Set, generation uint32) (staged, error) {
	c, err := set.Compile(s.key())
	if err != nil {
		return staged{}, err
	}
	if err := checkConditions(c.Choices); err != nil {
		return staged{}, err
	}
	text, err := set.MarshalText()
	if err != nil {
		return staged{}, err
	}
	former, err := s.formerNames(c)
	if err != nil {
		return staged{}, err
	}
	numbers, err := s.numberTargets(c.Targets)
	if err != nil {
		return staged{}, err
	}
	next := s.numbered(c, former, numbers)
	next.meta.Rules, next.meta.Digest = uint32(set.Len()), sha256.Sum256(text)
	next.meta.TextBytes, err = s.pinText(generation, text, formerText(former))
	return next, err
}

// numbered gives a compiled rule set's targets the kernel's numbers.
func (s *System) numbered(c ruleset.Compiled, former map[uint64]pattern.Name, numbers []uint32) staged {
	next := staged{entries: append(c.Entries, s.formerEntries(c, former)...), prefixes: withGuard(c.Prefixes), compiled: c, former: former}
	number := func(r *ruleset.Ref) {
		if *r&ruleset.ChoiceBit == 0 {
			*r = ruleset.Ref(numbers[*r])
		}
	}
	for i := range next.entries {
		number(&next.entries[i].Apex)
		number(&next.entries[i].Sub)
	}
	for i := range next.prefixes {
		number(&next.prefixes[i].To)
	}
	for i := range c.Choices {
		number(&c.Choices[i].Then)
		number(&c.Choices[i].Otherwise)
	}
	number(&c.Default)
	next.choices = s.rawChoices(c.Choices)
	next.meta = learnRuleset{DefaultRef: uint32(c.Default), Prefixes: uint32(len(next.prefixes))}
	return next
}

// stage fills the slot that is not in force. It returns when no program runs that missed `staged`: the patterns, which every
// rule set has, go last.
func (s *System) stage(slot uint32, next staged) error {
	if err := s.maps[learnMapRulesets].Put(slot, &next.meta); err != nil {
		return fmt.Errorf("write the rule set: %w", err)
	}
	if len(next.prefixes) > 0 {
		if err := s.put(learnMapAddresses, slot)(s.newPrefixes(next.prefixes)); err != nil {
			return err
		}
	}
	if len(next.choices) > 0 {
		if err := s.put(learnMapChoices, slot)(newChoices(next.choices)); err != nil {
			return err
		}
	}
	return s.put(learnMapRules, slot)(s.newPatterns(next.entries))
}

// put puts an inner map in its place, which waits for the programs that run.
func (s *System) put(outer string, slot uint32) func(*ebpf.Map, error) error {
	return func(inner *ebpf.Map, err error) error {
		if err != nil {
			return err
		}
		defer inner.Close()
		if err := s.maps[outer].Put(slot, inner); err != nil {
			return fmt.Errorf("stage the rule set's %s: %w", outer, err)
		}
		return nil
	}
}

// innerMaps are what a rule set has a map of its own in.
var innerMaps = []string{learnMapRules, learnMapAddresses, learnMapChoices}

// inner opens an inner map of the rule set in force; nil: it has none.
func (s *System) inner(outer string) (*ebpf.Map, error) {
	var m *ebpf.Map
	if err := s.maps[outer].Lookup(s.slot(), &m); err != nil && !isNotExist(err) {
		return nil, fmt.Errorf("open the rule set's %s: %w", outer, err)
	}
	return m, nil
}

// finishChange forgets the rule set that is not in force, and what a killed change left; inForce is the other as it was put in
// force, nil where that is not known any more. Deleting an inner map waits for the programs that still use it.
func (s *System) finishChange(inForce *staged) error {
	for _, outer := range innerMaps {
		there, err := s.maps[outer].LookupBytes(1 - s.slot())
		if err == nil && there != nil {
			err = s.maps[outer].Delete(1 - s.slot())
		}
		if err != nil && !isNotExist(err) {
			return fmt.Errorf("forget the former rule set: %w", err)
		}
	}
	if s.state.Staged != 0 {
		if err := s.forgetHits(inForce); err != nil {
			return err
		}
	}
	texts, err := pinsIn(s.tree.dir("text"))
	if err != nil {
		return err
	}
	for _, name := range texts {
		if pin := s.tree.dir("text/" + name); pin != s.tree.textPin(s.generation()) {
			if err := os.Remove(pin); err != nil {
				return fmt.Errorf("forget a former text: %w", err)
			}
		}
	}
	s.setStaged(0)
	return nil
}
