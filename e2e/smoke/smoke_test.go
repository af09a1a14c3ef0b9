package smoke

import (
	"net/netip"
	"os"
	"testing"

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
	t.Log(h.Run("rule", "add", "example.com", "vpn0"))
	for _, q := range []uint16{1, 28} {
		ans, err := a.Resolve(lab.Query{Name: "www.example.com", Type: q})
		t.Log(ans, err)
	}
	for _, ad := range []netip.Addr{s.Addr4, s.Addr6} {
		seen, err := a.DialTCP(netip.AddrPortFrom(ad, lab.EchoPort))
		t.Log(seen, err, h.Uplink("vpn0"))
	}
	t.Log(h.Run("status"))
	t.Log(h.Run("rdns"))
	t.Log(h.Run("decision"))
	t.Log(h.Run("rule", "list"))
	t.Log(h.Run("start", "--cgroup", h.Cgroup))
	t.Log(h.Run("stop"))
	t.Log(h.Run("status"))
	t.Log(h.Run("bogus"))
}
