package dataplane

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// hintAt makes connect look up the addresses of all names learnt without a rule that a rule set has one for.
func (s *System) hintAt(set *ruleset.Set) error {
	if set.Len() == 0 {
		return nil
	}
	ruled := map[uint64]bool{}
	// Names that had a rule once may have addresses without one.
	for _, from := range nameMaps {
		names, err := s.names(from)
		if err != nil {
			return err
		}
		for hash, n := range names {
			if set.Mentions(n) {
				ruled[hash] = true
			}
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
	for _, name := range plainMaps {
		err := s.eachLearnt(name, func(scope learnScope, l learnLearnt) {
			if ruled[l.Name] {
				hints.set(scope.Addr)
			}
		})
		if err != nil {
			return err
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
