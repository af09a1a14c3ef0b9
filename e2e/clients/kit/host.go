package kit

import (
	"net/netip"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
)

// Host is a started domain-route with the rule of all rounds.
type Host struct {
	*harness.Host
}

// Start makes a Host that ends with the test.
func Start(t testing.TB) *Host {
	t.Helper()
	h := &Host{Host: harness.Started(t)}
	h.Must("rule", "add", RuledDomain, Interface)
	return h
}

// Farewells tells how many packets came to a server by wan0 that may, although they are a steered connection's: see lab.Farewells.
func (h *Host) Farewells(t testing.TB, server netip.Addr) int {
	t.Helper()
	n, err := h.Lab.Farewells("wan0", server)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
