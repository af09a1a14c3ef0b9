package history

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// flushed runs flush and returns how many it says it forgot, and its exit code.
func flushed(h *harness.Host, args ...string) (int, int) {
	var data struct{ Forgotten int }
	r := h.JSON(&data, append([]string{"flush"}, args...)...)
	return data.Forgotten, r.Code
}

// TestFlush: each form forgets what it says, and nothing else; a connection is no longer steered then, and is again once
// the name is asked for again.
func TestFlush(t *testing.T) {
	for _, c := range []struct {
		arg  string
		gone []string
	}{
		{"ruled.example", []string{"ruled.example", "www.ruled.example", "a.b.ruled.example"}},
		{"*.ruled.example", []string{"www.ruled.example", "a.b.ruled.example"}},
		{"=ruled.example", []string{"ruled.example"}},
		{"=WWW.ruled.example.", []string{"www.ruled.example"}},
		{"b.ruled.example", []string{"a.b.ruled.example"}},
		{"plain.example", []string{"plain.example"}},
		{"", []string{"ruled.example", "www.ruled.example", "a.b.ruled.example", "plain.example"}},
		{"ADDRESS", []string{"www.ruled.example"}},
		{"PREFIX", []string{"ruled.example", "www.ruled.example", "a.b.ruled.example", "plain.example"}},
	} {
		t.Run(c.arg, func(t *testing.T) {
			h := harness.Started(t)
			h.Must("rule", "add", "ruled.example", "vpn0")
			names := []string{"ruled.example", "www.ruled.example", "a.b.ruled.example", "plain.example"}
			hosts := map[string]lab.Host{}
			user, root := h.MustAgent(lab.AgentOptions{UID: alice}), h.MustAgent(lab.AgentOptions{})
			for _, n := range names {
				hosts[n] = h.MustHost(n)
				resolve(t, user, n)
				resolve(t, root, n)
			}
			args := []string{}
			switch addr := hosts["www.ruled.example"].Addr4; c.arg {
			case "":
			case "ADDRESS":
				args = []string{addr.String()}
			case "PREFIX":
				args = []string{netip.PrefixFrom(addr, 8).Masked().String()}
			default:
				args = []string{c.arg}
			}
			const each = 4 // a process, its user; root's process, the host
			if n, code := flushed(h, args...); n != each*len(c.gone) || code != 0 {
				t.Errorf("forgot %d, exit %d; want %d", n, code, each*len(c.gone))
			}
			left := map[string]bool{}
			for _, l := range h.Learnt() {
				left[l.Name] = true
			}
			for _, n := range names {
				gone := slices.Contains(c.gone, n)
				if left[n] == gone {
					t.Errorf("%s is learnt: %v", n, left[n])
				}
				want := map[bool]string{true: "vpn0", false: "wan0"}[!gone && strings.HasSuffix(n, "ruled.example")]
				expect(t, h, user, hosts[n].Addr4, want, n)
			}
			if n, code := flushed(h, args...); n != 0 || code != 1 {
				t.Errorf("the second time: forgot %d, exit %d", n, code)
			}
			resolve(t, user, "www.ruled.example")
			expect(t, h, user, hosts["www.ruled.example"].Addr4, "vpn0", "asked for again")
		})
	}
}

// TestFlushWhileLearning: a name that is asked for all the time is steered right after each answer, however often
// everything is forgotten meanwhile: between answer and connect at most, never for longer.
func TestFlushWhileLearning(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "ruled.example", "vpn0")
	s := h.MustHost("ruled.example")
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	const flushes = 12
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range flushes {
			h.Run("flush")
		}
	}()
	rounds, elsewhere := 0, 0
	for over := false; !over; rounds++ {
		select {
		case <-done:
			over = true
		default:
		}
		resolve(t, a, "ruled.example")
		if goesBy(h, a, s.Addr4) != "vpn0" {
			elsewhere++
		}
	}
	t.Logf("%d flushes, %d of %d connections after a forgotten answer", flushes, elsewhere, rounds)
	if elsewhere > 2*flushes || rounds < 10*flushes {
		t.Errorf("%d of %d connections went elsewhere, with %d flushes", elsewhere, rounds, flushes)
	}
	resolve(t, a, "ruled.example")
	expect(t, h, a, s.Addr4, "vpn0", "after it all")
	if lost := h.Counters()["learnt_lost"]; lost > 0 {
		t.Errorf("%d names were lost", lost)
	}
}

// TestFlushUsage: what is no name, no address and no prefix is refused, and without a started system so is all.
func TestFlushUsage(t *testing.T) {
	h := harness.Started(t)
	for args, code := range map[string]int{"a..b": 2, "192.0.2.999": 2, "10.0.0.0/99": 2, "10.0.0.0/33": 2, "fe80::1%lo": 2, "a b": 2, "x.example y.example": 2, "x.example": 1, "": 1} {
		if r := h.Run(append([]string{"flush"}, strings.Fields(args)...)...); r.Code != code {
			t.Errorf("flush %s: exit %d, %s; want %d", args, r.Code, r.Stderr, code)
		}
	}
	if r := h.Run("flush"); r.Stdout != "forgotten: 0\n" || r.Stderr != "" {
		t.Errorf("flush of nothing prints %q and %q", r.Stdout, r.Stderr)
	}
	h.Must("stop")
	if r := h.Run("flush"); r.Code != 1 || !strings.Contains(r.Stderr, "domain-route start") {
		t.Errorf("flush after stop: %+v", r)
	}
}

// TestKilledFlush: killed at any moment, flush leaves nothing locked and nothing half: what is asked for again is learnt and
// steered, texts are there, and the next flush does the rest.
func TestKilledFlush(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "ruled.example", "vpn0")
	s := h.MustHost()
	names := []string{"ruled.example", "a.ruled.example", "plain.example"}
	for _, n := range names {
		h.DNS.Set(n, s.Addr4)
	}
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	started := time.Now()
	h.Run("flush")
	whole := time.Since(started)
	killed := 0
	const kills = 25
	for i := range kills {
		for _, n := range names {
			resolve(t, a, n)
		}
		ctx, cancel := context.WithTimeout(context.Background(), whole*time.Duration(i)/kills)
		if h.HostCommand(ctx, harness.Binary(t), "flush").Run() != nil {
			killed++
		}
		cancel()
		resolve(t, a, "a.ruled.example")
		expect(t, h, a, s.Addr4, "vpn0", "after a killed flush")
		for _, l := range h.Learnt() {
			if l.Name == "" {
				t.Errorf("after a killed flush a name has no text: %+v", l)
			}
		}
	}
	if killed < kills/2 {
		t.Errorf("only %d of %d were killed", killed, kills)
	}
	if n := h.Counters()["learnt_lost"]; n > 0 {
		t.Errorf("%d names were lost", n)
	}
	h.Must("flush")
	if left := h.Learnt(); len(left) > 0 {
		t.Errorf("the next flush left %+v", left)
	}
}
