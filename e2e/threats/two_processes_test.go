package threats

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

const (
	// wholeOrders is how often all orders are gone through: 24 orders, three ways to send, two families, so that
	// there are 1,008 rounds.
	wholeOrders = 7
	ruledName   = "ruled.example"
	plainName   = "plain.example"
)

// pair are two processes of one user and an address that both look up, each by another name.
type pair struct {
	t     *testing.T
	h     *harness.Host
	agent map[string]*lab.Agent // a looks up the name with a rule, b the one without
}

// twoWays is one round: by what and to which of the server's addresses.
type twoWays struct {
	order []string
	dial  string // "tcp", "udp" or "sendto"
	to    netip.Addr
}

// Two processes of one user know one address by two names, and each goes where its own name leads, whoever asks or
// connects first: who has not asked yet goes by what its user knows. Defence: the levels in judge(), by the pid in
// learn_address().
func TestTwoProcesses(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", ruledName, "vpn0")
	p := &pair{t, h, map[string]*lab.Agent{"a": h.MustAgent(lab.AgentOptions{UID: alice}), "b": h.MustAgent(lab.AgentOptions{UID: alice})}}
	rounds := 0
	for range wholeOrders {
		for _, order := range orders([]string{"a asks", "b asks", "a goes", "b goes"}) {
			for _, dial := range []string{"tcp", "udp", "sendto"} {
				server := h.MustHost(ruledName, plainName)
				for _, to := range []netip.Addr{server.Addr4, server.Addr6} {
					rounds++
					if p.round(twoWays{order, dial, to}); t.Failed() {
						t.Fatalf("round %d", rounds)
					}
				}
			}
		}
	}
	t.Logf("%d rounds", rounds)
}

func (p *pair) round(r twoWays) {
	p.t.Helper()
	for i, step := range r.order {
		who, what, _ := strings.Cut(step, " ")
		if what == "asks" {
			p.asks(who, r.to)
		} else {
			p.goes(who, r, expected(who, r.order[:i]))
		}
	}
	// Once more, in the other order.
	for _, who := range []string{"b", "a", "b"} {
		p.asks(who, r.to)
		p.goes("a", r, "vpn0")
		p.goes("b", r, "wan0")
	}
}

// expected is where a process goes after these steps: by its own look-up, or else its user's, of which there can be one
// only, or else by the routing table.
func expected(who string, before []string) string {
	switch {
	case who == "a" && slices.Contains(before, "a asks"), who == "b" && !slices.Contains(before, "b asks") && slices.Contains(before, "a asks"):
		return "vpn0"
	}
	return "wan0"
}

func (p *pair) asks(who string, to netip.Addr) {
	p.t.Helper()
	q := lab.Query{Name: map[string]string{"a": ruledName, "b": plainName}[who], Type: dns.TypeA}
	if to.Is6() {
		q.Type = dns.TypeAAAA
	}
	resolve(p.t, p.agent[who], q)
}

func (p *pair) goes(who string, r twoWays, want string) {
	p.t.Helper()
	dial := map[string]func(netip.AddrPort) (string, error){
		"tcp": p.agent[who].DialTCP, "udp": p.agent[who].DialUDP, "sendto": p.agent[who].DialUDPUnconnected,
	}[r.dial]
	seen, err := dial(port(r.to, lab.EchoPort))
	if got := uplinkOf(p.h, seen); err != nil || got != want {
		p.t.Errorf("%s by %s to %v went by %q (%v), want %q: %s", who, r.dial, r.to, got, err, want, fmt.Sprint(r.order))
	}
}
