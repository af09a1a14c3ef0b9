// Package smoke is the shortest way through all of it: start, a rule, a look-up, connections, stop.
package smoke

import (
	"net/netip"
	"os"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}

func TestSmoke(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	s := h.MustHost("www.example.com")
	h.Must("rule", "add", "example.com", "vpn0")
	vpn := h.Uplink("vpn0")
	for _, c := range []struct {
		qtype        uint16
		server, want netip.Addr
	}{{dns.TypeA, s.Addr4, vpn.Addr4}, {dns.TypeAAAA, s.Addr6, vpn.Addr6}} {
		if _, err := a.Resolve(lab.Query{Name: "www.example.com", Type: c.qtype}); err != nil {
			t.Fatal(err)
		}
		seen, err := a.DialTCP(netip.AddrPortFrom(c.server, lab.EchoPort))
		if err != nil || seen != c.want.String() {
			t.Errorf("%v saw a connection from %q, %v; want %v", c.server, seen, err, c.want)
		}
		if n, err := h.UplinkPackets("wan0", c.server); err != nil || n != 0 {
			t.Errorf("%d packets to %v left by wan0, %v", n, c.server, err)
		}
	}
	if n := h.Counters()["steered"]; n != 2 {
		t.Errorf("%d connections counted as steered, want 2", n)
	}
	t.Logf("rdns:\n%s", h.Must("rdns"))
	t.Logf("decision:\n%s", h.Must("decision"))
	h.Must("stop")
	if r := h.Run("status"); r.Code != 1 || r.Stdout != "stopped\n" {
		t.Errorf("status after stop: exit %d, %q", r.Code, r.Stdout)
	}
}
