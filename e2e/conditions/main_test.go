// Package conditions tests rules with conditions: by real processes of several users in several cgroups.
package conditions

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

const alice, bob = 1001, 1002

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

// started is a host with a second uplink, lte0.
func started(t testing.TB) *harness.Host {
	t.Helper()
	h := harness.Started(t)
	check(t, h.AddUplink("lte0", lab.UplinkOptions{}))
	return h
}

// path is a cgroup below the lab's as conditions have it: from the mounted root on.
func path(t testing.TB, h *harness.Host, below string) string {
	t.Helper()
	root, err := lab.CgroupRoot()
	check(t, err)
	return filepath.Join("/", strings.TrimPrefix(h.Cgroup, root), below)
}

// cgroup makes a cgroup below the lab's, and those above it.
func cgroup(t testing.TB, h *harness.Host, below string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Join(h.Cgroup, below), 0o755))
}

// agentIn starts an agent of a user in a cgroup below the lab's; it is patient: emulated machines are slow.
func agentIn(t testing.TB, h *harness.Host, below string, uid uint32) *lab.Agent {
	t.Helper()
	dir, err := os.Open(filepath.Join(h.Cgroup, below))
	check(t, err)
	defer dir.Close()
	a, err := h.Agent(lab.AgentOptions{UID: uid, Cgroup: dir, Timeout: 5 * time.Second})
	check(t, err)
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// kinds are those that each expectation is tried with; datagrams without a connection besides.
var kinds = []via.Kind{via.TCP4, via.TCP6, via.UDP4, via.UDPMapped}

// wantOut goes to a server in several ways, and tells where it went otherwise than expected.
func wantOut(t testing.TB, h *harness.Host, who string, a *lab.Agent, to lab.Host, want string) {
	t.Helper()
	for _, k := range kinds {
		if got := via.Out(h.Lab, a, k, to, "lte0"); got != want {
			t.Errorf("%s, %s to %s: %s, want %s", who, k, k.Target(to), got, want)
		}
	}
	if got := via.OutUnconnected(h.Lab, a, to.Addr4, "lte0"); got != want {
		t.Errorf("%s, unconnected to %s: %s, want %s", who, to.Addr4, got, want)
	}
}

func inodeOf(info os.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

func addrPort(to lab.Host) netip.AddrPort { return netip.AddrPortFrom(to.Addr4, lab.EchoPort) }
