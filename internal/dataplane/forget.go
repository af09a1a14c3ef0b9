package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// forgetTries is how often a set that others keep writing to is tried; each try waits in the kernel already.
const forgetTries = 16

// order is struct forget_order in bpf/chores.h.
type order struct {
	Map, _      uint32
	Name, Until uint64
	PID, UID    uint32
	Addr        [16]byte
}

// Forget removes the learnt names that match, and all texts that no learnt name refers to any more: theirs, and those
// that evictions and killed commands left. What is learnt while it runs stays. It returns how many it removed, as Learnt
// counts them.
func (s *System) Forget(match func(Learnt) bool) (int, error) {
	gone, err := s.forget(match)
	if err == nil {
		err = s.forgetLeaks(match)
	}
	if err != nil {
		return gone, err
	}
	return gone, s.forgetTexts()
}

// ForgetAll forgets everything. The hints go first: a learner sets its own after its evidence, so that whatever is
// learnt after the hints were cleared has them, and whatever was learnt before is forgotten. A look-up meanwhile finds
// no hint, as if all were forgotten already. A rule change, which hints too, holds the lock that we hold.
func (s *System) ForgetAll() (int, error) {
	if err := s.clearHints(); err != nil {
		return 0, err
	}
	return s.Forget(func(Learnt) bool { return true })
}

// forgetUnruled forgets the names that a rule set has no rule for, as --history=no asks.
func (s *System) forgetUnruled(set *ruleset.Set) error {
	_, err := s.Forget(func(l Learnt) bool {
		if l.Name == "" {
			return l.rule == 0
		}
		return !set.Mentions(l.Name)
	})
	return err
}

// forget takes names out of the evidence. It returns how many.
func (s *System) forget(match func(Learnt) bool) (int, error) {
	orders := map[order]Learnt{}
	until := bootTime()
	err := s.eachNamed(func(from string, scope learnScope, l Learnt) {
		if !match(l) {
			return
		}
		orders[order{
			Map: uint32(slices.Index(evidenceMaps, from)), Name: l.hash, Until: until,
			PID: scope.Pid, UID: scope.Uid, Addr: scope.Addr,
		}] = l.place()
	})
	gone := map[Learnt]bool{}
	for o, place := range orders {
		if err != nil {
			break
		}
		var done bool
		if done, err = s.forgetOne(o); done {
			gone[place] = true
		}
	}
	return len(gone), err
}

func (s *System) forgetOne(o order) (bool, error) {
	data, err := binary.Append(nil, binary.NativeEndian, o)
	if err != nil {
		return false, fmt.Errorf("forget: %w", err)
	}
	for range forgetTries {
		ret, err := s.chore(choresProgForgetName, data)
		if err != nil || ret != forgetLocked {
			return ret == forgetDone, err
		}
	}
	return false, errors.New("forget: others keep writing to it; try again")
}

// clearHints clears all hint bits.
func (s *System) clearHints() error {
	h, err := s.mapHints()
	if err != nil {
		return err
	}
	defer h.close()
	for at := 0; at < len(h.memory); at += 8 {
		atomic.StoreUint64((*uint64)(unsafe.Pointer(&h.memory[at])), 0)
	}
	return nil
}

// forgetTexts removes the texts of names that no evidence refers to any more. A learner keeps a text before the
// evidence: one that found the text just before it went away is waited for, and its name gets the text back.
func (s *System) forgetTexts() error {
	referred, err := s.referred()
	if err != nil {
		return err
	}
	taken := map[text]learnName{}
	for _, from := range nameMaps {
		err := each(s.maps[from], func(hash uint64, raw learnName) {
			if !referred[hash] {
				taken[text{from, hash}] = raw
			}
		})
		if err != nil {
			return err
		}
	}
	for t := range taken {
		if err := s.maps[t.from].Delete(t.hash); err != nil && !isNotExist(err) {
			return fmt.Errorf("forget a name's text: %w", err)
		}
	}
	if len(taken) == 0 {
		return nil
	}
	if err := s.waitForPrograms(); err != nil {
		return err
	}
	if referred, err = s.referred(); err != nil {
		return err
	}
	for t, raw := range taken {
		if !referred[t.hash] {
			continue
		}
		if err := s.maps[t.from].Update(t.hash, &raw, ebpf.UpdateNoExist); err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
			return fmt.Errorf("keep a name's text: %w", err)
		}
	}
	return nil
}

// text is a place of a name's text: a map and the name's hash.
type text struct {
	from string
	hash uint64
}

// referred are the hashes of all names that there is evidence of, or that are listed as leaks.
func (s *System) referred() (map[uint64]bool, error) {
	names := map[uint64]bool{}
	for _, from := range evidenceMaps {
		if err := s.eachLearnt(from, func(_ learnScope, l learnLearnt) { names[l.Name] = true }); err != nil {
			return nil, err
		}
	}
	list, err := s.leakList()
	for _, l := range list.Last {
		names[l.Event.Name] = true
	}
	return names, err
}

// waitForPrograms returns when every program that runs now has ended: replacing an inner map waits for its users.
func (s *System) waitForPrograms() error {
	empty, err := s.newPatterns(nil)
	if err != nil {
		return err
	}
	defer empty.Close()
	spare := 1 - s.slot() // of the rule set that is not in force
	if err := s.maps[learnMapRules].Put(spare, empty); err != nil {
		return fmt.Errorf("wait for the programs: %w", err)
	}
	if err := s.maps[learnMapRules].Delete(spare); err != nil {
		return fmt.Errorf("wait for the programs: %w", err)
	}
	return nil
}
