package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
)

type statusResult struct {
	State      string            `json:"state"`
	Home       bool              `json:"home"`
	Since      *time.Time        `json:"since"`           // of start; null: it is not known, or not started
	Version    string            `json:"version"`         // of the loaded programs
	Command    string            `json:"command_version"` // of this command
	Layout     int               `json:"layout"`          // of what is pinned
	Observers  []string          `json:"observers"`
	Cgroup     string            `json:"cgroup"`
	Rules      int               `json:"rules"`
	Generation uint32            `json:"generation"`
	History    bool              `json:"history"`
	Audit      bool              `json:"audit"`
	Interfaces []uplinkRow       `json:"interfaces"` // those that the rules' targets name
	RulesHit   int               `json:"rules_hit"`  // rules that decided a connection
	HitsSum    uint64            `json:"hits_sum"`   // connections that they decided
	Hits       []hitRow          `json:"hits"`       // of those with the most, at most mostHits
	Learnt     learntSum         `json:"learnt"`
	Leaks      []leakRow         `json:"leaks"` // the last ones, the latest first
	Programs   []programRow      `json:"programs"`
	Libraries  []libraryRow      `json:"libraries"`
	Maps       []mapRow          `json:"maps"`
	Counters   map[string]uint64 `json:"counters"`
	Memory     uint64            `json:"memory_bytes"`
	Warnings   []string          `json:"warnings"`

	Configuration configState `json:"configuration"`
}

// mostHits is how many rules status tells the hits of.
const mostHits = 1000

type programRow struct {
	Name     string `json:"name"`
	Hook     string `json:"hook"`
	ID       uint32 `json:"id"`
	Attached bool   `json:"attached"`
	Verified uint32 `json:"verified_instructions"`
}

// libraryRow is a C library there is, with the functions of it that are observed.
type libraryRow struct {
	Path      string   `json:"path"`
	PID       int      `json:"pid"` // a process that maps it; 0: it is installed
	Attached  bool     `json:"attached"`
	Functions []string `json:"functions"`
}

// uplinkRow is an interface that rules lead to.
type uplinkRow struct {
	Name   string `json:"name"`
	Index  int    `json:"index"` // 0: it does not exist
	Exists bool   `json:"exists"`
	Up     bool   `json:"up"`
	Link   bool   `json:"link"`
	IPv4   bool   `json:"ipv4"` // it has an address, not counting link-local ones
	IPv6   bool   `json:"ipv6"`
	Rules  int    `json:"rules"` // whose target names it
	Leads  int    `json:"leads"` // of these, those that lead there now
	Hits   uint64 `json:"hits"`  // connections that rules decided which lead there now
}

type hitRow struct {
	Pattern   string `json:"pattern"`
	Condition string `json:"condition,omitempty"`
	Target    string `json:"target"`
	Count     uint64 `json:"count"`
}

type leakRow struct {
	Time      time.Time `json:"time"`
	Name      string    `json:"name"`
	Address   string    `json:"address"`
	Port      uint16    `json:"port"`
	PID       uint32    `json:"pid"`
	UID       uint32    `json:"uid"`
	Comm      string    `json:"comm"`
	Rule      string    `json:"rule,omitempty"`
	Condition string    `json:"condition,omitempty"`
	Target    string    `json:"target,omitempty"`
}

// learntSum sums up the learnt names that still count.
type learntSum struct {
	Addresses int `json:"addresses"`
	Process   int `json:"process"`
	User      int `json:"user"`
	Host      int `json:"host"`
	Conflicts int `json:"conflicts"`
}

type mapRow struct {
	Name    string `json:"name"`
	Entries int    `json:"entries"`
	Max     int    `json:"max"`
	LRU     bool   `json:"lru"` // full: the least lately used goes
}

func (a *app) status() *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell what runs in the kernel, on one screen; exit 1 if nothing does",
		Long: `Tells whether domain-route is started and since when, by which version, what it observes, its rules and how they
stand to the configuration, the interfaces that they lead to, what is learnt, and the counters that are not 0
(docs/counters.md explains them). Warnings come first, on standard error. What does not fit on a screen of 80x24 is summed
up; --all shows everything: also the programs, C libraries, maps, and the rules with the most hits. A hit is a connection, or
the first datagram of one, that a rule decided.

Exit codes: 0 started, 1 not, 3 it cannot be told, for want of permission for instance.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			o, err := a.lookAround(all || a.output == "json")
			if err != nil {
				return err
			}
			page := a.printFront
			if all {
				page = a.printAll
			}
			if err := a.print("Status", o.data(), func() { page(o) }); err != nil {
				return err
			}
			if o.State != dataplane.StateStarted {
				if o.State == dataplane.StateStopped && len(o.Warnings) == 0 && a.output != "json" && (a.Terminal || a.ErrTerminal) {
					a.warn("start it: domain-route start")
				}
				return errNo
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "show everything, however long")
	return cmd
}

// data is what -o json prints.
func (o overview) data() statusResult {
	r := statusResult{
		State: o.State, Home: o.Home, Version: o.Version, Command: version, Observers: notNil(o.Observers), Cgroup: o.Cgroup, Rules: o.Rules,
		Generation: o.Generation, History: o.History, Audit: o.Audit, Interfaces: []uplinkRow{}, RulesHit: o.sums.Rules, HitsSum: o.sums.Sum, Hits: []hitRow{},
		Leaks: []leakRow{}, Programs: []programRow{}, Libraries: []libraryRow{}, Maps: []mapRow{}, Counters: map[string]uint64{}, Memory: o.Memory,
		Warnings: notNil(o.Warnings), Configuration: o.config, Learnt: learntSum{
			o.learnt.Addresses, o.learnt.Names[dataplane.LevelProcess], o.learnt.Names[dataplane.LevelUser], o.learnt.Names[dataplane.LevelHost], o.learnt.Conflicts,
		},
	}
	if !o.Since.IsZero() {
		r.Since = &o.Since
	}
	if o.State == dataplane.StateStarted {
		r.Layout = dataplane.Layout
	}
	for _, w := range o.uplinks {
		r.Interfaces = append(r.Interfaces, uplinkRow{w.Name, w.Index, w.Exists, w.Up, w.Carrier, len(w.Addrs4) > 0, len(w.Addrs6) > 0, w.rules, w.leads, w.hits})
	}
	for _, h := range o.hits[:min(len(o.hits), mostHits)] {
		r.Hits = append(r.Hits, hitRow{h.Rule.Pattern.String(), h.Rule.Condition.String(), h.Rule.Target.String(), h.Count})
	}
	for _, l := range o.leaks {
		r.Leaks = append(r.Leaks, leakRowOf(l))
	}
	for _, p := range o.Programs {
		r.Programs = append(r.Programs, programRow(p))
	}
	for _, l := range o.Libraries {
		r.Libraries = append(r.Libraries, libraryRow{l.Path, l.PID, l.Attached, notNil(l.Functions)})
	}
	for _, f := range o.fill {
		r.Maps = append(r.Maps, mapRow{f.Map, f.Entries, f.Max, f.LRU})
	}
	for _, c := range o.Counters {
		r.Counters[c.Name] = c.Value
	}
	return r
}

func leakRowOf(l dataplane.Leak) leakRow {
	row := leakRow{Time: l.When, Name: nameText(l.Name), Address: l.Address.String(), Port: l.Port, PID: l.PID, UID: l.UID, Comm: l.Comm}
	if l.Ruled {
		row.Rule, row.Condition, row.Target = l.Rule.Pattern.String(), l.Rule.Condition.String(), l.Rule.Target.String()
	}
	return row
}

// notNil is for JSON, where a list of nothing is [].
func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func yesOrNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func thisOrAnother(this bool) string {
	if this {
		return "this one"
	}
	return "another one"
}
