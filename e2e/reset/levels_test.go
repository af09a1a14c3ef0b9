package reset

import (
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// Two processes of one user, or two users, that asked for different names at one address: each is judged by what it
// asked for, or, where it asked for none, by what its user, or the host, did.
func TestLevels(t *testing.T) {
	const alice, bob, carol = 1001, 1002, 1003
	h := harness.Started(t)
	agent := func(uid uint32) *lab.Agent { return h.MustAgent(lab.AgentOptions{UID: uid}) }
	shared := h.MustHost("ruled.test", "plain.test")
	host := h.MustHost("host.test")
	rootAsks, rootSilent, daemonSilent := agent(0), agent(0), agent(33)
	aliceRuled, alicePlain, aliceSilent := agent(alice), agent(alice), agent(alice)
	bobPlain, bobSilent, carolSilent := agent(bob), agent(bob), agent(carol)
	check(t, via.Learn(rootAsks, "host.test"))
	check(t, via.Learn(bobPlain, "plain.test"))
	check(t, via.Learn(alicePlain, "plain.test"))
	check(t, via.Learn(aliceRuled, "ruled.test"))
	var moved, stay []*conn
	for _, k := range via.Kinds {
		moved = append(moved, open(t, aliceRuled, k, shared),
			open(t, aliceSilent, k, shared)) // her user's names are both: the one with a rule beats the other
		stay = append(stay, open(t, alicePlain, k, shared), open(t, bobPlain, k, shared), open(t, bobSilent, k, shared),
			open(t, carolSilent, k, shared), open(t, rootSilent, k, shared), open(t, daemonSilent, k, shared))
		for _, a := range []*lab.Agent{rootAsks, rootSilent, daemonSilent, aliceRuled, carolSilent} {
			moved = append(moved, open(t, a, k, host))
		}
	}
	h.Must("rule", "add", "host.test", "vpn0")
	h.Must("rule", "add", "ruled.test", "vpn0")
	rows := reset(t, h)
	wantRows(t, rows, moved...)
	for _, r := range rows {
		want := "host"
		if pid := int(r.Processes[0].PID); r.Names[0] != "host.test" && pid == aliceRuled.PID ||
			r.Names[0] == "host.test" && pid == rootAsks.PID {
			want = "process"
		} else if r.UID == alice && r.Names[0] != "host.test" {
			want = "user"
		}
		if r.Level != want {
			t.Errorf("level %s, want %s: %+v", r.Level, want, r)
		}
	}
	for _, c := range moved {
		c.wantClosed()
	}
	for _, c := range stay {
		c.wantAlive()
	}
}

// The latest of two ruled names decides, as at connect.
func TestLatestName(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("one.test", "two.test")
	h.Must("rule", "add", "one.test", "vpn0")
	h.Must("rule", "add", "two.test", "direct")
	check(t, via.Learn(a, "one.test", "two.test"))
	c := open(t, a, via.TCP4, server)
	wantRows(t, reset(t, h))
	check(t, via.Learn(a, "one.test"))
	wantRows(t, reset(t, h), c)
	c = open(t, a, via.TCP4, server)
	wantRows(t, reset(t, h))
	check(t, via.Learn(a, "two.test"))
	wantRows(t, reset(t, h), c)
}
