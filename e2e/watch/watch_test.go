package watch

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/terminal"
	"github.com/domain-route/domain-route/internal/lab"
)

// short is an event in the few words that tests compare.
func (e event) short() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", e.Kind, e.Name, e.Rule, e.Target, e.Interface))
}

// What becomes of connections is told, with what is needed to know why.
func TestEvents(t *testing.T) {
	h := newWorld(t)
	w := start(t, h.Host, true, "--json")
	all := start(t, h.Host, true, "--all")
	h.until("www.example.com", w, all)
	for name := range h.sites {
		h.visit(name)
	}
	seen := func(w *watcher, word string) func() bool {
		return func() bool {
			return slices.ContainsFunc(w.all(), func(e event) bool { return strings.HasPrefix(e.short(), word) })
		}
	}
	for _, want := range []string{
		"learnt www.example.com example.com vpn0", "steered www.example.com example.com vpn0 vpn0", "blocked ads.example ads.example block",
		"refused gone.example gone.example vpn9", "marked mark.example mark.example mark:0x23", "direct free.example free.example direct",
	} {
		eventually(t, want, seen(w, want))
	}
	for _, e := range w.all() {
		if e.Name == "plain.example" && e.Kind != "learnt" {
			t.Errorf("without --all it is told: %+v", e)
		}
		if e.PID != h.a.PID || e.Comm != "exe" || e.User != "root" || time.Since(e.Time).Abs() > time.Minute {
			t.Errorf("not of our process, now: %+v", e)
		}
		if site, ok := h.sites[e.Name]; !ok || e.Address != site.Addr4.String() {
			t.Errorf("not of the site's address: %+v", e)
		}
		switch {
		case e.Kind == "learnt" && (e.Observer != "sockets" || e.TTL == 0 || e.Port != 0),
			e.Kind != "learnt" && (e.Port != lab.EchoPort || e.Protocol != "tcp"),
			e.Kind == "steered" && e.Ifindex != h.Uplink("vpn0").Index,
			e.Kind == "refused" && e.Why != "no_interface":
			t.Errorf("%+v", e)
		}
	}
	// In words, separated by tabs.
	eventually(t, "a connection without a rule", func() bool {
		all.mu.Lock()
		defer all.mu.Unlock()
		return slices.ContainsFunc(all.lines, func(line string) bool {
			f := strings.Split(line, "\t")
			return len(f) == 13 && f[1] == "unruled" && f[6] == h.sites["plain.example"].Addr4.String() && f[3] == fmt.Sprint(h.a.PID)
		})
	})
	w.signal(unix.SIGINT)
	all.signal(unix.SIGTERM)
	if a, b := w.end(), all.end(); a != 0 || b != 0 || w.errs.Len()+all.errs.Len() > 0 {
		t.Errorf("SIGINT: exit %d, %q; SIGTERM: exit %d, %q", a, &w.errs, b, &all.errs)
	}
}

func TestFilters(t *testing.T) {
	h := newWorld(t)
	other := h.MustAgent(lab.AgentOptions{UID: 4242})
	byName := start(t, h.Host, true, "--json", "--name", "example.com")
	byKind := start(t, h.Host, true, "--json", "--kind", "steered,blocked")
	byProcess := start(t, h.Host, true, "--json", "--process", fmt.Sprint(h.a.PID))
	nobody := start(t, h.Host, true, "--json", "--process", "nobody", "--name", "ads.example")
	h.until("www.example.com", byName, byKind, byProcess)
	first := h.a
	h.a = other
	h.visit("ads.example")
	h.visit("gone.example")
	h.a = first
	h.visit("ads.example")
	eventually(t, "the last event", func() bool {
		return slices.ContainsFunc(byProcess.all(), func(e event) bool { return e.short() == "blocked ads.example ads.example block" }) &&
			len(slices.DeleteFunc(byKind.all(), func(e event) bool { return e.Kind != "blocked" })) == 2
	})
	for _, c := range []struct {
		what string
		w    *watcher
		ok   func(event) bool
	}{
		{"--name", byName, func(e event) bool { return e.Name == "www.example.com" }},
		{"--kind", byKind, func(e event) bool { return e.Kind == "steered" || e.Kind == "blocked" }},
		{"--process", byProcess, func(e event) bool { return e.PID == first.PID }},
		{"nobody", nobody, func(event) bool { return false }},
	} {
		for _, e := range c.w.all() {
			if !c.ok(e) {
				t.Errorf("%s lets through %+v", c.what, e)
			}
		}
	}
	if !slices.ContainsFunc(byKind.all(), func(e event) bool { return e.UID == 4242 && e.User == "4242" && e.PID == other.PID }) {
		t.Error("nothing is told of the user's connection")
	}
}

func TestEnds(t *testing.T) {
	h := newWorld(t)
	// Enough events, and enough time.
	some := start(t, h.Host, true, "--json", "--count", "3")
	h.until("www.example.com", some)
	eventually(t, "three events", func() bool { h.visit("www.example.com"); return len(some.all()) == 3 })
	if code := some.end(); code != 0 || len(some.all()) != 3 {
		t.Errorf("--count 3: exit %d after %d", code, len(some.all()))
	}
	if r := h.Run("watch", "--for", "50ms"); r.Code != 0 || r.Stdout+r.Stderr != "" {
		t.Errorf("--for: exit %d, %q, %q", r.Code, r.Stdout, r.Stderr)
	}
	// Nobody reads, and nothing happens.
	unread := start(t, h.Host, false)
	unread.out.Close()
	if code := unread.end(); code != 0 || unread.errs.Len() > 0 {
		t.Errorf("a closed pipe: exit %d, %q", code, &unread.errs)
	}
	// Killed: their places are free again once their leases are over.
	var killed []*watcher
	for range 4 {
		w := start(t, h.Host, true, "--json")
		h.until("www.example.com", w)
		killed = append(killed, w)
	}
	if r := h.Run("watch", "--for", "1ms"); r.Code != 3 || !strings.Contains(r.Stderr, "too many watch at once") {
		t.Errorf("a fifth: exit %d, %q", r.Code, r.Stderr)
	}
	top := terminal.Open(t, h.Host, 80, 24, "", nil, harness.Binary(t), "top")
	top.Wait("steered ", "no events: 4 watch already; which: pgrep -af 'domain-route (watch|top)'")
	top.Press("q")
	top.End()
	for _, w := range killed {
		w.signal(os.Kill)
		w.end()
	}
	eventually(t, "a place that a killed one had", func() bool { return h.Run("watch", "--for", "1ms").Code == 0 })
	// Stopped meanwhile, and before.
	w := start(t, h.Host, true, "--json")
	h.until("www.example.com", w)
	h.Must("stop")
	if code := w.end(); code != 1 || w.errs.String() != "domain-route: domain-route was stopped\n" {
		t.Errorf("stopped: exit %d, %q", code, &w.errs)
	}
	if r := h.Run("watch"); r.Code != 1 || r.Stderr != "domain-route: domain-route is not started; first: domain-route start\n" {
		t.Errorf("not started: exit %d, %q", r.Code, r.Stderr)
	}
}

// Of a flood, every event is shown or counted as lost, however slowly the output is read.
func TestFlood(t *testing.T) {
	h := newWorld(t)
	h.visit("ads.example")
	for _, c := range []struct {
		what        string
		times, pace int
		slow        bool
	}{
		{"50,000 a second", 50_000, 50_000, false},
		{"as fast as it goes, not read meanwhile", 200_000, 0, true},
	} {
		w := start(t, h.Host, false, "--json", "--kind", "blocked")
		ready(t, h, w)
		blocked := h.Counters()["blocked"]
		type result struct{ events, lost uint64 }
		got := make(chan result, 1)
		read := func() {
			events, lost := counts(t, w.out)
			got <- result{events, lost}
		}
		if !c.slow {
			go read()
		}
		begun := time.Now()
		h.flood(c.times, c.pace)
		took := time.Since(begun)
		if c.slow {
			go read()
		}
		// All that it will ever show is written once it waits for events again: it is told to end when the processor time it
		// has taken does not grow any more.
		settle(t, w)
		w.signal(unix.SIGTERM)
		r := <-got
		if code := w.end(); code != 0 {
			t.Errorf("%s: exit %d, %s", c.what, code, &w.errs)
		}
		if sent := h.Counters()["blocked"] - blocked; sent != uint64(c.times) || r.events+r.lost != sent {
			t.Errorf("%s: sent %d, shown %d, lost %d: %d are missing", c.what, sent, r.events, r.lost, int64(sent)-int64(r.events+r.lost))
		}
		if c.slow && r.lost == 0 {
			t.Errorf("%s: nothing is lost, so that nothing is tested", c.what)
		}
		t.Logf("%s: sent %d in %v, shown %d, lost %d", c.what, c.times, took.Round(time.Millisecond), r.events, r.lost)
	}
}

// ready waits until a watcher's first line, and takes all there are so far out of the pipe.
func ready(t testing.TB, h *world, w *watcher) {
	t.Helper()
	b := make([]byte, 64<<10)
	for deadline := time.Now().Add(10 * time.Second); ; {
		h.visit("ads.example")
		check(t, w.out.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
		if n, _ := w.out.Read(b); n > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no event")
		}
	}
	for { // what the visits before have left
		check(t, w.out.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
		if n, _ := w.out.Read(b); n == 0 {
			break
		}
	}
	check(t, w.out.SetReadDeadline(time.Time{}))
}

// settle waits until a process has nothing to do.
func settle(t testing.TB, w *watcher) {
	t.Helper()
	last, quiet := "", 0
	eventually(t, "its rest", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.cmd.Process.Pid))
		check(t, err)
		now := strings.Join(strings.Fields(string(stat))[13:15], " ")
		if now == last {
			quiet++
		} else {
			last, quiet = now, 0
		}
		time.Sleep(20 * time.Millisecond)
		return quiet > 15
	})
}
