package config

import (
	"net/netip"
	"testing"

	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// decision has what connect does by a rule for addresses, or the default, where the name has no rule.
func TestDecisionWithoutName(t *testing.T) {
	s := startedSite(t)
	a := s.MustAgent(lab.AgentOptions{})
	named, inRange, plain := s.MustHost("named.test"), s.MustHost("range.test"), s.MustHost("plain.test")
	check(t, via.Learn(a, "named.test", "range.test", "plain.test"))
	type row struct {
		Address             netip.Addr
		Level               string
		Rule, Verdict, Name string
	}
	list := func() map[netip.Addr]row {
		var got struct{ Decisions []row }
		decode(t, s.must("decision", "-o", "json"), &got)
		all := map[netip.Addr]row{}
		for _, r := range got.Decisions {
			if r.Level == "host" {
				all[r.Address] = r
			}
		}
		return all
	}
	s.must("rule", "add", "named.test", "vpn0")
	if got := list(); len(got) != 2 || got[named.Addr4].Rule != "named.test" {
		t.Errorf("%+v", got)
	}
	s.must("rule", "add", inRange.Addr4.String(), "vpn0")
	s.must("rule", "add", "default", "vpn0,wan0")
	got := list()
	for to, rule := range map[netip.Addr]string{named.Addr4: "named.test", inRange.Addr4: inRange.Addr4.String(), plain.Addr4: "default", plain.Addr6: "default"} {
		if got[to].Rule != rule || got[to].Verdict != "steered" {
			t.Errorf("%s: %+v, want %s", to, got[to], rule)
		}
	}
	for _, to := range []lab.Host{named, inRange, plain} {
		if out := via.Out(s.Lab, a, via.TCP4, to); out != "vpn0" {
			t.Errorf("%+v leaves by %s", to, out)
		}
	}
	// What rdns has is the names' own.
	for _, l := range s.Learnt() {
		if l.Name != "named.test" && (l.Rule != "" || l.Target != "") {
			t.Errorf("%+v", l)
		}
	}
}
