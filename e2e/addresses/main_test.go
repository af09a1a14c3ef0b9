// Package addresses tests rules for addresses: where connections to them go, and which rule decides.
package addresses

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// started is a host with a second uplink, lte0, and an agent that is patient: emulated machines are slow.
func started(t *testing.T) (*harness.Host, *lab.Agent) {
	t.Helper()
	h := harness.Started(t)
	check(t, h.AddUplink("lte0", lab.UplinkOptions{}))
	return h, h.MustAgent(lab.AgentOptions{Timeout: 5 * time.Second})
}

// rules sets rules, "PATTERN TARGET" each, for the length of a test.
func rules(t *testing.T, h *harness.Host, list ...[2]string) {
	t.Helper()
	for _, r := range list {
		h.Must("rule", "add", r[0], r[1])
		t.Cleanup(func() { h.Run("rule", "del", r[0]) })
	}
}

// serve makes the internet serve an address.
func serve(t *testing.T, h *harness.Host, text string) netip.Addr {
	t.Helper()
	a := netip.MustParseAddr(text)
	check(t, h.AddServerAddr(a))
	return a
}

// wantOut goes to an address in every way that its family has, and tells where it went otherwise than expected.
func wantOut(t *testing.T, h *harness.Host, a *lab.Agent, to netip.Addr, want string) {
	t.Helper()
	kinds := []via.Kind{via.TCP6, via.UDP6}
	if to.Is4() {
		kinds = []via.Kind{via.TCP4, via.TCPMapped, via.UDP4, via.UDPMapped}
	}
	for _, k := range kinds {
		if got := via.Out(h.Lab, a, k, lab.Host{Addr4: to, Addr6: to}, "lte0"); got != want {
			t.Errorf("%s to %s: %s, want %s", k, to, got, want)
		}
	}
	if got := via.OutUnconnected(h.Lab, a, to, "lte0"); got != want {
		t.Errorf("unconnected to %s: %s, want %s", to, got, want)
	}
}
