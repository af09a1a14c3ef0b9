package dataplane

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/cilium/ebpf"
)

// StartOptions say what to attach where.
type StartOptions struct {
	Cgroup  string       // cgroup v2 directory; empty: the root of cgroup v2, wherever it is mounted
	Sockets bool         // the `sockets` observer
	Devices []Device     // the `tc` observer's
	TC      bool         // the `tc` observer was asked for, with or without devices
	Own     []netip.Addr // the host's own addresses
}

func (o StartOptions) observers() uint32 {
	var n uint32
	if o.Sockets {
		n |= observeSockets
	}
	if o.TC {
		n |= observeTC
	}
	return n
}

// Observers, as stored.
const (
	observeSockets = 1
	observeTC      = 2
)

// Started says what Start did.
type Started struct {
	Action string // started, updated (it was running), completed (an earlier start had been cut short)
	Cgroup string
}

// Start loads, attaches and enables everything, or brings what is running to this version. It is all or
// nothing: cut short at any point it leaves the host as it was, and the next command tidies up.
func Start(o StartOptions) (Started, error) {
	if err := checkHost(); err != nil {
		return Started{}, err
	}
	cgroup, err := resolveCgroup(o.Cgroup)
	if err != nil {
		return Started{}, err
	}
	unmount, err := mountBPFFS()
	if err != nil {
		return Started{}, err
	}
	l, err := acquire(true)
	if err != nil {
		unmount()
		return Started{}, err
	}
	defer l.release()
	done, err := l.start(o, cgroup)
	if err != nil {
		l.removeIfEmpty()
		unmount() // refused by the kernel where anything is in use
	}
	return done, err
}

func (l *lock) start(o StartOptions, cgroup string) (Started, error) {
	if err := l.sweep(); err != nil {
		return Started{}, err
	}
	s, err := l.open()
	if errors.Is(err, ErrNotStarted) {
		if err := l.fresh(o, cgroup); err != nil {
			return Started{}, err
		}
		return Started{"started", cgroup}, nil
	}
	if err != nil {
		return Started{}, err
	}
	defer s.closeMaps()
	action := "updated"
	if s.state.Enabled == 0 {
		action = "completed"
	}
	return Started{action, s.cgroup()}, s.update(o, cgroup)
}

// fresh builds everything in a staging directory, publishes it by one rename, and enables it by one word.
func (l *lock) fresh(o StartOptions, cgroup string) error {
	staging := tree(fmt.Sprintf("%s/%s%d", base, stagingPrefix, os.Getpid()))
	err := build(staging, o, cgroup)
	if err != nil {
		return errors.Join(err, dismantle(staging))
	}
	if err := os.Rename(string(staging), live); err != nil {
		return errors.Join(fmt.Errorf("publish %s: %w", live, err), dismantle(staging))
	}
	s, err := l.open()
	if err != nil {
		return err
	}
	defer s.closeMaps()
	return s.enable(o)
}

func build(t tree, o StartOptions, cgroup string) error {
	for _, dir := range t.dirs() {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("make %s: %w", dir, err)
		}
	}
	objs, err := load(nil)
	if err != nil {
		return err
	}
	defer objs.Close()
	s := &System{tree: t, maps: objs.maps}
	if err := s.initialise(o, cgroup); err != nil {
		return err
	}
	for name, m := range objs.maps {
		if unpinned[name] {
			continue
		}
		if err := m.Pin(t.mapPin(name)); err != nil {
			return fmt.Errorf("pin the map %s: %w", name, err)
		}
	}
	return s.attach(o, objs.programs)
}

// initialise writes the first state: not enabled, an empty rule set.
func (s *System) initialise(o StartOptions, cgroup string) error {
	home, err := netnsCookie()
	if err != nil {
		return err
	}
	var key [16]byte
	if _, err := rand.Read(key[:]); err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	s.state = learnState{
		Layout:    layout,
		Observers: o.observers(),
		Active:    1 << 8, // generation 1: what no learnt name has is 0
		Home:      home,
		Key:       [2]uint64{binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])},
	}
	copy(s.state.Cgroup[:], cgroup)
	empty, err := s.newPatterns(nil)
	if err != nil {
		return err
	}
	defer empty.Close()
	if err := s.maps[learnMapRules].Put(uint32(0), empty); err != nil {
		return fmt.Errorf("set the empty rule set: %w", err)
	}
	return s.writeState()
}

// update puts this program's version in the place of the running one.
func (s *System) update(o StartOptions, cgroup string) error {
	home, err := netnsCookie()
	if err != nil {
		return err
	}
	const cure = "first: domain-route stop"
	if home != s.state.Home {
		return &CureError{&AttachedElsewhereError{"the network namespace with cookie",
			fmt.Sprint(s.state.Home), fmt.Sprint(home)}, cure}
	}
	if cgroup != s.cgroup() {
		return &CureError{&AttachedElsewhereError{"the cgroup", s.cgroup(), cgroup}, cure}
	}
	reuse := map[string]*ebpf.Map{}
	for name, m := range s.maps {
		reuse[name] = m
	}
	objs, err := load(reuse)
	if err != nil {
		return err
	}
	defer objs.Close()
	if err := s.attach(o, objs.programs); err != nil {
		return err
	}
	s.state.Observers = o.observers()
	return s.enable(o)
}

// enable is the commit of a start.
func (s *System) enable(o StartOptions) error {
	if err := s.setOwn(o.Own); err != nil {
		return err
	}
	if err := s.finishChange(); err != nil {
		return err
	}
	s.state.Enabled = 1
	return s.writeState()
}

// removeIfEmpty takes the base directory away again after a start that came to nothing.
func (l *lock) removeIfEmpty() { _ = os.Remove(base) }
