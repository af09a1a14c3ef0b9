package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// layout is the version of everything pinned; LAYOUT in bpf/abi.h.
const layout = 4

// System is a started domain-route whose lock is held: no other command runs meanwhile.
type System struct {
	*lock
	tree  tree
	maps  map[string]*ebpf.Map
	state learnState // as of opening, and as this command changed it

	page    []byte                  // the map of states, in memory
	inForce map[ruleset.Target]bool // the targets of the rule set in force, once Rules has read it
	former  map[uint64]pattern.Name // its former names, likewise; see formerNames
	chores  *objects                // programs that commands run themselves, once one did

	warnings []string // of start
}

// Open takes the lock and opens what is started, mends what a killed command left, and refreshes the host's own
// addresses. It returns ErrNotStarted if nothing is started, a *LayoutError if it is another version's, and
// ErrDamaged if parts are missing.
func Open(own func() ([]netip.Addr, error)) (*System, error) {
	if os.Geteuid() != 0 {
		return nil, refusedf("run it as root, by sudo", "not root")
	}
	l, err := acquire(false)
	if err != nil {
		return nil, err
	}
	s, err := l.openEnabled()
	if err != nil {
		l.release()
		return nil, err
	}
	if err := s.mend(own); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Peek opens what is started only to look at it: it does not wait for other commands and changes nothing.
func Peek() (*System, error) {
	l, err := tryAcquire(false, 0)
	if err != nil {
		return nil, err
	}
	s, err := l.openEnabled()
	if err != nil {
		l.release()
	}
	return s, err
}

func (l *lock) openEnabled() (*System, error) {
	s, err := l.open()
	if err != nil {
		return nil, err
	}
	if s.state.Enabled == 0 {
		s.closeMaps()
		return nil, ErrNotStarted
	}
	return s, nil
}

func (s *System) mend(own func() ([]netip.Addr, error)) error {
	if err := s.sweep(); err != nil {
		return err
	}
	if err := s.sweepWatchers(); err != nil {
		return err
	}
	if s.state.Staged != 0 {
		if err := s.finishChange(nil); err != nil {
			return err
		}
	}
	if !s.AtHome() {
		return nil
	}
	addrs, err := own()
	if err != nil {
		return err
	}
	return s.setOwn(addrs)
}

// open opens what is pinned in live, started or half started.
func (l *lock) open() (*System, error) {
	s := &System{lock: l, tree: live, maps: map[string]*ebpf.Map{}}
	if _, err := os.Stat(live); errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotStarted
	}
	if err := s.openMaps(); err != nil {
		s.closeMaps()
		return nil, err
	}
	return s, nil
}

func (s *System) openMaps() error {
	if err := s.openMap(learnMapStates); err != nil {
		return err
	}
	// The version stands first, whatever follows in other versions.
	raw, err := s.maps[learnMapStates].LookupBytes(uint32(0))
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	if found := binary.NativeEndian.Uint32(raw); found != layout {
		return otherLayout(found)
	}
	for _, name := range pinnedMaps() {
		if s.maps[name] == nil {
			if err := s.openMap(name); err != nil {
				return err
			}
		}
	}
	return s.mapState()
}

// pinnedMaps are the maps that are pinned while something is started: all, since an update would make those anew that are not opened,
// and pin them nowhere. Their names are those of fields: to read the embedded
// programs for them took each command longer than all else.
func pinnedMaps() (names []string) {
	for _, of := range []reflect.Type{reflect.TypeFor[learnMapSpecs](), reflect.TypeFor[steerMapSpecs](), reflect.TypeFor[libcMapSpecs]()} {
		for i := range of.NumField() {
			if name := of.Field(i).Tag.Get("ebpf"); !unpinned[name] && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func (s *System) openMap(name string) error {
	m, err := ebpf.LoadPinnedMap(s.tree.mapPin(name), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return damaged("the map " + name)
	}
	if err != nil {
		return fmt.Errorf("open the pinned map %s: %w", name, err)
	}
	s.maps[name] = m
	return nil
}

// mapState maps the state into memory, where its words can be set by single stores.
func (s *System) mapState() error {
	m := s.maps[learnMapStates]
	memory, err := unix.Mmap(m.FD(), 0, int(m.ValueSize()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the state: %w", err)
	}
	s.page = memory
	s.state = *s.shared()
	return nil
}

// shared is the state as the programs see it.
func (s *System) shared() *learnState { return (*learnState)(unsafe.Pointer(&s.page[0])) }

func (s *System) setEnabled(v uint64) {
	s.state.Enabled = v
	atomic.StoreUint64(&s.shared().Enabled, v)
}

func (s *System) setStaged(v uint64) {
	s.state.Staged = v
	atomic.StoreUint64(&s.shared().Staged, v)
}

func (s *System) setActive(generation, slot uint32) {
	s.state.Active = uint64(generation)<<8 | uint64(slot)
	atomic.StoreUint64(&s.shared().Active, s.state.Active)
}

func (s *System) setObservers(bits uint32) {
	s.state.Observers = bits
	atomic.StoreUint32(&s.shared().Observers, bits)
}

func (s *System) setHistory(v uint64) {
	s.state.History = v
	atomic.StoreUint64(&s.shared().History, v)
}

// setVersion notes whose programs run: text of at most 31 bytes.
func (s *System) setVersion(version string) {
	text := s.shared().Version[:]
	clear(text)
	copy(text[:len(text)-1], version)
	s.state.Version = s.shared().Version
}

func (s *System) setCgroupIDs(attached, top uint64) {
	s.state.CgroupId, s.state.TopId = attached, top
	atomic.StoreUint64(&s.shared().CgroupId, attached)
	atomic.StoreUint64(&s.shared().TopId, top)
}

func damaged(what string) error {
	return &CureError{fmt.Errorf("%w: %s is missing", ErrDamaged, what), "domain-route stop && domain-route start"}
}

// again is how to start anew with the rules of a file.
const again = "domain-route stop && domain-route start && domain-route apply -f FILE"

func otherLayout(found uint32) error {
	return &CureError{&LayoutError{found, layout},
		"keep the rules with that version's `domain-route rule list > FILE`, then: " + again}
}

func (s *System) closeMaps() {
	if s.chores != nil {
		s.chores.Close()
	}
	if s.page != nil {
		_ = unix.Munmap(s.page)
	}
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
