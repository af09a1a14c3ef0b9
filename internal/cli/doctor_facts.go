package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/doctor"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/pattern"
)

// facts gathers what doctor judges. It changes nothing: no cache is written, nothing is attached.
func (a *app) facts() (*doctor.Facts, error) {
	present, err := devices()
	if err != nil {
		return nil, err
	}
	st, err := dataplane.Inspect(present)
	if err != nil {
		return nil, err
	}
	f := &doctor.Facts{Now: time.Now(), Support: dataplane.AskSupport(), State: st.State, Said: st.Warnings, Home: true}
	f.Cgroup = f.Support.Cgroup
	l := a.doctorConfig(f, st, present)
	if st.State == dataplane.StateStarted {
		f.Home, f.Cgroup = st.Home, st.Cgroup
		if err := a.runningFacts(f, st); err != nil {
			return nil, err
		}
	} else if l != nil {
		f.Rules, f.Observe = l.Rules, l.Observe
		if l.Cgroup != "" {
			f.Cgroup = l.Cgroup
		}
	}
	f.Host = doctor.Read("/", f.Cgroup, f.Support.Cgroup)
	if err := networkFacts(f); err != nil {
		return nil, err
	}
	othersFacts(f)
	return f, nil
}

// doctorConfig reads the configuration; nil if it cannot be read.
func (a *app) doctorConfig(f *doctor.Facts, st dataplane.Status, present []dataplane.Device) *loaded {
	l, err := a.loadAsked(loadOptions{quiet: true})
	if err != nil {
		f.Config.Error = err.Error()
		return nil
	}
	f.Config.Files = l.files
	for _, n := range l.Counts {
		f.Config.Findings += n
	}
	if len(l.files) > 0 && st.State == dataplane.StateStarted {
		f.Config.Differs = l.digest() != st.Digest
		running := dataplane.Settings{Observers: st.Observers, Cgroup: st.Cgroup, History: st.History}
		f.Config.Settings = settingWarnings(l.otherSettings(running, present, st.Home))
	}
	return l
}

// peekFor is how long doctor waits for other commands.
const peekFor = 5 * time.Second

// peek opens what is started, to look at it, once other commands let it.
func peek() (*dataplane.System, error) {
	for until := time.Now().Add(peekFor); ; time.Sleep(10 * time.Millisecond) {
		s, err := dataplane.Peek()
		if err == nil || errors.Is(err, dataplane.ErrNotStarted) || time.Now().After(until) {
			return s, err
		}
	}
}

// runningFacts reads what is started.
func (a *app) runningFacts(f *doctor.Facts, st dataplane.Status) error {
	s, err := peek()
	if err != nil {
		return err
	}
	defer s.Close()
	r := &doctor.Running{Status: st}
	f.Running = r
	if f.Rules, err = s.Rules(); err != nil {
		return err
	}
	if r.Fill, err = s.Fill(); err != nil {
		return err
	}
	if r.Hits, err = s.Hits(); err != nil {
		return err
	}
	if r.Leaks, err = s.Leaks(); err != nil {
		return err
	}
	standings, err := s.Standings()
	if err != nil {
		return err
	}
	r.Learnt, r.Evicted = countLearnt(standings)
	if !st.Home {
		return nil
	}
	devices := newFinder()
	if f.Goers4, f.Goers6, err = goers(standings, devices.find); err != nil {
		return err
	}
	// What keeps sockets from being looked at is told by old-connections.
	f.Tunnels, _ = selfTunnels(s, func(find dataplane.Finder) (*dataplane.Judge, error) { return s.JudgeOf(f.Rules, find) })
	rows, err := misplaced(s, s.Judge, pattern.Pattern{Kind: pattern.Default, Name: pattern.Root})
	r.OldErr = err
	for _, row := range rows {
		r.Old = append(r.Old, fmt.Sprintf("%s to %s (%s): is at %s, would go to %s", row.Protocol, row.Remote, dash(strings.Join(row.Names, " ")), row.Now, row.Then))
	}
	return devices.err
}

// countLearnt counts learnt names that are live, and those without their text.
func countLearnt(standings []dataplane.Standing) (all, evicted int) {
	for _, d := range standings {
		if !d.Live() {
			continue
		}
		all++
		if d.Name == "" {
			evicted++
		}
	}
	return all, evicted
}

// networkFacts asks about the interfaces of the targets, and about routing.
func networkFacts(f *doctor.Facts) (err error) {
	if !f.Home {
		return nil
	}
	var names []string
	if f.Rules != nil {
		for _, t := range f.Rules.Targets() {
			names = append(names, t.Chain()...)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if f.Links, err = netdev.AllFacts(names); err != nil {
		return err
	}
	if f.Policy, err = netdev.Policies(); err != nil {
		return err
	}
	f.Tailscale = hasTailscale()
	f.Tables4, f.Tables6, err = netdev.TablesWithDefault()
	return err
}

// othersFacts looks for other tools' programs; where that fails there is nothing to be said of them.
func othersFacts(f *doctor.Facts) {
	if f.Support.NoCgroup != nil || f.Support.Refused != nil {
		return
	}
	f.Others, f.Partly, _ = dataplane.Others(f.Cgroup, f.Support.Cgroup)
	for _, l := range f.Links {
		if l.Exists {
			f.Others = append(f.Others, dataplane.OthersOf(dataplane.Device{Index: l.Index, Name: l.Name})...)
		}
	}
	var ids []uint32
	for _, o := range f.Others {
		ids = append(ids, o.ID)
	}
	f.Holders = doctor.HoldersOf(ids)
}
