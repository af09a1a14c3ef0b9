package dataplane

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// maxTargets is the size of the table of targets; MAX_TARGETS in bpf/abi.h. Number 0 is none, and the next rule
// set's targets stand beside the present one's until it is in force.
const maxTargets = 4096

// ErrTooManyTargets is returned for a rule set with more distinct targets than fit into the kernel's table.
var ErrTooManyTargets = errors.New("too many distinct targets")

// numberTargets finds or makes a number in the kernel for each target of a compiled rule set; the result is
// indexed by the compiled number, 0 staying 0. A number that the rule set in force uses never changes its
// meaning, and free ones are used before forgotten ones.
func (s *System) numberTargets(targets []ruleset.Target) ([]uint32, error) {
	m := s.maps[learnMapTargets]
	present, err := s.targets()
	if err != nil {
		return nil, err
	}
	used, err := s.usedTargets(present)
	if err != nil {
		return nil, err
	}
	numbers := make([]uint32, len(targets)+1)
	byTarget := map[ruleset.Target]uint32{}
	for n, t := range present {
		byTarget[t] = n
	}
	for i, t := range targets {
		if n, ok := byTarget[t]; ok {
			numbers[i+1] = n
			used[n] = true
		}
	}
	next := uint32(1)
	for i, t := range targets {
		if numbers[i+1] != 0 {
			continue
		}
		n := freeNumber(present, used, &next)
		if n == 0 {
			return nil, fmt.Errorf("%w: more than %d, old and new together", ErrTooManyTargets, maxTargets-1)
		}
		raw := rawTarget(t)
		if err := m.Put(n, &raw); err != nil {
			return nil, fmt.Errorf("write target %s: %w", t, err)
		}
		numbers[i+1], used[n] = n, true
	}
	return numbers, nil
}

func freeNumber(present map[uint32]ruleset.Target, used map[uint32]bool, next *uint32) uint32 {
	for n := *next; n < maxTargets; n++ {
		if _, taken := present[n]; !taken && !used[n] {
			*next = n + 1
			return n
		}
	}
	for n := range present {
		if !used[n] {
			return n
		}
	}
	return 0
}

// usedTargets returns the numbers that the rule set in force uses.
func (s *System) usedTargets(present map[uint32]ruleset.Target) (map[uint32]bool, error) {
	if s.inForce == nil {
		if _, err := s.Rules(); err != nil {
			return nil, err
		}
	}
	used := map[uint32]bool{}
	for n, t := range present {
		if s.inForce[t] {
			used[n] = true
		}
	}
	return used, nil
}

// targets reads the numbered targets.
func (s *System) targets() (map[uint32]ruleset.Target, error) {
	m := s.maps[learnMapTargets]
	keys, values := make([]uint32, maxTargets), make([]learnTarget, maxTargets)
	var cursor ebpf.MapBatchCursor
	n, err := m.BatchLookup(&cursor, keys, values, nil)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, fmt.Errorf("read the targets: %w", err)
	}
	all := map[uint32]ruleset.Target{}
	for i := range n {
		if values[i].Kind != 0 {
			all[keys[i]] = target(values[i])
		}
	}
	return all, nil
}

func rawTarget(t ruleset.Target) learnTarget {
	raw := learnTarget{Kind: uint8(t.Kind), End: uint8(t.End), Length: uint8(len(t.Chain())), Mark: t.Mark}
	for i, name := range t.Chain() {
		copy(raw.Chain[i][:], name)
	}
	return raw
}

func target(raw learnTarget) ruleset.Target {
	t := ruleset.Target{Kind: ruleset.TargetKind(raw.Kind), End: ruleset.End(raw.End), Mark: raw.Mark}
	for i := range min(int(raw.Length), len(raw.Chain)) {
		t.Interfaces[i] = unix.ByteSliceToString(raw.Chain[i][:])
	}
	return t
}

func isNotExist(err error) bool {
	return errors.Is(err, ebpf.ErrKeyNotExist) || errors.Is(err, fs.ErrNotExist)
}

func isNoSpace(err error) bool { return errors.Is(err, unix.ENOSPC) }
