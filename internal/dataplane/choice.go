package dataplane

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/dchest/siphash"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// choice is choice in bpf/abi.h.
type choice struct {
	Flags, UID      uint32
	Cgroup          uint64
	Depth           uint32
	Then, Otherwise uint32
	ID              uint32
}

// enum condition in bpf/abi.h.
const (
	ifUser   = 1
	ifCgroup = 2
)

// rawChoices are choices as the kernel has them; their refs are the kernel's already.
func (s *System) rawChoices(from []ruleset.Choice) []choice {
	all := make([]choice, len(from))
	for i, c := range from {
		raw := &all[i]
		raw.Then, raw.Otherwise, raw.ID = uint32(c.Then), uint32(c.Otherwise), s.conditionID(c.Condition)
		if c.Condition.User {
			raw.Flags |= ifUser
			raw.UID = c.Condition.UID
		}
		if c.Condition.Cgroup != "" {
			components := strings.Split(strings.Trim(c.Condition.Cgroup, "/"), "/")
			raw.Flags |= ifCgroup
			raw.Depth, raw.Cgroup = uint32(len(components)), s.pathHash(components)
		}
	}
	return all
}

// conditionID tells conditions apart in events and hits, whatever the rule set: not 0, which is none.
func (s *System) conditionID(c ruleset.Condition) uint32 {
	if c == (ruleset.Condition{}) {
		return 0
	}
	return max(1, uint32(siphash.Hash(s.state.Key[0], s.state.Key[1], []byte(c.String()))))
}

// prefixID tells prefixes apart there.
func (s *System) prefixID(p netip.Prefix) uint64 {
	return max(1, siphash.Hash(s.state.Key[0], s.state.Key[1], []byte(p.String())))
}

// pathHash is cgroup_path in bpf/choice.h.
func (s *System) pathHash(components []string) uint64 {
	hash := uint64(0)
	for _, c := range components {
		hash = siphash.Hash(s.state.Key[0], s.state.Key[1], append(binary.LittleEndian.AppendUint64(nil, hash), c...))
	}
	return hash
}

// resolve is resolve in bpf/choice.h, by what the rule set in force has in the kernel.
func (j *Judge) resolve(ref uint32, who ruleset.Who) (uint32, error) {
	components := strings.Split(strings.Trim(who.Cgroup, "/"), "/")
	for range ruleset.MaxChoices {
		if ref&uint32(ruleset.ChoiceBit) == 0 || j.choices == nil {
			break
		}
		var c choice
		err := j.choices.Lookup(ref&^uint32(ruleset.ChoiceBit), &c)
		if isNotExist(err) {
			return 0, nil
		}
		if err != nil {
			return 0, fmt.Errorf("look for a condition: %w", err)
		}
		holds := c.Flags&ifUser == 0 || c.UID == who.UID
		if c.Flags&ifCgroup != 0 {
			holds = holds && len(components) >= int(c.Depth) && j.s.pathHash(components[:c.Depth]) == c.Cgroup
		}
		if ref = c.Otherwise; holds {
			ref = c.Then
		}
	}
	if ref&uint32(ruleset.ChoiceBit) != 0 {
		return 0, nil
	}
	return ref, nil
}

// nobody is no user's number: conditions on users do not hold.
const nobody = ^uint32(0)

// who is a process (0: none that is known) of a user, as conditions see it.
func (j *Judge) who(pid, uid uint32) ruleset.Who {
	w := ruleset.Who{UID: uid}
	if pid == 0 {
		return w
	}
	var known bool
	if w.Cgroup, known = j.cgroups[pid]; !known {
		w.Cgroup = cgroupOf(pid, j.top)
		j.cgroups[pid] = w.Cgroup
	}
	return w
}

// whose is for whom a learnt name counts.
func (j *Judge) whose(l Learnt) ruleset.Who {
	switch l.Level {
	case LevelProcess:
		return j.who(l.PID, l.UID)
	case LevelUser:
		return ruleset.Who{UID: l.UID}
	}
	return ruleset.Who{UID: nobody}
}
