package dataplane

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"

	"github.com/cilium/ebpf"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// StartOptions say what to attach where.
type StartOptions struct {
	Cgroup  string       // cgroup v2 directory; empty: as it is, or the root of cgroup v2, wherever it is mounted
	Observe *Observers   // nil: as it is, or the programs' sockets and C libraries
	History *bool        // whether names without a rule are kept; nil: as it is, or yes
	Rules   *ruleset.Set // on a fresh start the rules in force from the first moment on; nil: none. An update keeps its own
	Present []Device     // all interfaces there are
	Own     []netip.Addr // the host's own addresses
	Version string       // of this binary, for status
	Audit   *bool        // whether connections that were not steered are looked at; nil: as it is, or no
}

// Started says what Start did.
type Started struct {
	Action    string // started, updated (it was running), completed (an earlier start had been cut short)
	Cgroup    string
	Observers Observers
	History   bool
	Audit     bool
	Warnings  []string
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
	mount, err := mountBPFFS()
	if err != nil {
		return Started{}, err
	}
	defer mount.release()
	l, err := acquire(true)
	if err != nil {
		mount.undo()
		return Started{}, err
	}
	done, err := l.start(o, cgroup)
	if err != nil {
		_ = os.Remove(base) // unless something is in it
	}
	l.release()
	if err != nil {
		mount.undo()
	}
	return done, err
}

func (l *lock) start(o StartOptions, cgroup string) (Started, error) {
	if err := l.sweep(); err != nil {
		return Started{}, err
	}
	s, err := l.open()
	if errors.Is(err, ErrNotStarted) {
		return l.fresh(o, cgroup)
	}
	if err != nil {
		return Started{}, err
	}
	defer s.closeMaps()
	return s.update(o, cgroup)
}

// fresh builds everything in a staging directory, publishes it by one rename, and enables it by one word.
func (l *lock) fresh(o StartOptions, cgroup string) (Started, error) {
	observe := Observers{Sockets: true, Libc: true}
	if o.Observe != nil {
		observe = *o.Observe
	}
	s := &System{lock: l, tree: tree(fmt.Sprintf("%s/%s%d", base, stagingPrefix, os.Getpid()))}
	defer s.closeMaps()
	err := s.build(&observe, o.Observe != nil, o.Audit != nil && *o.Audit, cgroup)
	if err == nil {
		s.setVersion(o.Version)
	}
	if err == nil && o.History != nil && !*o.History {
		s.setHistory(0)
	}
	if err == nil && o.Rules != nil {
		err = s.SetRules(o.Rules)
	}
	if err == nil {
		err = s.publish()
	}
	if err == nil {
		err = s.enable(o.Own)
	}
	if err != nil && s.tree == live {
		return Started{}, errors.Join(err, trash(), l.sweep())
	}
	if err != nil {
		return Started{}, errors.Join(err, dismantle(s.tree))
	}
	return Started{"started", cgroup, observe, s.history(), s.audit(), s.warnings}, nil
}

func (s *System) publish() error {
	if err := os.Rename(string(s.tree), live); err != nil {
		return fmt.Errorf("publish %s: %w", live, err)
	}
	s.tree = live
	return nil
}

// build loads, attaches and pins everything below the system's tree. The maps stay open. What cannot be observed and
// was not asked for is taken out of the observers.
func (s *System) build(o *Observers, asked, audit bool, cgroup string) error {
	for _, dir := range s.tree.dirs() {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("make %s: %w", dir, err)
		}
	}
	objs, err := load(nil, *o, audit)
	if err != nil {
		return err
	}
	defer objs.Close()
	s.maps = map[string]*ebpf.Map{}
	for name, m := range objs.maps {
		if unpinned[name] {
			continue
		}
		if err := m.Pin(s.tree.mapPin(name)); err != nil {
			return fmt.Errorf("pin the map %s: %w", name, err)
		}
		if s.maps[name], err = m.Clone(); err != nil {
			return fmt.Errorf("keep the map %s open: %w", name, err)
		}
	}
	if err := s.initialise(cgroup); err != nil {
		return err
	}
	s.setAudit(audit)
	if err := s.attach(o, asked, objs.programs); err != nil {
		return err
	}
	s.setObservers(o.bits())
	return nil
}

// initialise writes the first state: not enabled, an empty rule set.
func (s *System) initialise(cgroup string) error {
	home, err := netnsCookie()
	if err != nil {
		return err
	}
	attached, top, err := cgroupIDs(cgroup)
	if err != nil {
		return err
	}
	var key [16]byte
	if _, err := rand.Read(key[:]); err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	state := learnState{
		Layout:   layout,
		Active:   1 << 8, // generation 1: what no learnt name has is 0
		Home:     home,
		History:  1,
		Started:  bootTime(),
		CgroupId: attached,
		TopId:    top,
		Key:      [2]uint64{binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])},
	}
	copy(state.Cgroup[:], cgroup)
	if err := s.maps[learnMapStates].Put(uint32(0), &state); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	if err := s.mapState(); err != nil {
		return err
	}
	none := staged{}
	if none.meta.Digest, err = Digest(ruleset.New()); err != nil {
		return err
	}
	return s.stage(0, none)
}

// update puts this program's version in the place of the running one.
func (s *System) update(o StartOptions, cgroup string) (Started, error) {
	done := Started{Action: "updated", Cgroup: s.cgroup()}
	if s.state.Enabled == 0 {
		done.Action = "completed"
	}
	if err := s.checkPlace(o.Cgroup != "", cgroup); err != nil {
		return done, err
	}
	if _, err := s.text(); err != nil {
		return done, err
	}
	var err error
	if o.Observe != nil {
		done.Observers = *o.Observe
	} else if done.Observers, err = s.observers(o.Present); err != nil {
		return done, err
	} else if !done.Observers.TCAll {
		done.Observers.TC = len(done.Observers.Devices) > 0 // none was attached, or all are gone
	}
	audit := s.audit()
	if o.Audit != nil {
		audit = *o.Audit
	}
	objs, err := load(maps.Clone(s.maps), done.Observers, audit)
	if errors.Is(err, ebpf.ErrMapIncompatible) {
		return done, fmt.Errorf("%w (%w)", otherLayout(layout), err)
	}
	if err != nil {
		return done, err
	}
	defer objs.Close()
	if err := s.refreshCgroups(); err != nil {
		return done, err
	}
	s.setAudit(audit) // cut short before its program is there, status tells so
	// Both until it is done: cut short, status tells what may be attached.
	s.setObservers(s.state.Observers | done.Observers.bits())
	if err := s.attach(&done.Observers, o.Observe != nil, objs.programs); err != nil {
		return done, err
	}
	done.Warnings = s.warnings
	s.setVersion(o.Version)
	s.setObservers(done.Observers.bits())
	if err := s.enable(o.Own); err != nil {
		return done, err
	}
	if o.History != nil {
		err = s.keepHistory(*o.History)
	}
	done.History, done.Audit = s.history(), s.audit()
	return done, err
}

// refreshCgroups notes which cgroups are meant: by the path that programs are attached to there may be another one since. The
// paths of conditions go on beginning where they did, as long as that is mounted.
func (s *System) refreshCgroups() error {
	attached, top, err := cgroupIDs(s.cgroup())
	if err != nil {
		return err
	}
	there, err := findTop(s.state.TopId)
	if err != nil {
		return err
	}
	if there != "" {
		top = s.state.TopId
	}
	s.setCgroupIDs(attached, top)
	return nil
}

// checkPlace refuses to update what is attached elsewhere.
func (s *System) checkPlace(asked bool, cgroup string) error {
	const cure = "first: domain-route stop"
	home, err := netnsCookie()
	if err != nil {
		return err
	}
	if home != s.state.Home {
		return &CureError{&AttachedElsewhereError{"as home", "another network namespace", "this one"},
			"run it there, or " + cure}
	}
	if _, err := os.Stat(s.cgroup()); err != nil {
		return refusedf("keep the rules with `domain-route rule list > FILE`, then: "+again,
			"the cgroup that it was started with is gone: %w", err)
	}
	if asked && !sameFile(cgroup, s.cgroup()) {
		return &CureError{&AttachedElsewhereError{"the cgroup", s.cgroup(), cgroup}, cure}
	}
	return nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// enable is the commit of a start.
func (s *System) enable(own []netip.Addr) error {
	if err := s.setOwn(own); err != nil {
		return err
	}
	if err := s.finishChange(nil); err != nil {
		return err
	}
	s.setEnabled(1)
	return nil
}
