package status

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// state is what the tests want of status -o json.
type state struct {
	State, Version string
	Since          time.Time
	Layout, Rules  int
	Interfaces     []struct {
		Name                         string
		Exists, Up, Link, IPv4, IPv6 bool
		Rules, Leads                 int
		Hits                         uint64
	}
	RulesHit int    `json:"rules_hit"`
	HitsSum  uint64 `json:"hits_sum"`
	Hits     []hit
	Learnt   struct{ Addresses, Process, User, Host, Conflicts int }
	Maps     []struct {
		Name         string
		Entries, Max int
	}
	Counters map[string]uint64
	Warnings []string
}

type hit struct {
	Pattern, Condition, Target string
	Count                      uint64
}

func inspect(h *harness.Host) (s state) {
	h.JSON(&s, "status")
	return s
}

// wantScreen fails unless warnings and page fit on a screen, with a line left for the prompt.
func wantScreen(t *testing.T, warnings, page string) {
	t.Helper()
	height := 0
	for line := range strings.Lines(warnings + page) {
		height += (utf8.RuneCountInString(line) + 78) / 80
	}
	if height > 23 {
		t.Errorf("%d lines:\n%s%s", height, warnings, page)
	}
	for line := range strings.Lines(page) {
		if n := utf8.RuneCountInString(line) - 1; n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// started starts with a configuration of rules.
func started(t *testing.T, h *harness.Host, rules string) (config string) {
	t.Helper()
	dir := filepath.Join(h.Dir, "a-directory-of-a-long-name-as-they-come-in-test-labs")
	check(t, os.Mkdir(dir, 0o755))
	config = filepath.Join(dir, "config.yaml")
	check(t, os.WriteFile(config, []byte(rules), 0o644))
	h.Must("--config", config, "start", "--cgroup", h.Cgroup)
	return config
}

// busyRules lead everywhere: also to 30 interfaces that do not exist.
func busyRules() string {
	var b strings.Builder
	b.WriteString("rules:\n")
	add := func(match, target string) { fmt.Fprintf(&b, "  - {match: %q, target: %q}\n", match, target) }
	for i := range 30 {
		add(fmt.Sprintf("n%d.gone.test", i), fmt.Sprintf("gone%d", i))
	}
	for match, target := range map[string]string{
		"vpn.test": "vpn0", "chain.test": "gone0,vpn0", "maybe.test": "gone1,direct", "direct.test": "direct", "block.test": "block",
		"mark.test": "mark:0x23", "198.18.0.0/24": "vpn0",
	} {
		add(match, target)
	}
	return b.String()
}

// keepBusy has something of everything happen.
func keepBusy(t *testing.T, h *harness.Host) {
	t.Helper()
	a, user := h.MustAgent(lab.AgentOptions{}), h.MustAgent(lab.AgentOptions{UID: 1234})
	for _, name := range []string{"vpn.test", "chain.test", "maybe.test", "direct.test", "block.test", "mark.test", "n0.gone.test", "other.test"} {
		to := h.MustHost(name)
		check(t, via.Learn(a, name))
		check(t, via.Learn(user, name))
		for _, k := range []via.Kind{via.TCP4, via.UDP6} {
			via.Out(h.Lab, a, k, to)
			via.Out(h.Lab, user, k, to)
		}
		via.OutUnconnected(h.Lab, a, to.Addr4)
	}
	_, _ = a.Resolve(lab.Query{Name: "no.such.name.test", Type: 1})
}

// The front page fits on a screen, whatever happens, and says what is left out.
func TestBusy(t *testing.T) {
	h := harness.New(t, lab.Options{})
	config := started(t, h, busyRules())
	keepBusy(t, h)
	r := h.Run("--config", config, "status")
	t.Logf("\n%s%s", r.Stderr, r.Stdout)
	wantScreen(t, r.Stderr, r.Stdout)
	for _, words := range []string{
		"started since 20", "\nobservers: sockets libc", "\ncgroup: " + h.Cgroup, "\nrules: 37 (generation ", "\nconfiguration: its rules run: ", "…\n",
		"  gone", "  does not exist  ", " more\n", "\nlearnt: names of ", "\nconnections: unknown ", "\nrefused: ", "blocked ", "\nanswers: questions ",
		"; everything: domain-route status --all\n",
	} {
		if !strings.Contains("\n"+r.Stdout, words) {
			t.Errorf("no %q", words)
		}
	}
	if n := strings.Count(r.Stderr, "warning: "); n != 3 || !strings.HasSuffix(r.Stderr, "warnings more: 18; see: domain-route status --all\n") {
		t.Errorf("%d warnings:\n%s", n, r.Stderr)
	}
	all := h.Run("--config", config, "status", "--all")
	for i := range 30 {
		if !strings.Contains(all.Stdout, fmt.Sprintf("\n  gone%d ", i)) {
			t.Errorf("--all does not tell of gone%d", i)
		}
	}
	for _, words := range []string{"\nnetwork namespace: this one\n", "\nconfiguration: " + config + " (its rules run)\n", "\nprograms:\n  bind4 ", "\nC libraries:\n",
		"\ncounters that are not 0 (docs/counters.md explains them):\n"} {
		if !strings.Contains(all.Stdout, words) {
			t.Errorf("--all has no %q:\n%s", words, all.Stdout)
		}
	}
	if n := strings.Count(all.Stderr, "no interface of the target"); n != 20 {
		t.Errorf("--all warns of %d targets:\n%s", n, all.Stderr)
	}
}

// Nothing has happened yet: as much as there is to say.
func TestQuiet(t *testing.T) {
	h := harness.Started(t)
	r := h.Run("status")
	wantScreen(t, r.Stderr, r.Stdout)
	if r.Stderr != "" || !strings.Contains(r.Stdout, "\nrules: 0 (generation ") || !strings.Contains(r.Stdout, "\nconfiguration: none\n") ||
		strings.Contains(r.Stdout, "interfaces") || strings.Contains(r.Stdout, "refused:") {
		t.Errorf("%s%s", r.Stderr, r.Stdout)
	}
	s := inspect(h)
	var v struct{ Version string }
	h.JSON(&v, "version")
	if s.Version != v.Version || s.Layout == 0 || time.Since(s.Since) < 0 || time.Since(s.Since) > time.Minute {
		t.Errorf("%+v, of version %q", s, v.Version)
	}
	since := s.Since
	h.Must("start")
	if again := inspect(h).Since; again.Sub(since).Abs() > time.Second {
		t.Errorf("an update in place changes since from %v to %v", since, again)
	}
}

// What status says of interfaces is what they are.
func TestInterfaces(t *testing.T) {
	h := harness.Started(t)
	check(t, h.AddUplink("lte0", lab.UplinkOptions{}))
	check(t, h.SetUplinkState("lte0", false))
	for rule, target := range map[string]string{"a.test": "vpn0", "b.test": "lte0", "c.test": "gone0", "d.test": "gone0,vpn0", "e.test": "block"} {
		h.Must("rule", "add", rule, target)
	}
	got := map[string][]any{}
	for _, i := range inspect(h).Interfaces {
		got[i.Name] = []any{i.Exists, i.Up, i.Rules, i.Leads}
	}
	want := map[string][]any{"vpn0": {true, true, 2, 2}, "lte0": {true, false, 1, 1}, "gone0": {false, false, 2, 1}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	page := h.Must("status")
	for _, words := range []string{"\n  vpn0   up, IPv4 and IPv6 ", "\n  lte0   down ", "\n  gone0  does not exist "} {
		if !strings.Contains(page, words) {
			t.Errorf("no %q in\n%s", words, page)
		}
	}
}
