package warm

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// TestHangingDaemons: caches that do not answer do not hold up the start, and nothing is left that still asks them.
func TestHangingDaemons(t *testing.T) {
	h := harness.New(t, lab.Options{})
	for _, start := range []func(*lab.Lab) (*lab.Resolver, error){(*lab.Lab).StartUnboundControlled, (*lab.Lab).StartNscd} {
		r := running(t, h, start)
		if err := unix.Kill(r.PID, unix.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	started := h.Run("start", "--cgroup", h.Cgroup)
	if took := time.Since(begin); started.Code != 0 || took > 5*time.Second {
		t.Errorf("start: exit %d after %v", started.Code, took)
	}
	for _, want := range []string{"flush: unbound (pid ", "flush: nscd (pid "} {
		if !strings.Contains(started.Stderr, want) {
			t.Errorf("start says\n%swant %q", started.Stderr, want)
		}
	}
	if n := strings.Count(started.Stderr, " keeps its cache: "); n != 2 {
		t.Errorf("start says\n%swant two that keep their caches", started.Stderr)
	}
	if left := runningHere(t, h, "unbound-control"); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}

// runningHere lists the processes in the client's namespace that run a program.
func runningHere(t *testing.T, h *harness.Host, program string) (pids []string) {
	t.Helper()
	entries, err := filepath.Glob("/proc/[1-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range entries {
		ns, _ := os.Readlink(filepath.Join(dir, "ns/net"))
		exe, _ := os.Readlink(filepath.Join(dir, "exe"))
		if ns == h.Client.ID() && filepath.Base(exe) == program {
			pids = append(pids, filepath.Base(dir))
		}
	}
	return pids
}

// TestChildrenOfDnsmasq: the process that serves a connection is not taken for another dnsmasq.
func TestChildrenOfDnsmasq(t *testing.T) {
	h := harness.New(t, lab.Options{})
	r := running(t, h, (*lab.Lab).StartDnsmasq)
	s, err := h.MustAgent(lab.AgentOptions{UID: before}).Socket("tcp4")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Connect(r.Addr); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); len(runningHere(t, h, "dnsmasq")) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("dnsmasq did not fork")
		}
	}
	started := h.Run("start", "--cgroup", h.Cgroup)
	want := fmt.Sprintf("flush: dnsmasq (pid %d) by SIGHUP\n", r.PID)
	if strings.Count(started.Stderr, "dnsmasq") != 1 || !strings.Contains(started.Stderr, want) {
		t.Errorf("start says\n%swant only %q", started.Stderr, want)
	}
}
