package dataplane

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// MaxWatchers is how many can watch at a time; WATCHERS in bpf/abi.h.
const MaxWatchers = 4

// watchersAll is WATCHERS_ALL in bpf/abi.h.
const watchersAll = 8

// lease is for how long the programs tell a watcher that does not say that it is still there.
const lease = 3 * time.Second

// bufferSize is the room for events of one watcher, in bytes: 104 each, so that it holds those of 0.8 s at 50,000 a
// second.
const bufferSize = 4 << 20

// ErrTooManyWatchers is returned by Watch when MaxWatchers watch already.
var ErrTooManyWatchers = errors.New("too many watch at once")

// watcherBits are a watcher's in the word that the programs look at.
func watcherBits(slot uint32, all bool) uint64 {
	bits := uint64(1) << slot
	if all {
		bits |= bits << watchersAll
	}
	return bits
}

// sweepWatchers takes the buffers of watchers away that were killed. The lock is held.
func (s *System) sweepWatchers() error {
	for slot := range uint32(MaxWatchers) {
		used, w, err := s.watcher(slot)
		if err != nil {
			return err
		}
		if !used || bootTime() <= w.Lease {
			continue
		}
		if err := s.endLease(slot, w.Lease); err != nil {
			return err
		}
	}
	return nil
}

// endLease takes the buffer of a watcher away whose lease is over, unless it has prolonged it since.
func (s *System) endLease(slot uint32, lease uint64) error {
	page, err := s.mapWatchers()
	if err != nil {
		return err
	}
	defer page.free()
	if lease != 0 && !atomic.CompareAndSwapUint64(&page.at(slot).Lease, lease, 0) {
		return nil
	}
	return s.dropWatcher(slot)
}

// watcher reads who is in a slot.
func (s *System) watcher(slot uint32) (used bool, w learnWatcher, err error) {
	if used, err = s.hasBuffer(slot); err == nil && used {
		err = s.maps[learnMapWatchers].Lookup(slot, &w)
	}
	if err != nil {
		return false, w, fmt.Errorf("look for who watches: %w", err)
	}
	return used, w, nil
}

func (s *System) hasBuffer(slot uint32) (bool, error) {
	id, err := s.maps[learnMapBuffers].LookupBytes(slot)
	if isNotExist(err) {
		return false, nil
	}
	return id != nil, err
}

// dropWatcher has the programs tell a watcher no more, and takes its buffer away, which waits for those that still use it.
func (s *System) dropWatcher(slot uint32) error {
	atomic.AndUint64(&s.shared().Watching, ^watcherBits(slot, true))
	if err := s.maps[learnMapBuffers].Delete(slot); err != nil && !isNotExist(err) {
		return fmt.Errorf("take a watcher's buffer away: %w", err)
	}
	return nil
}

// addWatcher puts a buffer into a slot that is free. The lock is held. The lease begins; nobody is told before the bits are set.
func (s *System) addWatcher(buffer *ebpf.Map) (slot uint32, owner uint64, err error) {
	if err := s.sweepWatchers(); err != nil {
		return 0, 0, err
	}
	for slot := range uint32(MaxWatchers) {
		used, err := s.hasBuffer(slot)
		if err != nil {
			return 0, 0, fmt.Errorf("look for who watches: %w", err)
		}
		if used {
			continue
		}
		w := learnWatcher{Owner: rand.Uint64() | 1, Lease: bootTime() + uint64(lease)}
		if err := s.maps[learnMapWatchers].Put(slot, &w); err != nil {
			return 0, 0, fmt.Errorf("enter as a watcher: %w", err)
		}
		if err := s.maps[learnMapBuffers].Put(slot, buffer); err != nil {
			return 0, 0, fmt.Errorf("enter a watcher's buffer: %w", err)
		}
		return slot, w.Owner, nil
	}
	return 0, 0, &CureError{fmt.Errorf("%w: %d do", ErrTooManyWatchers, MaxWatchers), "end one of them"}
}

// watcherPage is the programs' table of watchers in memory.
type watcherPage []byte

func (s *System) mapWatchers() (watcherPage, error) {
	m := s.maps[learnMapWatchers]
	memory, err := unix.Mmap(m.FD(), 0, int(unsafe.Sizeof(learnWatcher{}))*MaxWatchers, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the watchers: %w", err)
	}
	return memory, nil
}

func (p watcherPage) free() { _ = unix.Munmap(p) }

func (p watcherPage) at(slot uint32) *learnWatcher {
	return (*learnWatcher)(unsafe.Pointer(&p[uintptr(slot)*unsafe.Sizeof(learnWatcher{})]))
}

// prolong renews a lease. False: it is over, or the slot another watcher's by now. By compare and swap, since whoever ends a lease that is
// over does that, too.
func (w *learnWatcher) prolong(owner uint64) bool {
	until := atomic.LoadUint64(&w.Lease)
	now := bootTime()
	return atomic.LoadUint64(&w.Owner) == owner && now <= until && atomic.CompareAndSwapUint64(&w.Lease, until, now+uint64(lease))
}
