package cli

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// overview is all that status and metrics tell, of one moment.
type overview struct {
	dataplane.Status
	config  configState
	sums    dataplane.HitSums
	hits    []dataplane.Hit // most first; only if they were asked for
	leaks   []dataplane.Leak
	learnt  dataplane.LearntCount
	fill    []dataplane.Fill
	uplinks []uplink
}

// uplink is an interface that rules lead to.
type uplink struct {
	netdev.Facts
	rules int    // whose target names it
	leads int    // of these, those that lead there now: it is the first of the target that exists, or of one that fails, since none does
	hits  uint64 // connections decided by rules that lead there now
}

// lookAround reads what is started; with perRule the hits of each rule, for which the rules must be read. The configuration is
// read meanwhile: of a million rules that takes its time, too. Where it is needed for the hits, it is read before, since
// other commands wait as long as the system is open.
func (a *app) lookAround(perRule bool) (overview, error) {
	present, err := devices()
	if err != nil {
		return overview{}, err
	}
	bar := a.progress("reading the configuration")
	defer bar.end()
	var l *loaded
	var failed error
	read := make(chan struct{})
	go func() {
		defer close(read)
		l, failed = a.loadAsked(loadOptions{bar: bar, quiet: true})
	}()
	if perRule {
		<-read
		l.keepNow()
	}
	o := overview{config: noConfigState()}
	o.Status, err = dataplane.Look(present, func(s *dataplane.System) error {
		if err := o.more(s); err != nil || !perRule || o.sums.Rules == 0 {
			return err
		}
		var err error
		o.hits, err = hitsOf(s, l, failed)
		return err
	})
	if err != nil {
		return o, err
	}
	if o.State == dataplane.StateStarted {
		<-read
		o.config = stateOf(l, failed, o.Status, present)
	}
	if o.Home {
		if o.uplinks, err = uplinksOf(o.Targets, o.sums.ByTarget, present); err != nil {
			return o, err
		}
	}
	o.Warnings = append(o.Warnings, versionWarnings(o.Status)...)
	o.Warnings = append(o.Warnings, o.config.warnings()...)
	if o.Home {
		o.Warnings = append(o.Warnings, awayOf(o.Targets, present)...)
	}
	return o, nil
}

// hitsOf are the hits of each rule. Where the configuration's rules run, as they mostly do, those in the kernel need not be
// read, too.
func hitsOf(s *dataplane.System, l *loaded, failed error) ([]dataplane.Hit, error) {
	running, err := s.Digest()
	if err != nil {
		return nil, err
	}
	if failed != nil {
		return s.Hits()
	}
	if l.digest() == running {
		return s.HitsOf(l.Rules)
	}
	l.Rules = nil // two sets of a million rules would be too much; what is compared is the digest
	return s.Hits()
}

// more reads what the kernel has besides the status.
func (o *overview) more(s *dataplane.System) (err error) {
	if o.sums, err = s.HitSums(); err != nil {
		return err
	}
	if o.leaks, err = s.Leaks(); err != nil {
		return err
	}
	if o.fill, err = s.Fill(); err != nil {
		return err
	}
	o.learnt, err = s.CountLearnt()
	return err
}

// versionBytes is how much of a version the kernel's state has room for.
const versionBytes = 31

// versionWarnings tell that another version than this one is loaded.
func versionWarnings(st dataplane.Status) []string {
	if st.State != dataplane.StateStarted || st.Version == "" || st.Version == version[:min(len(version), versionBytes)] {
		return nil
	}
	return []string{"the programs in the kernel are those of version " + st.Version + ", this command is " + version + "; update them in place: domain-route start"}
}

// uplinksOf are the interfaces of all targets, by name.
func uplinksOf(targets []ruleset.TargetRules, hits map[ruleset.Target]uint64, present []dataplane.Device) ([]uplink, error) {
	uplinks, find := map[string]*uplink{}, among(present)
	at := func(name string) *uplink {
		if uplinks[name] == nil {
			uplinks[name] = &uplink{Facts: netdev.Facts{Device: netdev.Device{Name: name}}}
		}
		return uplinks[name]
	}
	for _, t := range targets {
		chain := t.Target.Chain()
		for _, name := range chain {
			at(name).rules += t.Rules
		}
		if len(chain) == 0 {
			continue
		}
		place := dataplane.Resolve(t.Target, find)
		if place.Outcome == dataplane.Untouched {
			continue // the chain ends in direct, and is at its end
		}
		leads := at(cmp.Or(place.Interface, chain[0]))
		leads.leads += t.Rules
		leads.hits += hits[t.Target]
	}
	var exist []string
	for name := range uplinks {
		if _, ok := find(name); ok {
			exist = append(exist, name)
		}
	}
	facts, err := netdev.AllFacts(exist)
	if err != nil {
		return nil, err
	}
	for i, name := range exist {
		uplinks[name].Facts = facts[i]
	}
	all := make([]uplink, 0, len(uplinks))
	for name, w := range uplinks {
		w.Name = name
		all = append(all, *w)
	}
	slices.SortFunc(all, func(a, b uplink) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// among looks for interfaces among those there are.
func among(present []dataplane.Device) dataplane.Finder {
	indexes := make(map[string]int, len(present))
	for _, d := range present {
		indexes[d.Name] = d.Index
	}
	return func(name string) (int, bool) {
		index, ok := indexes[name]
		return index, ok
	}
}

// usable tells whether anything can leave by it.
func (w uplink) usable() bool { return w.Exists && w.Up && w.Carrier }

// families says which addresses it has, and of which of them a socket that is bound to it finds no route.
func (w uplink) families() string {
	var words []string
	for _, f := range []struct {
		name   string
		addrs  []netip.Prefix
		routed bool
	}{{"IPv4", w.Addrs4, w.Routed4}, {"IPv6", w.Addrs6, w.Routed6}} {
		switch {
		case len(f.addrs) == 0:
		case f.routed:
			words = append(words, f.name)
		default:
			words = append(words, "no "+f.name+" route")
		}
	}
	switch {
	case len(words) == 0:
		return "no address"
	case w.Routed4 && w.Routed6:
		return strings.Join(words, " and ")
	}
	return strings.Join(words, ", ")
}

// state says in words whether it can be used.
func (w uplink) state() string {
	switch {
	case !w.Exists:
		return "does not exist"
	case !w.Up:
		return "down"
	case !w.Carrier:
		return "up, no link"
	}
	return "up, " + w.families()
}
