package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/metrics"
)

// usualSeries is how many rules have a series of their own in metrics, if nothing else is asked for.
const usualSeries = 1000

func (a *app) metrics() *cobra.Command {
	var file string
	var series int
	cmd := &cobra.Command{
		Use:   "metrics",
		Short: "Print what status counts in the format of Prometheus",
		Long: `Prints counters and state in the text format of Prometheus, for its node_exporter: with --textfile into a file that its
textfile collector reads. The file is replaced whole, and everybody may read it, with the patterns of the rules that
decided something; --series 0 leaves those out. docs/metrics.md lists the metrics; contrib/ has a timer and a dashboard.

That domain-route is not started is no failure: domain_route_up is 0 then. With -o json the same is printed as JSON.

Exit codes: 0 done, 2 wrong usage, 3 refused, or the file cannot be written.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if series < 0 {
				return usageError{fmt.Errorf("--series %d: it is how many rules have a series of their own, from 0 on", series)}
			}
			if cmd.Flags().Changed("textfile") {
				if err := metrics.CheckFile(file); err != nil {
					return usageError{err}
				}
			}
			o, err := a.lookAround(series > 0)
			if err != nil {
				return err
			}
			s := o.snapshot(series)
			if file != "" {
				return a.writeMetrics(s, file)
			}
			return a.printMetrics(s)
		},
	}
	cmd.Flags().StringVar(&file, "textfile", "", "write to `FILE`, whose name ends in .prom, for node_exporter")
	cmd.Flags().IntVar(&series, "series", usualSeries, "so many rules, of those with the most hits, have a series of their own; the rest is summed up")
	_ = cmd.MarkFlagFilename("textfile", strings.TrimPrefix(metrics.Extension, "."))
	return cmd
}

func (a *app) printMetrics(s metrics.Snapshot) error {
	if a.output != "json" {
		return s.Write(a.Stdout)
	}
	all, err := s.Metrics()
	if err != nil {
		return err
	}
	return a.print("Metrics", map[string]any{"metrics": all}, nil)
}

func (a *app) writeMetrics(s metrics.Snapshot, file string) error {
	err := s.WriteFile(file)
	switch dir := filepath.Dir(file); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("write the metrics: %s; make its directory: mkdir -p %s", err.Error(), dir)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("write the metrics: %s, as a directory; give the name of a file, or remove it: rmdir %s", err.Error(), file)
	case err != nil:
		return fmt.Errorf("write the metrics: %s", err.Error()) // not as an error of a file that was to be read
	}
	if a.output != "json" {
		return nil
	}
	return a.print("MetricsFile", map[string]any{"file": file}, nil)
}

// snapshot is the overview in the words of package metrics.
func (o overview) snapshot(series int) metrics.Snapshot {
	s := metrics.Snapshot{
		State: o.State, Started: o.State == dataplane.StateStarted, CommandVersion: printable(version),
		States:  []string{dataplane.StateStarted, dataplane.StateStopped, dataplane.StateUnfinished, dataplane.StateForeign, dataplane.StateDamaged},
		Version: printable(o.Version), Layout: dataplane.Layout, Since: o.Since, Warnings: len(o.Warnings), History: o.History, Audit: o.Audit,
		Configuration: metrics.Configuration{Readable: o.config.Error == "", Differs: o.config.Differs || len(o.config.Settings) > 0},
		Rules:         o.Rules, RulesHit: o.sums.Rules, Memory: o.Memory, Counters: map[string]uint64{},
		Learnt: metrics.Learnt{Addresses: o.learnt.Addresses, Conflicts: o.learnt.Conflicts, Names: map[string]int{}},
	}
	if series == 0 {
		s.OtherHits = o.sums.Sum
	}
	for i, h := range o.hits {
		if i >= series {
			s.OtherHits += h.Count // not the sum less those before, which was read earlier: what counts must not fall
			continue
		}
		s.Hits = append(s.Hits, metrics.Hit{
			Pattern: printable(h.Rule.Pattern.String()), Condition: printable(h.Rule.Condition.String()), Target: printable(h.Rule.Target.String()), Count: h.Count,
		})
	}
	for _, t := range o.Targets {
		s.Targets = append(s.Targets, metrics.Target{Text: printable(t.Target.String()), Rules: t.Rules, Hits: o.sums.ByTarget[t.Target]})
	}
	for _, c := range o.Counters {
		s.Counters[c.Name] = c.Value
	}
	if len(o.leaks) > 0 {
		s.LastLeak = o.leaks[0].When
	}
	for level, n := range o.learnt.Names {
		s.Learnt.Names[string(level)] = n
	}
	for _, f := range o.fill {
		s.Maps = append(s.Maps, metrics.Map{Name: f.Map, Entries: f.Entries, Capacity: f.Max})
	}
	for _, w := range o.uplinks {
		s.Interfaces = append(s.Interfaces, metrics.Interface{
			Name: printable(w.Name), Exists: w.Exists, Up: w.usable(), Addresses4: len(w.Addrs4), Addresses6: len(w.Addrs6), Rules: w.rules,
		})
	}
	return s
}
