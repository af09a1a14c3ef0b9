package dataplane

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// Leak is a connection that was not steered although its SNI has a rule.
type Leak struct {
	When     time.Time
	Name     pattern.Name // empty: its text was evicted
	Address  netip.Addr
	Port     uint16
	PID, UID uint32
	Comm     string
	Ruled    bool
	Rule     ruleset.Rule // that decides for the name now, if Ruled
}

// Leaks are the last of them, the latest first, at most 64.
func (s *System) Leaks() ([]Leak, error) {
	raw, err := s.rawLeaks()
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	set, err := s.Rules()
	if err != nil {
		return nil, err
	}
	targets, err := s.targets()
	if err != nil {
		return nil, err
	}
	k := &book{s.generation(), set, targets, s.conditionID}
	all := make([]Leak, 0, len(raw))
	for i := range raw {
		l, err := s.leak(&raw[i].Event, k)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// leak is what the kernel has of one, with the rule that it missed, or if that is gone the one for the name now.
func (s *System) leak(e *learnEvent, k *book) (l Leak, err error) {
	l = Leak{
		When: clockTime(e.Time), Address: netip.AddrFrom16(e.Addr).Unmap(), Port: e.Port,
		PID: e.Pid, UID: e.Uid, Comm: unix.ByteSliceToString(e.Comm[:]),
	}
	if l.Name, err = s.nameOf(e.Name); err != nil || l.Name == "" {
		return l, err
	}
	who := ruleset.Who{UID: e.Uid}
	if e.Generation == k.generation {
		h := learnHit{Rule: e.Rule, Condition: e.Condition, Target: uint16(e.Target), How: uint16(e.How)}
		l.Rule, l.Ruled = k.ruleOf(h, k.set.Candidates(l.Name, who))
	}
	if !l.Ruled {
		l.Rule, l.Ruled = k.set.MatchName(l.Name, who)
	}
	return l, nil
}

// rawLeaks are those on the list, the latest first.
func (s *System) rawLeaks() ([]learnLeak, error) {
	list, err := s.leakList()
	if err != nil {
		return nil, err
	}
	raw := slices.DeleteFunc(list.Last[:], func(l learnLeak) bool { return l.Number == 0 })
	slices.SortFunc(raw, func(a, b learnLeak) int { return cmp.Compare(b.Number, a.Number) })
	return raw, nil
}

// leakList reads the list. An entry that was being written is as if it were not there yet: it is copied word by word.
func (s *System) leakList() (list learnLeakList, err error) {
	var again learnLeakList
	m := s.maps[learnMapLeaks]
	if err = m.Lookup(uint32(0), &list); err == nil {
		err = m.Lookup(uint32(0), &again)
	}
	if err != nil {
		return list, fmt.Errorf("read the leaks: %w", err)
	}
	for i := range list.Last {
		if list.Last[i] != again.Last[i] {
			list.Last[i] = learnLeak{}
		}
	}
	return list, nil
}

// forgetLeaks takes those that match off the list. One that is added in the same moment may go, too.
func (s *System) forgetLeaks(match func(Learnt) bool) error {
	list, err := s.leakList()
	if err != nil {
		return err
	}
	some := false
	for i := range list.Last {
		e := &list.Last[i].Event
		if list.Last[i].Number == 0 {
			continue
		}
		name, err := s.nameOf(e.Name)
		if err != nil {
			return err
		}
		l := Learnt{Address: netip.AddrFrom16(e.Addr).Unmap(), Name: name, Level: LevelProcess, PID: e.Pid, UID: e.Uid, hash: e.Name, rule: e.Rule}
		if match(l) {
			list.Last[i], some = learnLeak{}, true
		}
	}
	if !some {
		return nil
	}
	if err := s.maps[learnMapLeaks].Put(uint32(0), &list); err != nil {
		return fmt.Errorf("forget leaks: %w", err)
	}
	return nil
}
