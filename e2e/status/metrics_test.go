package status

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
	"github.com/domain-route/domain-route/internal/metrics"
)

// scrape reads metrics as Prometheus does: the value of each series, by name{label="value",...} with the labels sorted.
func scrape(t testing.TB, text string) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	all := map[string]float64{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+`="`+l.GetValue()+`"`)
			}
			slices.Sort(labels)
			key := strings.TrimPrefix(name, metrics.Prefix)
			if len(labels) > 0 {
				key += "{" + strings.Join(labels, ",") + "}"
			}
			all[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

// What is counted is what happened: so many connections by a rule, and the packets left by its interface.
func TestHits(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "vpn.test", "vpn0")
	h.Must("rule", "add", "vpn.test", "wan0", "user=1234")
	h.Must("rule", "add", "block.test", "block")
	a, other := h.MustAgent(lab.AgentOptions{}), h.MustAgent(lab.AgentOptions{UID: 1234})
	to, blocked := h.MustHost("www.vpn.test"), h.MustHost("block.test")
	for _, agent := range []*lab.Agent{a, other} {
		check(t, via.Learn(agent, "www.vpn.test", "block.test"))
	}
	want := map[string]float64{}
	count := func(agent *lab.Agent, host lab.Host, n int, out string, series ...string) {
		for range n {
			if got := via.Out(h.Lab, agent, via.TCP4, host); got != out {
				t.Errorf("a connection left by %s, want %s", got, out)
			}
		}
		for _, s := range series {
			want[s] += float64(n)
		}
	}
	before := scrape(t, h.Must("metrics"))
	count(a, to, 5, "vpn0", `rule_hits_total{condition="",pattern="vpn.test",target="vpn0"}`, `target_hits_total{target="vpn0"}`, `verdicts_total{verdict="steered"}`)
	count(other, to, 3, "wan0", `rule_hits_total{condition="user=1234",pattern="vpn.test",target="wan0"}`, `target_hits_total{target="wan0"}`, `verdicts_total{verdict="steered"}`)
	count(a, blocked, 2, "EHOSTUNREACH", `rule_hits_total{condition="",pattern="block.test",target="block"}`, `target_hits_total{target="block"}`, `verdicts_total{verdict="blocked"}`)
	text := h.Must("metrics")
	after := scrape(t, text)
	for series, n := range want {
		if got := after[series] - before[series]; got != n {
			t.Errorf("%s: %v more, want %v", series, got, n)
		}
	}
	for series, n := range map[string]float64{`up`: 1, `rules`: 3, `rules_hit`: 3, `target_rules{target="vpn0"}`: 1, `interface_up{interface="vpn0"}`: 1,
		`learnt_addresses`: 4, `state{state="started"}`: 1, `rule_hits_total{condition="",pattern="(others)",target=""}`: 0} {
		if after[series] != n {
			t.Errorf("%s: %v, want %v", series, after[series], n)
		}
	}
	if problems, err := promlint.New(strings.NewReader(text)).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	if few := scrape(t, h.Must("metrics", "--series", "1")); few[`rule_hits_total{condition="",pattern="(others)",target=""}`] != 5 ||
		few[`rule_hits_total{condition="",pattern="vpn.test",target="vpn0"}`] != 5 {
		t.Errorf("with one series: %v", few)
	}
	s := inspect(h)
	if s.RulesHit != 3 || s.HitsSum != 10 || len(s.Hits) != 3 || s.Hits[0] != (hit{"vpn.test", "", "vpn0", 5}) {
		t.Errorf("status: %+v", s.Hits)
	}
	for _, i := range s.Interfaces {
		if want := map[string]uint64{"vpn0": 5, "wan0": 3}[i.Name]; i.Hits != want {
			t.Errorf("status: %s has %d hits, want %d", i.Name, i.Hits, want)
		}
	}
	if page := h.Must("status"); !strings.Contains(page, "; 3 of them decided 10 connections\n") {
		t.Error(page)
	}
	if page := h.Must("status", "--all"); !strings.Contains(page, "\n           3  vpn.test user=1234 -> wan0\n") {
		t.Error(page)
	}
}

// Every counter that status knows has a series.
func TestEveryCounter(t *testing.T) {
	h := harness.Started(t)
	all := scrape(t, h.Must("metrics"))
	for name := range inspect(h).Counters {
		p := metrics.PlaceOf(name)
		f, _ := metrics.FamilyOf(p.Metric)
		series := p.Metric
		if len(f.Labels) > 0 {
			series += "{" + f.Labels[0] + `="` + p.Value + `"}`
		}
		if _, ok := all[series]; !ok || p.Metric == "other_total" {
			t.Errorf("%s: %s", name, series)
		}
	}
}

// That nothing is started is no failure of metrics, and told by it.
func TestStopped(t *testing.T) {
	h := harness.New(t, lab.Options{})
	if r := h.Run("status"); r.Code != 1 || r.Stdout != "stopped\n" || r.Stderr != "" {
		t.Errorf("status: %+v", r)
	}
	if r := h.Run("status", "--all"); r.Code != 1 || r.Stdout != "stopped\n" {
		t.Errorf("status --all: %+v", r)
	}
	r := h.Run("metrics")
	all := scrape(t, r.Stdout)
	if up, ok := all["up"]; r.Code != 0 || r.Stderr != "" || !ok || up != 0 || all[`state{state="stopped"}`] != 1 || len(all) != 7 {
		t.Errorf("metrics: exit %d, %s%v", r.Code, r.Stderr, all)
	}
	var list struct{ Metrics []metrics.Metric }
	if r := h.JSON(&list, "metrics"); r.Code != 0 || len(list.Metrics) != 3 {
		t.Errorf("%+v", list)
	}
}

// The file is one that node_exporter reads, whole at every moment; what is wrong is told, and leaves it as it was.
func TestTextfile(t *testing.T) {
	h := harness.Started(t)
	file := filepath.Join(h.Dir, "domain-route.prom")
	h.Must("metrics", "--textfile", file)
	var st unix.Stat_t
	check(t, unix.Lstat(file, &st))
	if st.Mode != unix.S_IFREG|0o644 || st.Uid != 0 {
		t.Errorf("mode %o, of %d", st.Mode, st.Uid)
	}
	ctx, stop := context.WithCancel(t.Context())
	var reader sync.WaitGroup
	reads := 0
	reader.Go(func() {
		for ; ctx.Err() == nil; reads++ {
			b, err := os.ReadFile(file)
			if err != nil || !strings.HasSuffix(string(b), "\n") || !strings.Contains(string(b), "\ndomain_route_warnings ") {
				t.Errorf("read %d: %v, %q", reads, err, b)
				return
			}
		}
	})
	for range 5 {
		if out := h.Must("metrics", "--textfile", file); out != "" {
			t.Errorf("it prints %q", out)
		}
	}
	stop()
	reader.Wait()
	if reads < 10 {
		t.Errorf("read %d times only", reads)
	}
	// Whoever owns the directory cannot have another file written: a link is replaced.
	other := filepath.Join(h.Dir, "other")
	check(t, os.WriteFile(other, []byte("as it was"), 0o600))
	check(t, os.Remove(file))
	check(t, os.Symlink(other, file))
	h.Must("metrics", "--textfile", file)
	if b, err := os.ReadFile(other); err != nil || string(b) != "as it was" {
		t.Errorf("by the link: %q, %v", b, err)
	}
	left, err := filepath.Glob(filepath.Join(h.Dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	check(t, os.Mkdir(filepath.Join(h.Dir, "dir.prom"), 0o755))
	for _, c := range []struct {
		code  int
		words string
		args  []string
	}{
		{2, "node_exporter reads files *.prom; write: a.prom", []string{"--textfile", "a.txt"}},
		{2, "node_exporter reads files *.prom", []string{"--textfile", ""}},
		{2, "--series -1", []string{"--series", "-1"}},
		{2, "takes no arguments", []string{"more"}},
		{3, "/gone/a.prom: no such file; make its directory: mkdir -p " + h.Dir + "/gone\n", []string{"--textfile", h.Dir + "/gone/a.prom"}},
		{3, "/dir.prom: file exists, as a directory; ", []string{"--textfile", h.Dir + "/dir.prom"}},
	} {
		r := h.Run(append([]string{"metrics"}, c.args...)...)
		if r.Code != c.code || r.Stdout != "" || !strings.Contains(r.Stderr, c.words) || strings.Count(r.Stderr, "\n") != 1 {
			t.Errorf("%q: %+v", c.args, r)
		}
	}
	h.Must("stop")
	h.Must("metrics", "--textfile", file)
	b, err := os.ReadFile(file)
	check(t, err)
	if all := scrape(t, string(b)); all["up"] != 0 || len(all) != 7 {
		t.Errorf("after stop: %v", all)
	}
}

// The JSON is the same.
func TestMetricsJSON(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "a.test", "vpn0")
	var list struct{ Metrics []metrics.Metric }
	h.JSON(&list, "metrics")
	all := scrape(t, h.Must("metrics"))
	n := 0
	for _, m := range list.Metrics {
		n += len(m.Series)
	}
	if n != len(all) || n < 60 {
		t.Errorf("%d series as JSON, %d as text", n, len(all))
	}
	r := h.Run("metrics", "--textfile", filepath.Join(h.Dir, "a.prom"), "-o", "json")
	var e struct{ Data struct{ File string } }
	if err := json.Unmarshal([]byte(r.Stdout), &e); errors.Join(err) != nil || e.Data.File == "" {
		t.Errorf("%+v", r)
	}
}
