package routes

import (
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// Every rule change counts from the very next connect, to an address learnt long before (G9).
func TestThousandRuleChanges(t *testing.T) {
	const rounds = 1000
	h := harness.Started(t)
	check(t, h.AddUplink("lte0", lab.UplinkOptions{}))
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("change.test")
	learn(t, []string{"change.test"}, a)
	steps := []struct{ args, want string }{
		{"vpn0", "vpn0"}, {"", "wan0"}, {"vpn0", "vpn0"}, {"lte0", "lte0"}, {"vpn0", "vpn0"}, {"block", "EHOSTUNREACH"}, {"", "wan0"},
	}
	var changing time.Duration
	for i := range rounds {
		step := steps[i%len(steps)]
		start := time.Now()
		if step.args == "" {
			h.Must("rule", "del", "change.test")
		} else {
			h.Must("rule", "add", "change.test", step.args)
		}
		changing += time.Since(start)
		k := via.Kinds[i%len(via.Kinds)]
		if got := via.Out(h.Lab, a, k, server, uplinks...); got != step.want {
			t.Fatalf("round %d, rule %q: %s left by %s, want %s", i, step.args, k, got, step.want)
		}
	}
	t.Logf("%d rule changes, %.1f ms each", rounds, float64(changing.Microseconds())/rounds/1000)
}

// Names learnt before there was a rule are steered once there is one, at every level of evidence.
func TestLearntBeforeTheRule(t *testing.T) {
	const alice, bob, carol = 1001, 1002, 1003
	h := harness.Started(t)
	agent := func(uid uint32) *lab.Agent { return h.MustAgent(lab.AgentOptions{UID: uid}) }
	root, daemon := agent(0), agent(33)
	alice1, alice2, bob1, carol1 := agent(alice), agent(alice), agent(bob), agent(carol)
	host, users := h.MustHost("host.early.test"), h.MustHost("users.early.test")
	learn(t, []string{"host.early.test"}, root)
	learn(t, []string{"users.early.test"}, alice1, bob1)
	everyone := []*lab.Agent{root, daemon, alice1, alice2, bob1, carol1}
	for _, a := range everyone {
		wantOut(t, h, a, host, "wan0", via.TCP4)
		wantOut(t, h, a, users, "wan0", via.TCP4)
	}
	rules(t, h, [2]string{"early.test", "vpn0"})
	for i, a := range everyone {
		t.Logf("agent %d", i)
		wantOut(t, h, a, host, "vpn0") // root's lookups are the host's
	}
	for _, a := range []*lab.Agent{alice1, alice2, bob1} {
		wantOut(t, h, a, users, "vpn0")
	}
	for _, a := range []*lab.Agent{root, daemon, carol1} {
		wantOut(t, h, a, users, "wan0") // users' lookups are their own
	}
}

// Several rules that come and go beside each other do not disturb one another.
func TestChangesLeaveOtherRulesAlone(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	kept, other := h.MustHost("kept.test"), h.MustHost("other.test")
	rules(t, h, [2]string{"kept.test", "vpn0"})
	learn(t, []string{"kept.test", "other.test"}, a)
	for range 10 {
		h.Must("rule", "add", "other.test", "vpn0")
		wantOut(t, h, a, kept, "vpn0", via.TCP4, via.UDP6)
		wantOut(t, h, a, other, "vpn0", via.TCP6)
		h.Must("rule", "del", "other.test")
		wantOut(t, h, a, kept, "vpn0", via.TCP4, via.UDP6)
		wantOut(t, h, a, other, "wan0", via.TCP6)
	}
}
