package metrics

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// busy is a snapshot with something of everything.
func busy(t testing.TB) Snapshot {
	t.Helper()
	s := Snapshot{
		State: "started", States: []string{"started", "stopped"}, Started: true, CommandVersion: "2", Version: "1", Layout: 4,
		Since: time.Unix(1_700_000_000, 5e8), Warnings: 2, History: true, Configuration: Configuration{Readable: true, Differs: true},
		Rules: 7, RulesHit: 3, Memory: 1000, LastLeak: time.Unix(1_700_000_100, 0), OtherHits: 3,
		Hits:       []Hit{{"a.test", "", "wg0", 9}, {"=b\\\".test", "user=5", "wg0,wan0", 5}},
		Targets:    []Target{{"wg0", 5, 12}, {"wg0,wan0", 2, 5}},
		Learnt:     Learnt{Addresses: 3, Conflicts: 1, Names: map[string]int{"process": 4, "user": 2, "host": 1}},
		Maps:       []Map{{"users_ruled", 3, 12288}},
		Interfaces: []Interface{{"wg0", true, true, 1, 2, 7}, {"bad\xff\nname", false, false, 0, 0, 1}},
		Counters:   map[string]uint64{"audit_found": 1, "of_no_family": 6},
	}
	for i, name := range append(counterNames(t), "event_lost", "hit_lost") {
		s.Counters[name] = uint64(i + 1)
	}
	return s
}

// counterNames are those of docs/counters.md.
func counterNames(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/counters.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ := strings.Cut(rest, "`")
			names = append(names, name)
		}
	}
	if len(names) < 58 {
		t.Fatalf("%d counters only: is the reader broken?", len(names))
	}
	return names
}

func written(t testing.TB, s Snapshot) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// value is what a series has.
func value(t testing.TB, text, series string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, Prefix+series+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "none"
}

// What is written is as Prometheus would have it, and it can be read by what reads it.
func TestFormat(t *testing.T) {
	for name, s := range map[string]Snapshot{"busy": busy(t), "stopped": {State: "stopped", States: []string{"started", "stopped"}}} {
		text := written(t, s)
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v, %v", name, problems, err)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		if name != "busy" {
			continue
		}
		for _, f := range Families {
			got := families[Prefix+f.Name]
			if got == nil {
				t.Errorf("nothing of %s%s is written", Prefix, f.Name)
				continue
			}
			if strings.ToLower(got.GetType().String()) != string(f.Kind) || got.GetHelp() != f.Help {
				t.Errorf("%s: %v", f.Name, got)
			}
		}
		if len(families) != len(Families) {
			t.Errorf("%d metrics are written, and %d described", len(families), len(Families))
		}
	}
}

func TestValues(t *testing.T) {
	text := written(t, busy(t))
	for series, want := range map[string]string{
		`up`: "1", `state{state="started"}`: "1", `state{state="stopped"}`: "0",
		`info{command_version="2",layout="4",version="1"}`: "1",
		`start_time_seconds`: "1.7000000005e+09",
		`rule_hits_total{condition="",pattern="a.test",target="wg0"}`:                 "9",
		`rule_hits_total{condition="user=5",pattern="=b\\\".test",target="wg0,wan0"}`: "5",
		`rule_hits_total{condition="",pattern="c.test",target="wg0"}`:                 "none",
		`rule_hits_total{condition="",pattern="(others)",target=""}`:                  "3",
		`target_hits_total{target="wg0"}`:                                             "12",
		`interface_exists{interface="wg0"}`:                                           "1",
		`interface_up{interface="bad` + "\ufffd" + `\nname"}`:                         "0",
		`other_total{counter="of_no_family"}`:                                         "6",
		`learnt_names{level="user"}`:                                                  "2",
		`map_capacity{map="users_ruled"}`:                                             "12288",
		`configuration_differs`:                                                       "1",
	} {
		if got := value(t, text, series); got != want {
			t.Errorf("%s is %s, want %s", series, got, want)
		}
	}
	text = written(t, Snapshot{State: "stopped", States: []string{"started", "stopped"}, CommandVersion: "2"})
	if value(t, text, "up") != "0" || value(t, text, `state{state="stopped"}`) != "1" || strings.Contains(text, "rules") {
		t.Errorf("stopped:\n%s", text)
	}
}

// Every counter there is has its own series, of a metric with its value, and none is only among the others.
func TestEveryCounter(t *testing.T) {
	s := busy(t)
	series := map[Place]string{}
	text := written(t, s)
	for _, name := range counterNames(t) {
		p := PlaceOf(name)
		if other, twice := series[p]; twice {
			t.Errorf("%s and %s are one series", name, other)
		}
		series[p] = name
		f, ok := FamilyOf(p.Metric)
		if !ok || f.Kind != Counter || p.Metric == "other_total" || (p.Value != "") != (len(f.Labels) == 1) {
			t.Errorf("%s is in %+v", name, p)
			continue
		}
		if !slices.Contains(Groups, p.Group) {
			t.Errorf("%s is in no group of status", name)
		}
		line := p.Metric
		if p.Value != "" {
			line += "{" + f.Labels[0] + `="` + p.Value + `"}`
		}
		if got, want := value(t, text, line), s.Counters[name]; got != strconv.FormatUint(want, 10) {
			t.Errorf("%s is %s, want %d", line, got, want)
		}
	}
}

// The JSON says what the text says.
func TestMetrics(t *testing.T) {
	all, err := busy(t).Metrics()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(m Metric) bool { return m.Name == Prefix+"target_hits_total" })
	want := []Series{{map[string]string{"target": "wg0"}, 12}, {map[string]string{"target": "wg0,wan0"}, 5}}
	if i < 0 || all[i].Type != "counter" {
		t.Fatalf("%+v", all)
	}
	if diff := cmp.Diff(want, all[i].Series); diff != "" {
		t.Error(diff)
	}
}

// A file is replaced whole, everybody may read it, and a link in its place is no way to another file.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "a.prom"), filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, path); err != nil {
		t.Fatal(err)
	}
	if err := busy(t).WriteFile(path); err != nil {
		t.Fatal(err)
	}
	st, err := os.Lstat(path)
	if err != nil || st.Mode() != 0o644 {
		t.Errorf("%v, %v", st, err)
	}
	if b, err := os.ReadFile(other); err != nil || string(b) != "other" {
		t.Errorf("the link's target is %q, %v", b, err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != written(t, busy(t)) {
		t.Errorf("%q, %v", b, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestCheckFile(t *testing.T) {
	for path, better := range map[string]string{
		"a.prom": "", "/x/y.prom": "", "/x/.a.prom": "", "a.txt": "a.prom", "/x.d/a": "/x.d/a.prom", "": "domain-route.prom", "/x/": "/x/domain-route.prom",
		"a.prom/": "a.prom/domain-route.prom", "a.prom.": "a.prom.prom",
	} {
		err := CheckFile(path)
		if (err == nil) != (better == "") || err != nil && !strings.HasSuffix(err.Error(), "; write: "+better) {
			t.Errorf("%q: %v, want %q", path, err, better)
		}
		if better != "" && CheckFile(better) != nil {
			t.Errorf("%q is refused, too", better)
		}
	}
}
