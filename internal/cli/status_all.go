package cli

import (
	"fmt"
	"strings"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// printAll prints everything, however long.
func (a *app) printAll(o overview) {
	for _, w := range o.Warnings {
		a.warn("warning: %s", w)
	}
	if o.State == dataplane.StateStopped || o.Cgroup == "" {
		fmt.Fprintln(a.Stdout, o.State)
		return
	}
	fmt.Fprintf(a.Stdout, "%s\nobservers: %s\ncgroup: %s\nnetwork namespace: %s\nrules: %d (generation %d)\nconfiguration: %s\nhistory: %s\naudit: %s\nkernel memory: %.1f MB\nlearnt: %s\n",
		printable(o.sinceWords()), printable(strings.Join(o.Observers, " ")), printable(o.Cgroup), thisOrAnother(o.Home), o.Rules, o.Generation,
		printable(o.config.String()), yesOrNo(o.History), yesOrNo(o.Audit), float64(o.Memory)/1e6, o.learntWords())
	a.section(o.uplinkLines(len(o.uplinks) + 1))
	a.section(o.hitLines())
	a.printPrograms(o.Programs)
	a.printLibraries(o.Libraries)
	a.printMaps(o.fill)
	a.section(o.leakLines(len(o.leaks)))
	a.printCounters(o.Counters)
}

// section prints lines, the first of which is a heading, behind an empty one.
func (a *app) section(lines []string) {
	for i, line := range lines {
		if i == 0 {
			fmt.Fprintln(a.Stdout)
		}
		fmt.Fprintln(a.Stdout, printable(line))
	}
}

// hitLines are the rules with the most hits.
func (o overview) hitLines() []string {
	if len(o.hits) == 0 {
		return nil
	}
	lines := []string{fmt.Sprintf("rules that decided connections: %d, in sum %d connections:", len(o.hits), o.sums.Sum)}
	for _, h := range o.hits[:min(len(o.hits), mostHits)] {
		lines = append(lines, fmt.Sprintf("  %10d  %s", h.Count, ruleArrow(h.Rule)))
	}
	if more := len(o.hits) - mostHits; more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", more))
	}
	return lines
}

func (a *app) printPrograms(all []dataplane.Program) {
	fmt.Fprintln(a.Stdout, "\nprograms:")
	for _, p := range all {
		state := ""
		if !p.Attached {
			state = " (not attached)"
		}
		fmt.Fprintf(a.Stdout, "  %-12s %s, id %d%s\n", printable(p.Hook), p.Name, p.ID, state)
	}
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

func (a *app) printMaps(all []dataplane.Fill) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(a.Stdout, "\nmaps:")
	for _, f := range all {
		evicts := ""
		if f.LRU {
			evicts = ", the least lately used goes"
		}
		fmt.Fprintf(a.Stdout, "  %-16s %d of %d%s\n", f.Map, f.Entries, f.Max, evicts)
	}
}

func (a *app) printCounters(all []dataplane.Counter) {
	fmt.Fprintln(a.Stdout, "\ncounters that are not 0 (docs/counters.md explains them):")
	none := true
	for _, c := range all {
		if c.Value > 0 {
			none = false
			fmt.Fprintf(a.Stdout, "  %-24s %d\n", c.Name, c.Value)
		}
	}
	if none {
		fmt.Fprintln(a.Stdout, "  none")
	}
}

// ruleArrow is a rule's pattern with its condition, if it has one, and where it leads.
func ruleArrow(r ruleset.Rule) string {
	return fmt.Sprintf("%s -> %s", withCondition(r.Pattern.String(), r.Condition.String()), r.Target)
}
