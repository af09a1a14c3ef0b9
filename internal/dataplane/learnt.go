package dataplane

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/cilium/ebpf"

	"github.com/domain-route/domain-route/internal/pattern"
)

// A Level says whom a learnt name counts for.
type Level string

// The levels, in the order in which connect asks them.
const (
	LevelProcess Level = "process"
	LevelUser    Level = "user"
	LevelHost    Level = "host"
)

// grace is how long after its TTL a learnt name still counts; GRACE in bpf/evidence.h.
const grace = time.Hour

// Learnt is a name learnt for an address.
type Learnt struct {
	Address netip.Addr
	Name    pattern.Name // empty: the name was evicted, its address was not
	Level   Level
	PID     uint32        // LevelProcess
	UID     uint32        // LevelProcess and LevelUser
	TTL     time.Duration // left; negative once it is over
	Seen    time.Duration // since the latest answer

	hash, rule, match uint64 // struct learnt in bpf/abi.h
}

// otherRule is OTHER_RULE in bpf/abi.h.
const otherRule = 1 << 30

// refIn is where a learnt name was matched to lead.
func refIn(match uint64) uint32 { return uint32(match) &^ otherRule }

// Live tells whether the name still counts.
func (l Learnt) Live() bool { return l.TTL >= -grace }

// scope is whom and which address a name was learnt for.
func (l Learnt) scope() Learnt {
	return Learnt{Address: l.Address, Level: l.Level, PID: l.PID, UID: l.UID}
}

// place is what there is one of.
func (l Learnt) place() Learnt {
	p := l.scope()
	p.hash = l.hash
	return p
}

// Learnt reads all learnt names, by address, level and age.
func (s *System) Learnt() ([]Learnt, error) {
	var all []Learnt
	seen := map[Learnt]int{} // place in all
	err := s.eachNamed(func(_ string, _ learnScope, l Learnt) {
		// A name can be with those that have a rule and with those that have none, from before and after a rule
		// change: the later counts.
		place, twice := seen[l.place()]
		switch {
		case !twice:
			seen[l.place()] = len(all)
			all = append(all, l)
		case l.Seen < all[place].Seen:
			all[place] = l
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Learnt) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(levelOrder(a.Level), levelOrder(b.Level)),
			cmp.Compare(a.UID, b.UID), cmp.Compare(a.PID, b.PID), cmp.Compare(a.Seen, b.Seen))
	})
	return all, nil
}

// eachNamed calls f for every name in the maps of evidence, with the map's name and the key it has there.
func (s *System) eachNamed(f func(from string, scope learnScope, l Learnt)) error {
	texts := map[uint64]pattern.Name{}
	for _, from := range nameMaps {
		some, err := s.names(from)
		if err != nil {
			return err
		}
		maps.Copy(texts, some)
	}
	now := bootTime()
	for _, from := range evidenceMaps {
		err := s.eachLearnt(from, func(scope learnScope, raw learnLearnt) {
			f(from, scope, Learnt{
				Address: netip.AddrFrom16(scope.Addr).Unmap(),
				Name:    texts[raw.Name],
				Level:   level(scope, from),
				PID:     scope.Pid,
				UID:     scope.Uid,
				TTL:     time.Duration(int64(raw.Ends - now)),
				Seen:    time.Duration(int64(now - raw.Seen)),
				hash:    raw.Name, rule: raw.Rule, match: raw.Match,
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func level(scope learnScope, from string) Level {
	switch {
	case from == learnMapHostRuled || from == learnMapHostPlain:
		return LevelHost
	case scope.Pid != 0:
		return LevelProcess
	default:
		return LevelUser
	}
}

func levelOrder(l Level) int { return slices.Index([]Level{LevelProcess, LevelUser, LevelHost}, l) }

// eachLearnt calls f for every name in one of the maps of evidence.
func (s *System) eachLearnt(name string, f func(learnScope, learnLearnt)) error {
	return each(s.maps[name], func(scope learnScope, set learnLearntSet) {
		for _, l := range set.Names {
			if l.Name != 0 {
				f(scope, l)
			}
		}
	})
}

// names reads one of the maps of names.
func (s *System) names(name string) (map[uint64]pattern.Name, error) {
	all := map[uint64]pattern.Name{}
	err := each(s.maps[name], func(hash uint64, raw learnName) {
		if n, err := nameIn(&raw); err == nil {
			all[hash] = n
		}
	})
	return all, err
}

// nameIn reads a name's text.
func nameIn(raw *learnName) (pattern.Name, error) {
	return pattern.FromWire(raw.Wire[:min(int(raw.Length), len(raw.Wire))])
}

// readBatch is how many elements of a hash map one system call reads: most maps hold few, and memory for many takes longer
// than they do.
const readBatch = 512

// each reads a whole hash map in few system calls. Programs go on changing it meanwhile.
func each[K, V any](m *ebpf.Map, f func(K, V)) error {
	size := readBatch
	for {
		err := eachBatch(m, size, f)
		// A bucket holds more than a batch does.
		if !errors.Is(err, errBatchTooSmall) || size > int(m.MaxEntries()) {
			return err
		}
		size *= 4
	}
}

var errBatchTooSmall = errors.New("batch too small")

func eachBatch[K, V any](m *ebpf.Map, size int, f func(K, V)) error {
	keys, values := make([]K, size), make([]V, size)
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.BatchLookup(&cursor, keys, values, nil)
		if isNoSpace(err) && n == 0 {
			return errBatchTooSmall
		}
		for i := range n {
			f(keys[i], values[i])
		}
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the map %v: %w", m, err)
		}
	}
}
