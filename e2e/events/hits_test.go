package events

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/lab"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// hits are the counted connections by rule.
func hits(t *testing.T) map[string]uint64 {
	t.Helper()
	s, err := dataplane.Peek()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := s.Hits()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, h := range all {
		counts[ruleText(h.Rule)] += h.Count
	}
	return counts
}

func ruleText(r ruleset.Rule) string {
	return textOf(dataplane.Event{Ruled: true, Rule: r})
}

func wantHits(t *testing.T, want map[string]uint64) {
	t.Helper()
	if d := cmp.Diff(want, hits(t)); d != "" {
		t.Errorf("hits (-want +got):\n%s", d)
	}
}

// caller makes connections to names.
type caller struct {
	t *testing.T
	h *harness.Host
	a *lab.Agent
}

// connect looks a name up and connects so many times.
func (c caller) connect(name string, times int) {
	c.t.Helper()
	to := c.h.MustHost(name).Addr4
	resolve(c.t, c.a, name, to)
	for range times {
		_, _ = c.a.DialTCP(netip.AddrPortFrom(to, lab.EchoPort))
	}
}

func TestHits(t *testing.T) {
	h := harness.Started(t)
	apply(t, h, `
example.com vpn0
*.example.com block
same.example.com vpn0
a.same.example.com vpn0
user.example vpn0 user=0
user.example block
198.51.100.0/27 direct
198.51.100.4/30 direct user=1
`)
	c := caller{t, h, h.MustAgent(lab.AgentOptions{})}
	wantHits(t, map[string]uint64{})
	c.connect("example.com", 2)
	c.connect("www.example.com", 3)
	c.connect("a.same.example.com", 1) // changes nothing: counts for what is above
	c.connect("user.example", 4)
	c.connect("unruled.example", 5) // by its address, whose longer prefix is not for this user
	wantHits(t, map[string]uint64{
		"example.com vpn0": 2, "*.example.com block": 3, "same.example.com vpn0": 1, "user.example vpn0 user=0": 4,
		"198.51.100.0/27 direct": 5,
	})
}

// A datagram counts where something was done for it, and each that was refused.
func TestHitsOfDatagrams(t *testing.T) {
	h := harness.Started(t)
	apply(t, h, "example.com vpn0\nblocked.example block\n")
	a := h.MustAgent(lab.AgentOptions{})
	s := h.MustHost("example.com")
	blocked := h.MustHost("blocked.example")
	resolve(t, a, "example.com", s.Addr4)
	resolve(t, a, "blocked.example", blocked.Addr4)
	sock, err := a.Socket("udp4")
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := sock.SendTo([]byte("x"), netip.AddrPortFrom(s.Addr4, lab.EchoPort)); err != nil {
			t.Fatal(err)
		}
		if _, err := sock.SendTo([]byte("x"), netip.AddrPortFrom(blocked.Addr4, lab.EchoPort)); err == nil {
			t.Fatal("a blocked datagram left")
		}
	}
	wantHits(t, map[string]uint64{"example.com vpn0": 1, "blocked.example block": 5})
}

// What is counted is forgotten with its rule, and a target's number that is used again brings nothing along.
func TestHitsOfOtherRules(t *testing.T) {
	h := harness.Started(t)
	c := caller{t, h, h.MustAgent(lab.AgentOptions{})}
	apply(t, h, "example.com vpn0\nother.example block\n")
	c.connect("example.com", 2)
	c.connect("other.example", 1)
	wantHits(t, map[string]uint64{"example.com vpn0": 2, "other.example block": 1})
	apply(t, h, "example.com block\nother.example block\n")
	wantHits(t, map[string]uint64{"other.example block": 1})
	apply(t, h, "example.com vpn0\nother.example block\n")
	wantHits(t, map[string]uint64{"other.example block": 1})
	c.connect("example.com", 1)
	wantHits(t, map[string]uint64{"example.com vpn0": 1, "other.example block": 1})
	h.Must("start", "--cgroup", h.Cgroup) // an update
	wantHits(t, map[string]uint64{"example.com vpn0": 1, "other.example block": 1})
}

// A rule that came after the name was learnt is the one that counts, as is one that was there before and is again.
func TestHitsOfLaterRules(t *testing.T) {
	h := harness.Started(t)
	c := caller{t, h, h.MustAgent(lab.AgentOptions{})}
	to := h.MustHost("www.example.com").Addr4
	connect := func() { _, _ = c.a.DialTCP(netip.AddrPortFrom(to, lab.EchoPort)) }
	resolve(t, c.a, "www.example.com", to)
	h.Must("rule", "add", "example.com", "vpn0")
	connect()
	wantHits(t, map[string]uint64{"example.com vpn0": 1})
	h.Must("rule", "add", "www.example.com", "block")
	connect()
	connect()
	wantHits(t, map[string]uint64{"example.com vpn0": 1, "www.example.com block": 2})
	h.Must("rule", "del", "www.example.com")
	connect()
	wantHits(t, map[string]uint64{"example.com vpn0": 2})
}
