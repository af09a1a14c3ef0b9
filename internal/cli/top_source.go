package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/ruleset"
	"github.com/domain-route/domain-route/internal/top"
)

const (
	// eventsKept is how many events top can show.
	eventsKept = 500
	// namesEvery is how often top reads the learnt names; where that takes long, less often: a twentieth of the time.
	namesEvery = 2 * time.Second
	// lockedFor is how long top says nothing of another command's lock.
	lockedFor = 3 * time.Second
	// mostJudged is with how many rules top reads them to tell which names decide.
	mostJudged = 20_000
)

// topSource reads for top what there is. The lock is held for as long as reading takes, and nobody is waited for.
type topSource struct {
	a *app
	userNames

	read      time.Time // last
	names     []dataplane.Standing
	namesAt   time.Time
	namesTook time.Duration
	targets   []ruleset.TargetRules
	targetsOf dataplane.RuleSetID // the zero value: none yet
	hits      dataplane.HitBook

	stop   context.CancelFunc
	done   chan struct{}
	latest latestEvents
}

// newTopSource looks once, so that what is wrong is said before there is a screen.
func (a *app) newTopSource() (*topSource, error) {
	s, err := dataplane.Open(netdev.Addresses)
	if errors.Is(err, dataplane.ErrNotStarted) {
		return nil, startFirst(err)
	}
	if err != nil {
		return nil, err
	}
	s.Close()
	return &topSource{a: a, read: time.Now()}, nil
}

// Read tells how things stand.
func (t *topSource) Read() top.Snapshot {
	now := time.Now()
	s, err := dataplane.Peek()
	if errors.Is(err, dataplane.ErrNotStarted) {
		t.targetsOf, t.names, t.namesAt = dataplane.RuleSetID{}, nil, time.Time{}
		return top.Snapshot{When: now}
	}
	if err != nil {
		problem := ""
		if now.Sub(t.read) > lockedFor {
			problem = fmt.Sprintf("nothing is read since %s: %v", t.read.Format(time.TimeOnly), err)
		}
		return top.Snapshot{When: now, Problem: problem, Missed: true}
	}
	snap, home, err := t.look(s, now)
	s.Close()
	if err != nil {
		return top.Snapshot{When: now, Problem: err.Error(), Missed: true}
	}
	t.read = now
	if !home {
		snap.Problem = "interfaces are not seen from here: top runs in another network namespace than start did"
		return snap
	}
	if snap.Interfaces, err = t.interfaces(); err != nil {
		snap.Problem = err.Error()
	}
	return snap
}

// look reads what the lock is needed for.
func (t *topSource) look(s *dataplane.System, now time.Time) (snap top.Snapshot, home bool, err error) {
	st, err := s.Glance()
	if err != nil {
		return snap, false, err
	}
	snap = top.Snapshot{When: now, Started: true, Since: st.Since, Version: st.Version, Rules: st.Rules, Counters: map[string]uint64{}}
	for _, c := range st.Counters {
		snap.Counters[c.Name] = c.Value
	}
	if snap.Hits, err = t.hits.Read(s); err != nil {
		return snap, false, err
	}
	if snap.Leaks, err = s.Leaks(); err != nil {
		return snap, false, err
	}
	if id := s.RuleSetID(); t.targetsOf != id {
		if t.targets, err = s.Targets(); err != nil {
			return snap, false, err
		}
		t.targetsOf = id
	}
	if now.Sub(t.namesAt) >= max(namesEvery, 20*t.namesTook) {
		if t.names, err = namesFor(s, st.Rules); err != nil {
			return snap, false, err
		}
		t.namesAt, t.namesTook = now, time.Since(now)
	}
	snap.Names = t.names
	return snap, st.Home, nil
}

// namesFor are the learnt names with their standing; where there are many rules, which would all have to be read for it,
// without.
func namesFor(s *dataplane.System, rules int) ([]dataplane.Standing, error) {
	if rules <= mostJudged {
		return s.Standings()
	}
	learnt, err := s.Learnt()
	if err != nil {
		return nil, err
	}
	all := make([]dataplane.Standing, len(learnt))
	for i, l := range learnt {
		all[i].Learnt = l
	}
	return all, nil
}

// interfaces looks at those that the targets of rules name.
func (t *topSource) interfaces() ([]top.Interface, error) {
	var names []string
	rules := map[string]int{}
	for _, target := range t.targets {
		for _, name := range target.Target.Chain() {
			if _, known := rules[name]; !known {
				names = append(names, name)
			}
			rules[name] += target.Rules
		}
	}
	facts, err := netdev.AllFacts(names)
	if err != nil {
		return nil, err
	}
	all := make([]top.Interface, len(facts))
	for i, f := range facts {
		f.Name = names[i] // what the rules call it, also where that is another name of it
		all[i] = top.Interface{Facts: f, Rules: rules[names[i]]}
	}
	return all, nil
}

// Events are the latest.
func (t *topSource) Events() top.Events { return t.latest.get() }

// Explain is what explain says.
func (t *topSource) Explain(s top.Subject) (string, error) {
	return t.a.explainText(s.Arg, s.PID, s.UID)
}

// watch collects events in the background until close.
func (t *topSource) watch(ctx context.Context) {
	ctx, t.stop = context.WithCancel(ctx)
	t.done = make(chan struct{})
	go func() {
		defer close(t.done)
		for ctx.Err() == nil {
			t.latest.collect(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second): // it may be started again, or another watcher have ended
			}
		}
	}()
}

func (t *topSource) close() {
	t.stop()
	<-t.done
}

// latestEvents are the last of a watcher's.
type latestEvents struct {
	mu      sync.Mutex // guards what follows
	ring    []dataplane.Event
	next    int // place of the oldest, once the ring is full
	source  eventSource
	before  uint64 // lost by watchers that have ended
	problem string
}

// collect takes events until the context ends or there are no more.
func (l *latestEvents) collect(ctx context.Context) {
	source, err := openEvents(dataplane.WatchOptions{})
	l.begin(source, err)
	if err != nil {
		return
	}
	for {
		e, err := source.Next(ctx)
		if err != nil {
			l.end(ctx, err)
			return
		}
		l.add(e)
	}
}

func (l *latestEvents) begin(source eventSource, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.source, l.problem = source, ""
	if err == nil {
		return
	}
	l.source = nil
	switch {
	case errors.Is(err, dataplane.ErrTooManyWatchers): // as short as 80 columns need
		l.problem = fmt.Sprintf("no events: %d watch already; which: pgrep -af 'domain-route (watch|top)'", dataplane.MaxWatchers)
	case !errors.Is(err, dataplane.ErrNotStarted): // the first line says that
		l.problem = "no events: " + err.Error()
	}
}

func (l *latestEvents) end(ctx context.Context, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before += l.source.Lost()
	_ = l.source.Close()
	l.source = nil
	if ctx.Err() == nil && !errors.Is(err, dataplane.ErrNotStarted) {
		l.problem = "no events: " + err.Error()
	}
}

func (l *latestEvents) add(e dataplane.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ring) < eventsKept {
		l.ring = append(l.ring, e)
		return
	}
	l.ring[l.next] = e
	l.next = (l.next + 1) % eventsKept
}

func (l *latestEvents) get() top.Events {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := top.Events{Lost: l.before, Problem: l.problem, Last: make([]dataplane.Event, 0, len(l.ring))}
	if l.source != nil {
		e.Lost += l.source.Lost()
	}
	e.Last = append(e.Last, l.ring[l.next:]...)
	e.Last = append(e.Last, l.ring[:l.next]...)
	return e
}
