// Package routes tests where connections go: patterns, targets, interfaces that come and go, rule changes, and what is left alone.
package routes

import (
	"net/netip"
	"os"
	"testing"

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

// learn has agents resolve names, all of which must work.
func learn(t testing.TB, names []string, agents ...*lab.Agent) {
	t.Helper()
	for _, a := range agents {
		check(t, via.Learn(a, names...))
	}
}

// rules sets rules, "PATTERN TARGET" each, for the length of a test.
func rules(t *testing.T, h *harness.Host, list ...[2]string) {
	t.Helper()
	for _, r := range list {
		h.Must("rule", "add", r[0], r[1])
		t.Cleanup(func() { h.Run("rule", "del", r[0]) })
	}
}

// wantOut connects in the given ways, in all if none is given, and tells where it went otherwise than expected.
func wantOut(t testing.TB, h *harness.Host, a *lab.Agent, to lab.Host, want string, kinds ...via.Kind) {
	t.Helper()
	if len(kinds) == 0 {
		kinds = via.Kinds
	}
	for _, k := range kinds {
		if got := via.Out(h.Lab, a, k, to, uplinks...); got != want {
			t.Errorf("%s to %v: %s, want %s", k, k.Target(to), got, want)
		}
	}
}

// uplinks are the names that tests of this package give to uplinks besides wan0 and vpn0.
var uplinks = []string{"lte0", "lte1", "tun0"}

// wantNoPackets fails if any packet to the server left by one of the uplinks since ResetPackets.
func wantNoPackets(t testing.TB, h *harness.Host, to lab.Host, names ...string) {
	t.Helper()
	for _, name := range names {
		for _, addr := range []netip.Addr{to.Addr4, to.Addr6} {
			if n, err := h.UplinkPackets(name, addr); err != nil || n != 0 {
				t.Errorf("%d packets to %v by %s, %v; want none", n, addr, name, err)
			}
		}
	}
}
