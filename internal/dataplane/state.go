package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// layout is the version of everything pinned; LAYOUT in bpf/abi.h.
const layout = 1

// System is a started domain-route whose lock is held: no other command runs meanwhile.
type System struct {
	*lock
	tree  tree
	maps  map[string]*ebpf.Map
	state learnState
}

// Open takes the lock and opens what is started, mends what a killed command left, and refreshes the host's own
// addresses. It returns ErrNotStarted if nothing is started, and a *LayoutError if it is another version's.
func Open(own []netip.Addr) (*System, error) {
	if os.Geteuid() != 0 {
		return nil, refusedf("run it as root, by sudo", "not root")
	}
	l, err := acquire(false)
	if err != nil {
		return nil, err
	}
	s, err := l.open()
	if err != nil {
		l.release()
		return nil, err
	}
	if s.state.Enabled == 0 {
		s.Close()
		return nil, ErrNotStarted
	}
	if err := s.mend(own); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *System) mend(own []netip.Addr) error {
	if err := s.sweep(); err != nil {
		return err
	}
	if s.state.Staged != 0 {
		if err := s.finishChange(); err != nil {
			return err
		}
	}
	if !s.AtHome() {
		return nil
	}
	return s.setOwn(own)
}

// open opens what is pinned in live, started or half started.
func (l *lock) open() (*System, error) {
	s := &System{lock: l, tree: live, maps: map[string]*ebpf.Map{}}
	entries, err := os.ReadDir(s.tree.dir("maps"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotStarted
	}
	if err != nil {
		return nil, fmt.Errorf("list the pinned maps: %w", err)
	}
	for _, e := range entries {
		m, err := ebpf.LoadPinnedMap(s.tree.mapPin(e.Name()), nil)
		if err != nil {
			s.closeMaps()
			return nil, fmt.Errorf("open the pinned map %s: %w", e.Name(), err)
		}
		s.maps[e.Name()] = m
	}
	if err := s.readState(); err != nil {
		s.closeMaps()
		return nil, err
	}
	return s, nil
}

func (s *System) readState() error {
	m := s.maps[learnMapStates]
	if m == nil {
		return otherLayout(0)
	}
	// The version stands first, whatever follows in other versions.
	raw, err := m.LookupBytes(uint32(0))
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	if found := binary.NativeEndian.Uint32(raw); found != layout {
		return otherLayout(found)
	}
	if err := m.Lookup(uint32(0), &s.state); err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	return nil
}

func otherLayout(found uint32) error {
	return &CureError{&LayoutError{found, layout},
		"keep the rules with that version's `domain-route rule list`, then: domain-route stop && domain-route start"}
}

func (s *System) writeState() error {
	if err := s.maps[learnMapStates].Put(uint32(0), &s.state); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}

func (s *System) closeMaps() {
	for _, m := range s.maps {
		m.Close()
	}
}

// Close releases the lock.
func (s *System) Close() {
	s.closeMaps()
	s.release()
}

// Generation is the number of the rule set in force.
func (s *System) Generation() uint32 { return s.generation() }

func (s *System) generation() uint32 { return uint32(s.state.Active >> 8) }
func (s *System) slot() uint32       { return uint32(s.state.Active & 0xff) }

func (s *System) cgroup() string { return unix.ByteSliceToString(s.state.Cgroup[:]) }

// AtHome tells whether this process runs in the network namespace that is steered.
func (s *System) AtHome() bool {
	cookie, err := netnsCookie()
	return err == nil && cookie == s.state.Home
}
