package dataplane

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/cilium/ebpf"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// textPage is how much of a rule set's deflated text one map element holds, in bytes.
const textPage = 4096

// batch is how many elements one system call writes or reads.
const batch = 4096

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
	s.inForce = map[ruleset.Target]bool{}
	for _, t := range set.Targets() {
		s.inForce[t] = true
	}
	return set, nil
}

// text reads the text of the rule set in force.
func (s *System) text() ([]byte, error) {
	var meta learnRuleset
	if err := s.maps[learnMapRulesets].Lookup(s.slot(), &meta); err != nil {
		return nil, fmt.Errorf("read the rule set: %w", err)
	}
	if meta.TextBytes == 0 {
		return nil, nil
	}
	pages, err := ebpf.LoadPinnedMap(s.tree.textPin(s.generation()), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged("the rules' text")
	}
	if err != nil {
		return nil, fmt.Errorf("open the rules' text: %w", err)
	}
	defer pages.Close()
	var deflated []byte
	for i := uint32(0); uint64(len(deflated)) < meta.TextBytes; i++ {
		page, err := pages.LookupBytes(i)
		if err != nil || page == nil {
			return nil, fmt.Errorf("read page %d of the rules' text: %w", i, errors.Join(err, io.ErrUnexpectedEOF))
		}
		deflated = append(deflated, page...)
	}
	text, err := io.ReadAll(flate.NewReader(bytes.NewReader(deflated[:meta.TextBytes])))
	if err != nil {
		return nil, fmt.Errorf("inflate the rules' text: %w", err)
	}
	return text, nil
}

// SetRules puts a rule set in force. It is built beside the one in force and becomes it by one word; cut
// short before, it never was.
//
// Names learnt without a rule that have one now must be looked up at connect from the commit on. So the
// learners are told first (`staged`) to hint at whatever they learn meanwhile; replacing the inner map waits
// for those that did not see it; and what is learnt already is hinted at before the commit.
func (s *System) SetRules(set *ruleset.Set) error {
	next := s.generation() + 1
	slot := 1 - s.slot()
	compiled, err := set.Compile(s.key())
	if err != nil {
		return err
	}
	if len(compiled.Prefixes)+len(compiled.Choices) > 0 {
		return errors.New("rules for addresses and rules with conditions are not supported yet")
	}
	numbers, err := s.numberTargets(compiled.Targets)
	if err != nil {
		return err
	}
	meta := learnRuleset{Rules: uint32(set.Len()), DefaultRef: numbers[compiled.Default]}
	if meta.TextBytes, err = s.pinText(set, next); err != nil {
		return err
	}
	s.setStaged(1)
	if err := s.stage(slot, compiled, numbers, meta); err != nil {
		return err
	}
	if err := s.hintAt(set); err != nil {
		return err
	}
	s.setActive(next, slot)
	// In force now. If the rest fails, `staged` stays set, and the next command does it.
	_ = s.finishChange()
	if s.history() {
		return nil
	}
	if err := s.forgetUnruled(set); err != nil {
		return fmt.Errorf("the rules are in force, but names that lost theirs are still kept: %w", err)
	}
	return nil
}

// stage fills the slot that is not in force. It returns when no program runs that missed `staged`.
func (s *System) stage(slot uint32, c ruleset.Compiled, numbers []uint32, meta learnRuleset) error {
	for i, e := range c.Entries {
		c.Entries[i].Apex, c.Entries[i].Sub = ruleset.Ref(numbers[e.Apex]), ruleset.Ref(numbers[e.Sub])
	}
	patterns, err := s.newPatterns(c.Entries)
	if err != nil {
		return err
	}
	defer patterns.Close()
	if err := s.maps[learnMapRulesets].Put(slot, &meta); err != nil {
		return fmt.Errorf("write the rule set: %w", err)
	}
	if err := s.maps[learnMapRules].Put(slot, patterns); err != nil {
		return fmt.Errorf("stage the rule set: %w", err)
	}
	return nil
}

// finishChange forgets the rule set that is not in force, and what a killed change left. Deleting the inner
// map waits for the programs that still use it.
func (s *System) finishChange() error {
	if err := s.maps[learnMapRules].Delete(1 - s.slot()); err != nil && !isNotExist(err) {
		return fmt.Errorf("forget the former rule set: %w", err)
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

// suffixTargets is suffix_targets in bpf/abi.h.
type suffixTargets struct{ Apex, Sub uint32 }

// newPatterns makes the inner map of a rule set.
func (s *System) newPatterns(entries []ruleset.Entry) (*ebpf.Map, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "patterns", Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: uint32(max(1, len(entries))),
	})
	if err != nil {
		return nil, fmt.Errorf("make a map for %d patterns: %w", len(entries), err)
	}
	keys := make([]uint64, 0, batch)
	values := make([]suffixTargets, 0, batch)
	for i, e := range entries {
		keys = append(keys, e.Hash)
		values = append(values, suffixTargets{Apex: uint32(e.Apex), Sub: uint32(e.Sub)})
		if len(keys) == batch || i == len(entries)-1 {
			if _, err := m.BatchUpdate(keys, values, nil); err != nil {
				m.Close()
				return nil, fmt.Errorf("write %d patterns: %w", len(entries), err)
			}
			keys, values = keys[:0], values[:0]
		}
	}
	return m, nil
}

// pinText keeps a rule set's text, deflated, and returns its length.
func (s *System) pinText(set *ruleset.Set, generation uint32) (uint64, error) {
	text, err := set.MarshalText()
	if err != nil || len(text) == 0 {
		return 0, err
	}
	var deflated bytes.Buffer
	w, err := flate.NewWriter(&deflated, flate.BestSpeed)
	if err != nil {
		return 0, err
	}
	if _, err := w.Write(text); err != nil {
		return 0, err
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	length := deflated.Len()
	pages := (length + textPage - 1) / textPage
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "text", Type: ebpf.Array, KeySize: 4, ValueSize: textPage, MaxEntries: uint32(pages),
	})
	if err != nil {
		return 0, fmt.Errorf("make a map for the rules' text: %w", err)
	}
	defer m.Close()
	for i := range uint32(pages) {
		page := make([]byte, textPage)
		copy(page, deflated.Next(textPage))
		if err := m.Put(i, page); err != nil {
			return 0, fmt.Errorf("write the rules' text: %w", err)
		}
	}
	pin := s.tree.textPin(generation)
	if err := os.Remove(pin); err != nil && !isNotExist(err) {
		return 0, fmt.Errorf("remove a killed change's text: %w", err)
	}
	if err := m.Pin(pin); err != nil {
		return 0, fmt.Errorf("pin the rules' text: %w", err)
	}
	return uint64(length), nil
}
