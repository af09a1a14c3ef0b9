package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
)

type statusResult struct {
	State      string            `json:"state"`
	Home       bool              `json:"home"`
	Observers  []string          `json:"observers"`
	Cgroup     string            `json:"cgroup"`
	Rules      int               `json:"rules"`
	Generation uint32            `json:"generation"`
	History    bool              `json:"history"`
	Programs   []programRow      `json:"programs"`
	Libraries  []libraryRow      `json:"libraries"`
	Counters   map[string]uint64 `json:"counters"`
	Memory     uint64            `json:"memory_bytes"`
	Warnings   []string          `json:"warnings"`

	Configuration configState `json:"configuration"`
}

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

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell what runs in the kernel, with all counters; exit 1 if nothing does",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			present, err := devices()
			if err != nil {
				return err
			}
			st, err := dataplane.Inspect(present)
			if err != nil {
				return err
			}
			config := noConfigState()
			if st.State == dataplane.StateStarted {
				config = a.compareConfig(st, present)
			}
			st.Warnings = append(st.Warnings, config.warnings()...)
			st.Warnings = append(st.Warnings, awayWarnings(st, present)...)
			data := statusData(st)
			data.Configuration = config
			if err := a.print("Status", data, func() { a.printStatus(st, config) }); err != nil {
				return err
			}
			if st.State != dataplane.StateStarted {
				return errNo
			}
			return nil
		},
	}
}

func statusData(st dataplane.Status) statusResult {
	r := statusResult{
		State: st.State, Home: st.Home, Observers: notNil(st.Observers), Cgroup: st.Cgroup, Rules: st.Rules,
		Generation: st.Generation, History: st.History, Programs: []programRow{}, Libraries: []libraryRow{}, Counters: map[string]uint64{}, Memory: st.Memory,
		Warnings: notNil(st.Warnings),
	}
	for _, p := range st.Programs {
		r.Programs = append(r.Programs, programRow(p))
	}
	for _, l := range st.Libraries {
		r.Libraries = append(r.Libraries, libraryRow{l.Path, l.PID, l.Attached, notNil(l.Functions)})
	}
	for _, c := range st.Counters {
		r.Counters[c.Name] = c.Value
	}
	return r
}

// notNil is for JSON, where a list of nothing is [].
func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (a *app) printStatus(st dataplane.Status, config configState) {
	for _, w := range st.Warnings {
		a.warn("warning: %s", w)
	}
	fmt.Fprintln(a.Stdout, st.State)
	if st.State == dataplane.StateStopped || st.Cgroup == "" {
		return
	}
	fmt.Fprintf(a.Stdout, "observers: %s\ncgroup: %s\nnetwork namespace: %s\nrules: %d (generation %d)\nconfiguration: %s\nhistory: %s\nkernel memory: %.1f MB\n",
		printable(strings.Join(st.Observers, " ")), printable(st.Cgroup), thisOrAnother(st.Home), st.Rules, st.Generation, printable(config.String()),
		yesOrNo(st.History), float64(st.Memory)/1e6)
	fmt.Fprintln(a.Stdout, "\nprograms:")
	for _, p := range st.Programs {
		state := ""
		if !p.Attached {
			state = " (not attached)"
		}
		fmt.Fprintf(a.Stdout, "  %-12s %s, id %d%s\n", printable(p.Hook), p.Name, p.ID, state)
	}
	a.printLibraries(st.Libraries)
	fmt.Fprintln(a.Stdout, "\ncounters that are not 0 (docs/counters.md explains them):")
	none := true
	for _, c := range st.Counters {
		if c.Value > 0 {
			none = false
			fmt.Fprintf(a.Stdout, "  %-24s %d\n", c.Name, c.Value)
		}
	}
	if none {
		fmt.Fprintln(a.Stdout, "  none")
	}
}

func yesOrNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func (a *app) printLibraries(all []dataplane.Library) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(a.Stdout, "\nC libraries:")
	for _, l := range all {
		state := fmt.Sprintf("%d functions", len(l.Functions))
		if !l.Attached {
			state += " (not attached)"
		}
		of := ""
		if l.PID != 0 {
			of = fmt.Sprintf(" of process %d", l.PID)
		}
		fmt.Fprintf(a.Stdout, "  %s%s: %s\n", printable(l.Path), of, state)
	}
}

func thisOrAnother(this bool) string {
	if this {
		return "this one"
	}
	return "another one"
}
