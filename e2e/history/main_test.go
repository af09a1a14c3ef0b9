// Package history tests what is kept of learnt names, what is shown of it, and that it can be forgotten.
package history

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

const (
	alice = 4242
	bob   = 4343
)

// resolve has an agent ask the lab's name server, and fails the test unless the answer holds an address.
func resolve(t *testing.T, a *lab.Agent, name string) {
	t.Helper()
	ans, err := a.Resolve(lab.Query{Name: name})
	if err != nil || len(ans.Addrs) == 0 {
		t.Fatalf("resolve %s: %v, %v", name, ans.Addrs, err)
	}
}

// goesBy connects and tells by which uplink the server saw it come, or the error.
func goesBy(h *harness.Host, a *lab.Agent, to netip.Addr) string {
	seen, err := a.DialTCP(netip.AddrPortFrom(to, lab.EchoPort))
	if err != nil {
		return err.Error()
	}
	for _, name := range []string{"wan0", "vpn0"} {
		if up := h.Uplink(name); seen == up.Addr4.String() || seen == up.Addr6.String() {
			return name
		}
	}
	return seen
}

func expect(t *testing.T, h *harness.Host, a *lab.Agent, to netip.Addr, want, why string) {
	t.Helper()
	if got := goesBy(h, a, to); got != want {
		t.Errorf("%s: connect to %v went by %q, want %q", why, to, got, want)
	}
}
