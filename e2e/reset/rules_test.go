package reset

import (
	"slices"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// ruleChange is the JSON of `rule add` and `rule del`.
type ruleChange struct {
	DryRun  bool `json:"dry_run"`
	Deleted bool
	Reset   *struct {
		DryRun  bool `json:"dry_run"`
		Sockets []Row
	}
}

// changed runs `rule ... --reset` and returns what it lists.
func changed(t testing.TB, h *harness.Host, args ...string) []Row {
	t.Helper()
	var data ruleChange
	if r := h.JSON(&data, append([]string{"rule"}, args...)...); r.Code != 0 || data.Reset == nil {
		t.Fatalf("rule %v: exit %d: %s", args, r.Code, r.Stderr)
	}
	if dry := slices.Contains(args, "--dry-run"); data.Reset.DryRun != dry || data.DryRun != dry {
		t.Errorf("rule %v says dry_run %v, and of the reset %v", args, data.DryRun, data.Reset.DryRun)
	}
	if want := args[0] == "del" && !data.DryRun; data.Deleted != want {
		t.Errorf("rule %v says deleted %v", args, data.Deleted)
	}
	return data.Reset.Sockets
}

// `rule add --reset` and `rule del --reset` close what the change is about. What other rules have elsewhere stays.
func TestRuleReset(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	server, sub := h.MustHost("ruled.test"), h.MustHost("sub.ruled.test")
	other, plain := h.MustHost("other.test"), h.MustHost("plain.test")
	check(t, via.Learn(a, "ruled.test", "sub.ruled.test", "other.test", "plain.test"))
	stay := append(each(t, a, other), each(t, a, plain)...)
	h.Must("rule", "add", "other.test", "vpn0")
	direct := each(t, a, server)
	below := each(t, a, sub)
	both := slices.Concat(direct, below)

	wantRows(t, changed(t, h, "add", "ruled.test", "vpn0", "--reset", "--dry-run"), both...)
	if list := h.Must("rule", "list"); strings.Contains(list, "ruled.test") {
		t.Errorf("--dry-run added the rule: %s", list)
	}
	for _, c := range both {
		c.wantAlive()
	}
	wantRows(t, changed(t, h, "add", "=ruled.test", "vpn0", "--reset"), direct...)
	for _, c := range direct {
		c.wantClosed()
	}
	wantRows(t, changed(t, h, "add", "ruled.test", "vpn0", "--reset"), below...)
	for _, c := range below {
		c.wantClosed()
	}
	steered := slices.Concat(each(t, a, server), each(t, a, sub))
	wantRows(t, changed(t, h, "add", "ruled.test", "vpn0", "--reset")) // as it was

	wantRows(t, changed(t, h, "del", "ruled.test", "--reset", "--dry-run"), steered[len(via.Kinds):]...)
	if list := h.Must("rule", "list"); !strings.Contains(list, "\nruled.test vpn0\n") && !strings.HasPrefix(list, "ruled.test vpn0\n") {
		t.Errorf("--dry-run deleted the rule: %s", list)
	}
	wantRows(t, changed(t, h, "del", "ruled.test", "--reset"), steered[len(via.Kinds):]...)
	wantRows(t, changed(t, h, "del", "=ruled.test", "--reset"), steered[:len(via.Kinds)]...)
	for _, c := range steered {
		c.wantClosed()
	}
	for _, c := range stay {
		c.wantAlive()
	}
	if r := h.Run("rule", "del", "ruled.test", "--reset"); r.Code != 1 || r.Stdout != "" {
		t.Errorf("again: exit %d, %q", r.Code, r.Stdout)
	}
	for _, args := range [][]string{{"rule", "add", "x.test", "vpn0", "--dry-run"}, {"rule", "del", "other.test", "--dry-run"}} {
		if r := h.Run(args...); r.Code != 2 {
			t.Errorf("%v: exit %d, want 2", args, r.Code)
		}
	}
}

// Without --reset nothing is closed, and nothing is listed.
func TestRuleWithoutReset(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("ruled.test")
	check(t, via.Learn(a, "ruled.test"))
	c := open(t, a, via.TCP4, server)
	if out := h.Must("rule", "add", "ruled.test", "vpn0"); out != "" {
		t.Errorf("listed: %q", out)
	}
	c.wantAlive()
	if out := h.Must("rule", "add", "ruled.test", "block", "--reset"); !strings.Contains(out, "\tblocked\t") {
		t.Errorf("listed: %q", out)
	}
	c.wantClosed()
}

// A default rule is about everything, named or not; it is also what takes over from a name's rule.
func TestRuleResetDefault(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	unknown, named, exempt := h.MustHost(), h.MustHost("plain.test"), h.MustHost("exempt.test")
	check(t, via.Learn(a, "plain.test", "exempt.test"))
	h.Must("rule", "add", "exempt.test", "direct")
	stay := each(t, a, exempt)
	conns := slices.Concat(each(t, a, unknown), each(t, a, named))
	wantRows(t, changed(t, h, "add", "default", "vpn0", "--reset", "--dry-run"), conns...)
	rows := changed(t, h, "add", "default", "vpn0", "--reset")
	wantRows(t, rows, conns...)
	for _, r := range rows {
		if r.Rule != "default" {
			t.Errorf("%+v", r)
		}
	}
	conns = slices.Concat(each(t, a, unknown), each(t, a, named))
	wantRows(t, changed(t, h, "del", "default", "--reset", "--dry-run"), conns...)
	wantRows(t, changed(t, h, "del", "default", "--reset"), conns...)
	for _, c := range conns {
		c.wantClosed()
	}
	for _, c := range stay {
		c.wantAlive()
	}
}

// A pattern limits to the names that it matches.
func TestPattern(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	apex, sub, other, unknown := h.MustHost("zone.test"), h.MustHost("sub.zone.test"), h.MustHost("other.test"), h.MustHost()
	check(t, via.Learn(a, "zone.test", "sub.zone.test", "other.test"))
	for pattern, want := range map[string][]lab.Host{
		"zone.test":         {apex, sub},
		"*.zone.test":       {sub},
		"=zone.test":        {apex},
		"Zone.TEST.":        {apex, sub},
		"other.test":        {other},
		"nowhere.test":      {},
		"deeper.other.test": {},
		"default":           {apex, sub, other, unknown},
	} {
		t.Run(pattern, func(t *testing.T) {
			h.Must("rule", "add", "default", "direct")
			var conns []*conn
			for _, to := range want {
				conns = append(conns, open(t, a, via.TCP4, to), open(t, a, via.UDP6, to))
			}
			for _, to := range []lab.Host{apex, sub, other, unknown} {
				if !slices.Contains(want, to) {
					c := open(t, a, via.TCP6, to)
					defer c.s.Close()
					defer c.wantAlive()
				}
			}
			h.Must("rule", "add", "default", "vpn0")
			wantRows(t, reset(t, h, pattern), conns...)
			for _, c := range conns {
				c.wantClosed()
			}
		})
	}
	if r := h.Run("reset", "a..b"); r.Code != 2 {
		t.Errorf("bad pattern: exit %d", r.Code)
	}
}
