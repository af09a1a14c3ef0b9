package kit

import (
	"net/netip"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
)

// Host is a started domain-route with the rule of all rounds, and an eye on how connections end.
type Host struct {
	*harness.Host
	farewells *farewells
}

// Start makes a Host that ends with the test.
func Start(t testing.TB) *Host {
	t.Helper()
	h := &Host{Host: harness.Started(t)}
	h.Must("rule", "add", RuledDomain, Interface)
	h.farewells = watchFarewells(t, h.Host)
	return h
}

// Farewells tells how many packets came to a server by wan0 that were the kernel's last word over IPv6 for a steered
// connection, after both sides had sent their FIN: see farewells.
func (h *Host) Farewells(t testing.TB, server netip.Addr) int {
	t.Helper()
	return h.farewells.to(t, server)
}
