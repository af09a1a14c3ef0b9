package conditions

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// In a cgroup namespace, as containers have one, paths begin where cgroup v2 is mounted there, however deep that is. Defence:
// top_level in bpf/choice.h, findTop, refreshCgroups.
func TestCgroupNamespace(t *testing.T) {
	_, err := exec.LookPath("unshare")
	harness.Need(t, err == nil, "unshare")
	h := harness.New(t, lab.Options{})
	to := h.MustHost()
	for _, dir := range []string{"guest/a", "guest/b", "a"} {
		cgroup(t, h, dir)
	}
	guest, err := os.Open(filepath.Join(h.Cgroup, "guest"))
	check(t, err)
	defer guest.Close()
	inside := func(args ...string) string {
		t.Helper()
		out, err := h.HostCommand(context.Background(), "unshare", append([]string{"--cgroup"}, args...)...).InCgroup(guest).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", args, err, out)
		}
		return string(out)
	}
	mount := t.TempDir()
	inside("mount", "-t", "cgroup2", "none", mount)
	t.Cleanup(func() { check(t, unix.Unmount(mount, 0)) })
	inside(harness.Binary(t), "start", "--config", "none", "--cgroup", h.Cgroup)
	inside(harness.Binary(t), "rule", "add", "default", "vpn0", "cgroup=/a")
	h.Must("start", "--config", "none", "--flush=no") // an update from without leaves that as it is
	for place, want := range map[string]string{"guest/a": "vpn0", "guest/b": "wan0", "guest": "wan0", "a": "wan0", "": "wan0"} {
		a := agentIn(t, h, place, 0)
		wantOut(t, h, "/"+place, a, to, want)
		check(t, a.Close())
	}
	// The judge in user space sees it alike, from within and from without.
	a, beside := agentIn(t, h, "guest/a", 0), agentIn(t, h, "a", 0)
	for _, who := range []*lab.Agent{a, beside} {
		s, err := who.Socket("udp4")
		check(t, err)
		check(t, s.Connect(addrPort(to)))
	}
	inside(harness.Binary(t), "rule", "add", "default", "direct", "cgroup=/a")
	for where, out := range map[string]string{
		"within": inside(harness.Binary(t), "reset", "--dry-run", "-o", "json"), "without": h.Must("reset", "--dry-run", "-o", "json"),
	} {
		if n := strings.Count(out, `"remote"`); n != 1 || !strings.Contains(out, itoa(uint32(a.PID))) {
			t.Errorf("from %s: %d sockets listed, want that of %d: %s", where, n, a.PID, out)
		}
	}
}
