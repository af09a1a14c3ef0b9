// Package top is the full-screen view: messages in, a screen out. What it shows comes from a Source; it reads nothing of
// the system itself.
package top

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
)

// every is how often the source is read.
const every = time.Second

// again is when it is read again if it could not be.
const again = 100 * time.Millisecond

// Source is what is shown. Its methods are called from several goroutines, Read and Events never twice at a time.
type Source interface {
	Read() Snapshot
	Events() Events
	Explain(Subject) (string, error)
}

// Snapshot is how things stand.
type Snapshot struct {
	When       time.Time
	Started    bool
	Since      time.Time // of start; zero: not known
	Version    string
	Rules      int
	Counters   map[string]uint64
	Hits       []dataplane.Hit
	Interfaces []Interface
	Names      []dataplane.Standing // the same slice as long as they were not read again
	Leaks      []dataplane.Leak
	Problem    string // what is wrong; empty: nothing
	Missed     bool   // nothing could be read but the time
}

// Interface is one that rules lead to.
type Interface struct {
	netdev.Facts
	Rules int // that have it in their target
}

// Events are what a Watcher gave.
type Events struct {
	Last    []dataplane.Event // the latest, in their order
	Lost    uint64            // since the beginning
	Problem string            // why there are none
}

// Subject is what a line is about, as explain takes it.
type Subject struct {
	Arg      string // a name or an address
	PID, UID uint32
}

// Options are the world's.
type Options struct {
	Printable func(string) string // makes safe what others wrote
	User      func(uid uint32) string
	ASCII     bool // the terminal may not have other characters
	NoSuspend bool // nobody could continue us
}

// Model is a tea.Model.
type Model struct {
	o             Options
	source        Source
	width, height int

	snap   Snapshot
	events Events
	rates  rates
	data   data // as shown
	fresh  data // as it is
	paused bool

	pane    int
	views   [panes]paneState
	filter  string
	typing  bool
	overlay *overlay
	reading bool
	visible int // rows of the selected pane
}

// The panes.
const (
	paneRules = iota
	paneInterfaces
	paneEvents
	paneNames
	paneLeaks
	panes
)

// paneState is what a pane keeps while others are looked at.
type paneState struct {
	at   int    // the selected row
	id   string // and what it is about
	top  int    // the first row shown
	sort int
}

// data are the rows of all panes.
type data [panes][]row

type (
	tickMsg    struct{}
	readMsg    struct{ snap Snapshot }
	eventsMsg  struct{ events Events }
	explainMsg struct {
		subject Subject
		text    string
		err     error
	}
)

// New makes a model with nothing read yet.
func New(source Source, o Options) *Model {
	return &Model{o: o, source: source, width: 80, height: 24}
}

// Init begins to read.
func (m *Model) Init() tea.Cmd {
	m.reading = true
	return tea.Batch(m.read(), m.look(), tick())
}

func (m *Model) read() tea.Cmd { return func() tea.Msg { return readMsg{m.source.Read()} } }
func (m *Model) readAgain() tea.Cmd {
	return tea.Tick(again, func(time.Time) tea.Msg { return readMsg{m.source.Read()} })
}
func (m *Model) look() tea.Cmd { return func() tea.Msg { return eventsMsg{m.source.Events()} } }
func tick() tea.Cmd            { return tea.Tick(every, func(time.Time) tea.Msg { return tickMsg{} }) }

// Update takes one message.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tickMsg:
		if m.reading { // the last reading takes its time: another command holds the lock
			return m, tea.Batch(m.look(), tick())
		}
		m.reading = true
		return m, tea.Batch(m.read(), m.look(), tick())
	case readMsg:
		m.take(msg.snap)
		if msg.snap.Missed { // another command has the lock, mostly for some milliseconds
			return m, m.readAgain()
		}
		m.reading = false
	case eventsMsg:
		m.events = msg.events
		m.fresh[paneEvents] = m.eventRows()
		m.show()
	case explainMsg:
		m.explained(msg)
	case tea.KeyPressMsg:
		return m, m.key(msg.String(), msg.Text)
	}
	return m, nil
}

// take takes in how things stand now. What could not be read stays as it was.
func (m *Model) take(s Snapshot) {
	if s.Missed {
		m.snap.Problem = s.Problem
		return
	}
	m.rates.add(s)
	sameNames := m.fresh[paneNames] != nil && same(s.Names, m.snap.Names)
	m.snap = s
	m.fresh[paneRules] = m.ruleRows()
	m.fresh[paneInterfaces] = m.interfaceRows()
	if !sameNames { // they may be many, and are not read as often
		m.fresh[paneNames] = m.nameRows()
	}
	m.fresh[paneLeaks] = m.leakRows()
	m.show()
}

// same tells whether two slices are one.
func same[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// show shows what is fresh, unless paused: then it is only counted.
func (m *Model) show() {
	if !m.paused {
		m.data = m.fresh
	}
	for p := range panes {
		m.follow(p)
	}
}

// follow keeps the selection on what it was on, unless that is the first row: there the newest is looked for.
func (m *Model) follow(p int) {
	v, rows := &m.views[p], m.rows(p)
	if v.at > 0 && v.id != "" {
		for i := range rows {
			if rows[i].id == v.id {
				v.at = i
				break
			}
		}
	}
	m.selectRow(p, v.at)
}

func (m *Model) selectRow(p, at int) {
	v, rows := &m.views[p], m.rows(p)
	v.at = max(min(at, len(rows)-1), 0)
	v.id = ""
	if v.at < len(rows) {
		v.id = rows[v.at].id
	}
}
