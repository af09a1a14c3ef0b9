package warm

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// chain makes the name server answer a name by two aliases and the addresses at their end.
func chain(h *harness.Host, first, middle, last string) {
	h.DNS.Handle(first, func(q *dns.Msg, _ string) *dns.Msg {
		end := q.Copy()
		end.Question[0].Name = dns.Fqdn(last)
		m := h.DNS.Reply(end)
		m.Question = q.Question
		one, _ := dns.NewRR(fmt.Sprintf("%s. 600 IN CNAME %s.", first, middle))
		two, _ := dns.NewRR(fmt.Sprintf("%s. 600 IN CNAME %s.", middle, last))
		m.Answer = append([]dns.RR{one, two}, m.Answer...)
		return m
	})
}

// TestImport: what systemd-resolved has cached is known at once, to users who never ask, by every name of a chain of
// aliases, and without a word to the name server.
func TestImport(t *testing.T) {
	h := harness.New(t, lab.Options{})
	h.DNS.SetTTL(300)
	plain, end := h.MustHost("www.bank.example"), h.MustHost("edge.cdn.example")
	alone := h.MustHost("other.example")
	chain(h, "www.shop.example", "shop.alias.example", "edge.cdn.example")
	r := running(t, h, (*lab.Lab).StartNewerResolved)
	a := h.MustAgent(lab.AgentOptions{UID: before})
	for _, name := range []string{"www.bank.example", "www.shop.example", "other.example", "missing.example"} {
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
			if _, err := a.Resolve(lab.Query{Name: name, Type: kind, Server: r.Addr}); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.DNS.ResetQuestions()

	var data struct {
		Warm []struct{ Step, Result, Error string }
	}
	h.JSON(&data, "start", "--cgroup", h.Cgroup, "--flush=no")
	want := fmt.Sprintf("5 names from systemd-resolved (pid %d)", r.PID)
	if len(data.Warm) != 3 || data.Warm[0].Step != "import" || data.Warm[0].Result != want || data.Warm[0].Error != "" {
		t.Errorf("start says %+v, want %q", data.Warm, want)
	}
	if q := h.DNS.Questions(); len(q) != 0 {
		t.Errorf("the name server was asked %v", q)
	}
	for _, pattern := range []string{"bank.example", "www.shop.example", "shop.alias.example", "edge.cdn.example"} {
		s := end
		if pattern == "bank.example" {
			s = plain
		}
		h.Must("rule", "add", pattern, "vpn0")
		leavesBy(t, h, s.Addr4, "vpn0")
		leavesBy(t, h, s.Addr6, "vpn0")
		h.Must("rule", "del", pattern)
		leavesBy(t, h, s.Addr4, "wan0")
	}
	leavesBy(t, h, alone.Addr4, "wan0")
	for _, l := range h.Learnt() {
		if l.Level != "host" || l.TTL > 300 || l.TTL < 200 {
			t.Errorf("learnt %+v, want the host's, with what is left of 300 s", l)
		}
	}
}

// TestImportThenFlush: the cache is read before it is emptied.
func TestImportThenFlush(t *testing.T) {
	h := harness.New(t, lab.Options{})
	s := h.MustHost("www.bank.example")
	r := running(t, h, (*lab.Lab).StartNewerResolved)
	byDNS(t, h, r, before, "www.bank.example")
	h.Must("start", "--cgroup", h.Cgroup)
	h.Must("rule", "add", "bank.example", "vpn0")
	leavesBy(t, h, s.Addr4, "vpn0")
}

// TestImportFromOld: systemd-resolved before 254 cannot be asked; the line says what becomes of it.
func TestImportFromOld(t *testing.T) {
	for flag, want := range map[string]string{"--flush=yes": "it is flushed instead", "--flush=no": "once they are asked for again"} {
		t.Run(flag, func(t *testing.T) {
			h := harness.New(t, lab.Options{})
			r := running(t, h, (*lab.Lab).StartResolved)
			harness.Need(t, version(t, h, r) < 254, "a systemd-resolved older than 254")
			started := h.Run("start", "--cgroup", h.Cgroup, flag)
			line := fmt.Sprintf("import: systemd-resolved (pid %d) is older than 254 and cannot be asked; ", r.PID)
			if !strings.Contains(started.Stderr, line) || !strings.Contains(started.Stderr, want) {
				t.Errorf("start says\n%swant %q and %q", started.Stderr, line, want)
			}
		})
	}
}

// version is the one that a systemd-resolved tells: "systemd 252 (252.38-1~deb12u1)".
func version(t *testing.T, h *harness.Host, r *lab.Resolver) (n int) {
	t.Helper()
	libraries, err := lab.ResolvedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	cmd := h.Command(t.Context(), fmt.Sprintf("/proc/%d/exe", r.PID), "--version")
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
	out, err := cmd.CombinedOutput()
	if _, scanErr := fmt.Sscanf(string(out), "systemd %d", &n); scanErr != nil {
		t.Fatalf("its version: %v, %v: %s", scanErr, err, out)
	}
	return n
}

const monitor = "/run/systemd/resolve/io.systemd.Resolve.Monitor"

// stopResolved starts systemd-resolved and stops it: what is left is a /run of the test's own, and room at its socket.
func stopResolved(t *testing.T, h *harness.Host) {
	t.Helper()
	running(t, h, (*lab.Lab).StartNewerResolved).Stop()
	if err := os.Remove(monitor); err != nil {
		t.Fatal(err)
	}
}

// TestSilentResolved: one that listens and never answers does not hold up the start.
func TestSilentResolved(t *testing.T) {
	h := harness.New(t, lab.Options{})
	stopResolved(t, h)
	rec := startRecorder(t, h, "systemd-resolved", h.Client, service, 0, monitor)
	begin := time.Now()
	started := h.Run("start", "--cgroup", h.Cgroup)
	if took := time.Since(begin); started.Code != 0 || took > 5*time.Second {
		t.Errorf("start: exit %d after %v", started.Code, took)
	}
	if want := fmt.Sprintf("import: not all of the cache of systemd-resolved (pid %d) was taken over: ", rec.pid); !strings.Contains(started.Stderr, want) {
		t.Errorf("start says\n%swant %q", started.Stderr, want)
	}
	if got := rec.signals(t); got != "user defined signal 2" {
		t.Errorf("it got %q, want the flush nevertheless", got)
	}
}

// TestSeveralResolved: of several that run any may be the one that listens.
func TestSeveralResolved(t *testing.T) {
	h := harness.New(t, lab.Options{})
	stopResolved(t, h)
	one := startRecorder(t, h, "systemd-resolved", h.Client, service, 0, "-")
	listens := startRecorder(t, h, "systemd-resolved", h.Client, service, 0, monitor)
	two := startRecorder(t, h, "systemd-resolved", h.Client, service, 0, "-")
	started := h.Run("start", "--cgroup", h.Cgroup)
	want := fmt.Sprintf("import: not all of the cache of systemd-resolved (pid %d) was taken over: ", listens.pid)
	if !strings.Contains(started.Stderr, want) || strings.Contains(started.Stderr, "another process answers") {
		t.Errorf("start says\n%swant %q, of %d, %d and %d", started.Stderr, want, one.pid, listens.pid, two.pid)
	}
}

// TestForeignMonitor: what another process says at systemd-resolved's socket is not believed.
func TestForeignMonitor(t *testing.T) {
	h := harness.New(t, lab.Options{})
	stopResolved(t, h)
	startRecorder(t, h, "systemd-resolved", h.Client, service, 0, "-")
	startRecorder(t, h, "impostor", h.Client, service, 0, monitor)
	started := h.Run("start", "--cgroup", h.Cgroup)
	if want := "another process answers at its socket"; !strings.Contains(started.Stderr, want) {
		t.Errorf("start says\n%swant %q", started.Stderr, want)
	}
}
