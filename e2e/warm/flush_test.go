package warm

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// Who asks before the start, and after it: persons, so that neither knows what the other has learnt.
const (
	before = 4242
	after  = 4243
)

// cache is a caching resolver and how programs ask it.
type cache struct {
	name  string
	start func(*lab.Lab) (*lab.Resolver, error)
	// asks resolves a name, as a process of a user of its own.
	asks func(t *testing.T, h *harness.Host, r *lab.Resolver, uid uint32, name string)
	// line is what start says of the flush, %d being the pid.
	line string
}

var byDNS = func(t *testing.T, h *harness.Host, r *lab.Resolver, uid uint32, name string) {
	t.Helper()
	a := h.MustAgent(lab.AgentOptions{UID: uid})
	ans, err := a.Resolve(lab.Query{Name: name, Server: r.Addr})
	if err != nil || len(ans.Addrs) == 0 {
		t.Fatalf("resolve %s: %v, %v", name, ans.Addrs, err)
	}
}

var byLibc = func(t *testing.T, h *harness.Host, _ *lab.Resolver, uid uint32, name string) {
	t.Helper()
	out, err := h.Command(t.Context(), "getent", "ahosts", name).AsUser(uid).CombinedOutput()
	if err != nil {
		t.Fatalf("getent ahosts %s: %v\n%s", name, err, out)
	}
}

var cacheTests = []cache{
	{"dnsmasq", (*lab.Lab).StartDnsmasq, byDNS, "flush: dnsmasq (pid %d) by SIGHUP"},
	{"unbound", (*lab.Lab).StartUnboundControlled, byDNS, "flush: unbound (pid %d) by unbound-control flush_zone ."},
	{"systemd-resolved", (*lab.Lab).StartResolved, byDNS, "flush: systemd-resolved (pid %d) by SIGUSR2"},
	{"systemd-resolved-newer", (*lab.Lab).StartNewerResolved, byDNS, "flush: systemd-resolved (pid %d) by SIGUSR2"},
	{"nscd", (*lab.Lab).StartNscd, byLibc, "flush: nscd (pid %d) by invalidating hosts"},
}

// running starts a resolver that ends with the test.
func running(t *testing.T, h *harness.Host, start func(*lab.Lab) (*lab.Resolver, error)) *lab.Resolver {
	t.Helper()
	r, err := start(h.Lab)
	harness.Need(t, !errors.Is(err, exec.ErrNotFound), fmt.Sprint(err))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

// asked tells how often the name server was asked for a name since the last time.
func asked(h *harness.Host, name string) (n int) {
	for _, q := range h.DNS.Questions() {
		if strings.EqualFold(strings.TrimSuffix(q.Name, "."), name) {
			n++
		}
	}
	h.DNS.ResetQuestions()
	return n
}

// leavesBy fails unless a connection of a user who never asked for anything leaves by an uplink.
func leavesBy(t *testing.T, h *harness.Host, addr netip.Addr, uplink string) {
	t.Helper()
	a := h.MustAgent(lab.AgentOptions{UID: 4299})
	h.ResetHits()
	if _, err := a.DialTCP(netip.AddrPortFrom(addr, lab.EchoPort)); err != nil {
		t.Errorf("connect to %v: %v", addr, err)
	}
	want := h.Uplink(uplink).Addr4
	if addr.Is6() {
		want = h.Uplink(uplink).Addr6
	}
	hits := h.HitsOn(addr)
	if len(hits) != 1 || hits[0].Client.Addr() != want {
		t.Errorf("the server %v saw %v, want one connection from %v (%s)", addr, hits, want, uplink)
	}
}

// TestFlush: what was cached before the start is asked for again after it, so that it becomes known.
func TestFlush(t *testing.T) {
	for _, c := range cacheTests {
		t.Run(c.name, func(t *testing.T) {
			h := harness.New(t, lab.Options{})
			const name = "www.bank.example"
			s := h.MustHost(name)
			r := running(t, h, c.start)
			c.asks(t, h, r, before, name)
			if asked(h, name) == 0 {
				t.Fatal("the first question did not reach the name server")
			}
			c.asks(t, h, r, before, name)
			if asked(h, name) != 0 {
				t.Fatalf("%s does not cache", c.name)
			}

			started := h.Run("start", "--cgroup", h.Cgroup)
			if line := fmt.Sprintf(c.line, r.PID); started.Code != 0 || !strings.Contains(started.Stderr, line+"\n") {
				t.Errorf("start: exit %d\n%swant %q", started.Code, started.Stderr, line)
			}
			h.Must("rule", "add", "bank.example", "vpn0")
			c.asks(t, h, r, after, name)
			if asked(h, name) == 0 {
				t.Errorf("%s still answers from its cache", c.name)
			}
			leavesBy(t, h, s.Addr4, "vpn0")
		})
	}
}

// TestFlushNo: --flush=no leaves caches alone, at a start and at an update.
func TestFlushNo(t *testing.T) {
	for _, c := range cacheTests {
		t.Run(c.name, func(t *testing.T) {
			h := harness.New(t, lab.Options{})
			const name = "www.bank.example"
			h.MustHost(name)
			r := running(t, h, c.start)
			c.asks(t, h, r, before, name)
			asked(h, name)
			for range 2 {
				started := h.Run("start", "--cgroup", h.Cgroup, "--flush=no")
				if started.Code != 0 || !strings.Contains(started.Stderr, "flush: caches are left alone") {
					t.Errorf("start: exit %d\n%s", started.Code, started.Stderr)
				}
				c.asks(t, h, r, after, name)
				if n := asked(h, name); n != 0 {
					t.Errorf("%s asked %d times again", c.name, n)
				}
			}
		})
	}
}

// TestUnboundWithoutControl: SIGHUP could end it, so it is left alone, and the line says what to do.
func TestUnboundWithoutControl(t *testing.T) {
	h := harness.New(t, lab.Options{})
	r := running(t, h, (*lab.Lab).StartUnbound)
	started := h.Run("start", "--cgroup", h.Cgroup)
	want := fmt.Sprintf("flush: unbound (pid %d) keeps its cache: unbound-control: it says ", r.PID)
	if started.Code != 0 || !strings.Contains(started.Stderr, want) || !strings.Contains(started.Stderr, "; to flush it: restart unbound") {
		t.Errorf("start: exit %d\n%swant %q", started.Code, started.Stderr, want)
	}
	h.MustHost("alive.example")
	byDNS(t, h, r, after, "alive.example")
}
