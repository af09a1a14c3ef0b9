package addresses

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/lab"
)

// config writes a configuration of rules.
func config(t *testing.T, rules ...[2]string) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("rules:\n")
	for _, r := range rules {
		fmt.Fprintf(&text, "  - {match: [%q], target: %q}\n", r[0], r[1])
	}
	file := filepath.Join(t.TempDir(), "config.yaml")
	check(t, os.WriteFile(file, []byte(text.String()), 0o600))
	return file
}

// A fresh start has its rules in force from the first connection on; an update keeps those that run. Defence:
// StartOptions.Rules in fresh().
func TestStartWithRules(t *testing.T) {
	h := harness.New(t, lab.Options{})
	a := h.MustAgent(lab.AgentOptions{Timeout: 5 * time.Second})
	to := h.MustHost()
	block, vpn := config(t, [2]string{to.Addr4.String(), "block"}), config(t, [2]string{to.Addr4.String(), "vpn0"})
	h.Must("start", "--cgroup", h.Cgroup, "--config", block, "--flush=no")
	wantOut(t, h, a, to.Addr4, "EHOSTUNREACH")
	h.Must("start", "--config", vpn, "--flush=no")
	wantOut(t, h, a, to.Addr4, "EHOSTUNREACH")
	h.Must("rule", "del", to.Addr4.String())
	wantOut(t, h, a, to.Addr4, "wan0")
	h.Must("stop")
	h.Must("start", "--cgroup", h.Cgroup, "--config", vpn, "--flush=no")
	wantOut(t, h, a, to.Addr4, "vpn0")
}

// Rules that cannot be had are no start: nothing is left, and nothing steered.
func TestStartWithTooMuch(t *testing.T) {
	h := harness.New(t, lab.Options{})
	a := h.MustAgent(lab.AgentOptions{Timeout: 5 * time.Second})
	to := h.MustHost()
	rules := [][2]string{{to.Addr4.String(), "block"}}
	for i := range 4096 { // more than there are numbers for
		rules = append(rules, [2]string{fmt.Sprintf("n%d.test", i), fmt.Sprintf("mark:%d", i+1)})
	}
	r := h.Run("start", "--cgroup", h.Cgroup, "--config", config(t, rules...), "--flush=no")
	if r.Code == 0 || !strings.Contains(r.Stderr, "too many distinct targets") {
		t.Errorf("exit %d: %s", r.Code, r.Stderr)
	}
	wantOut(t, h, a, to.Addr4, "wan0")
	if _, err := os.Stat("/sys/fs/bpf/domain-route"); err == nil {
		t.Error("something is left in the kernel")
	}
	var status struct{ State string }
	if h.JSON(&status, "status"); status.State != "stopped" {
		t.Errorf("status: %s", status.State)
	}
	h.Must("start", "--cgroup", h.Cgroup, "--config", config(t, rules[:100]...), "--flush=no")
	wantOut(t, h, a, to.Addr4, "EHOSTUNREACH")
}

// The kernel keeps which rules run: what dataplane.Digest says of them, from the start on.
func TestDigest(t *testing.T) {
	h, _ := started(t)
	for _, change := range [][]string{{"list"}, {"add", "198.51.100.0/24", "vpn0"}, {"add", "a.test", "block", "user=7"}, {"del", "198.51.100.0/24"}} {
		h.Must(append([]string{"rule"}, change...)...)
		s, err := dataplane.Peek()
		check(t, err)
		got, err := s.Digest()
		check(t, err)
		set, err := s.Rules()
		check(t, err)
		s.Close()
		if want, err := dataplane.Digest(set); err != nil || got != want || got == [32]byte{} {
			t.Errorf("%s: %x, want %x, %v", change, got, want, err)
		}
	}
}
