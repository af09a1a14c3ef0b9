package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// hintAt makes connect look up the addresses of all names learnt without a rule that a rule set has one for. Such a name has
// its text to be judged by, and nothing else: it is kept where names without a rule cannot evict it.
func (s *System) hintAt(set *ruleset.Set) error {
	if set.Len() == 0 {
		return nil
	}
	ruled := map[uint64]learnName{}
	// Names that had a rule once may have addresses without one.
	for _, from := range nameMaps {
		err := each(s.maps[from], func(hash uint64, raw learnName) {
			if n, err := nameIn(&raw); err == nil && set.Mentions(n) {
				ruled[hash] = raw
			}
		})
		if err != nil {
			return err
		}
	}
	if len(ruled) == 0 {
		return nil
	}
	hints, err := s.mapHints()
	if err != nil {
		return err
	}
	defer hints.close()
	plain := map[uint64]bool{}
	for _, name := range plainMaps {
		err := s.eachLearnt(name, func(scope learnScope, l learnLearnt) {
			if _, ok := ruled[l.Name]; ok {
				hints.set(scope.Addr)
				plain[l.Name] = true
			}
		})
		if err != nil {
			return err
		}
	}
	for hash := range plain {
		raw := ruled[hash]
		if err := s.maps[learnMapNamesRuled].Update(hash, &raw, ebpf.UpdateNoExist); err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
			return fmt.Errorf("keep a name's text: %w", err)
		}
	}
	return nil
}

// hints is the kernel's bit map, shared with the programs that set bits in it too.
type hints struct {
	memory []byte
	key    [2]uint64
}

func (s *System) mapHints() (*hints, error) {
	m := s.maps[learnMapHints]
	memory, err := unix.Mmap(m.FD(), 0, int(m.ValueSize()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the hints: %w", err)
	}
	return &hints{memory, s.state.Key}, nil
}

func (h *hints) close() { _ = unix.Munmap(h.memory) }

// set is set_hint in bpf/addr.h.
func (h *hints) set(addr [16]byte) {
	bit := hintBit(addr, h.key)
	word := (*uint64)(unsafe.Pointer(&h.memory[bit>>6*8]))
	atomic.OrUint64(word, 1<<(bit&63))
}

// hintBit is hint_bit in bpf/addr.h.
func hintBit(addr [16]byte, key [2]uint64) uint32 {
	x := (binary.LittleEndian.Uint64(addr[:8]) ^ key[0]) * 0x9e3779b97f4a7c15
	x ^= x >> 32
	x = (x ^ binary.LittleEndian.Uint64(addr[8:]) ^ key[1]) * 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0x9e3779b97f4a7c15
	return uint32(x >> 44)
}
