// Package state tests what start, stop and rule changes leave in the kernel: when all goes well, when many run at once, when
// they are killed or refused at any system call, and what the command line says about it.
package state

import (
	"os"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/e2e/state/inject"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	inject.Main()
	lab.Isolate()
	heldLock = holdLock()
	os.Exit(m.Run())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start runs start for the lab's cgroup.
func start(h *harness.Host, args ...string) string {
	return h.Must(append([]string{"start", "--cgroup", h.Cgroup}, args...)...)
}

// wantOut connects by TCP and by UDP and tells where it went otherwise than expected.
func wantOut(t testing.TB, h *harness.Host, a *lab.Agent, to lab.Host, want string) {
	t.Helper()
	for _, k := range []via.Kind{via.TCP4, via.UDP6} {
		if got := via.Out(h.Lab, a, k, to); got != want {
			t.Errorf("%s to %v: %s, want %s", k, k.Target(to), got, want)
		}
	}
}

// status is what `status -o json` tells.
type status struct {
	State, Cgroup     string
	Home              bool
	Rules, Generation int
	Observers         []string
	Counters          map[string]uint64
	Warnings          []string
	Programs          []struct {
		Hook     string
		Attached bool
	}
}

// inspect runs status, whose exit code must agree with what it prints.
func inspect(t testing.TB, h *harness.Host) status {
	t.Helper()
	var s status
	r := h.JSON(&s, "status")
	if started := s.State == "started"; started != (r.Code == 0) || !started && r.Code != 1 {
		t.Fatalf("status says %q and exits %d", s.State, r.Code)
	}
	return s
}

// rulesOf returns what rule list prints, "" if nothing is started.
func rulesOf(h *harness.Host) string { return h.Run("rule", "list").Stdout }
