package reset

import (
	"slices"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

func each(t testing.TB, a *lab.Agent, to lab.Host) []*conn {
	t.Helper()
	var all []*conn
	for _, k := range via.Kinds {
		all = append(all, open(t, a, k, to))
	}
	return all
}

// TCP and connected UDP, IPv4, IPv6 and v4-mapped: onto an interface and off it again, and nobody else.
func TestKinds(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	server, neighbour := h.MustHost("ruled.test"), h.MustHost("plain.test")
	check(t, via.Learn(a, "ruled.test", "plain.test"))
	before, stay := each(t, a, server), each(t, a, neighbour)
	if rows := reset(t, h); len(rows) > 0 {
		t.Errorf("without a rule: %+v", rows)
	}
	h.Must("rule", "add", "ruled.test", "vpn0")

	rows := reset(t, h, "--dry-run")
	wantRows(t, rows, before...)
	for _, r := range rows {
		if !slices.Equal(r.Names, []string{"ruled.test"}) || r.Rule != "ruled.test" || r.Level != "process" ||
			len(r.Processes) != 1 || int(r.Processes[0].PID) != a.PID || r.Processes[0].Comm == "" || r.User != "root" ||
			r.Now.Verdict != "direct" || r.Then != (Place{Verdict: "steered", Interface: "vpn0", Ifindex: h.Uplink("vpn0").Index}) {
			t.Errorf("%+v", r)
		}
	}
	for _, c := range slices.Concat(before, stay) {
		c.wantAlive()
	}

	wantRows(t, reset(t, h), before...)
	for _, c := range before {
		c.wantClosed()
	}
	for _, c := range stay {
		c.wantAlive()
	}
	onVPN := each(t, a, server)
	vpn := h.Uplink("vpn0")
	for _, c := range onVPN {
		if from := c.local.Addr(); from != vpn.Addr4 && from != vpn.Addr6 {
			t.Errorf("%s again: from %v, want vpn0", c.what, from)
		}
	}
	r := h.Run("reset")
	if r.Code != 0 || r.Stdout != "" || !strings.Contains(r.Stderr, "nothing to close") {
		t.Errorf("again: exit %d, %q, %q", r.Code, r.Stdout, r.Stderr)
	}

	h.Must("rule", "del", "ruled.test")
	rows = reset(t, h)
	wantRows(t, rows, onVPN...)
	for _, r := range rows {
		if r.Now != (Place{Verdict: "steered", Interface: "vpn0", Ifindex: vpn.Index}) || r.Then != (Place{Verdict: "direct"}) {
			t.Errorf("%+v", r)
		}
	}
	for _, c := range onVPN {
		c.wantClosed()
	}
	for _, c := range stay {
		c.wantAlive()
	}
}

// The text is one line for each, by tabs.
func TestText(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{UID: 1001})
	server := h.MustHost("text.test")
	check(t, via.Learn(a, "text.test"))
	h.Must("rule", "add", "text.test", "block")
	h.Must("rule", "del", "text.test")
	c := open(t, a, via.TCP4, server)
	h.Must("rule", "add", "text.test", "block")
	for _, args := range [][]string{{"reset", "--dry-run"}, {"reset"}} {
		out := h.Must(args...)
		f := strings.Split(strings.TrimSuffix(out, "\n"), "\t")
		if len(f) != 8 || f[0] != "tcp" || f[1] != c.local.String() || f[2] != c.to.String() || f[3] != "text.test" ||
			f[4] != "direct" || f[5] != "blocked" || f[6] != "1001" || !strings.Contains(f[7], "(") {
			t.Errorf("%s: %q", args, out)
		}
	}
	c.wantClosed()
}

// What a process calls itself does not reach the terminal as it is.
func TestEscapes(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("evil.test")
	check(t, via.Learn(a, "evil.test"))
	start(t, h, "evil "+server.Addr4.String()+":7000")
	h.Must("rule", "add", "evil.test", "vpn0")
	const want = `\x1b[31m\xff\x0acurl`
	if out := h.Must("reset", "--dry-run"); !strings.Contains(out, "("+want+")") || strings.Contains(out, "\x1b") {
		t.Errorf("%q, want %s", out, want)
	}
	if rows := reset(t, h); len(rows) != 1 || rows[0].Processes[0].Comm != want {
		t.Errorf("%+v", rows)
	}
}
