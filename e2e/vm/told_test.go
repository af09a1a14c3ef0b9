package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/lab"
)

// alice is a user without privileges.
const alice = 4242

// watch begins to watch, until the end of the test.
func watch(t *testing.T) *dataplane.Watcher {
	t.Helper()
	w, err := dataplane.Watch(dataplane.WatchOptions{})
	check(t, err)
	t.Cleanup(func() { check(t, w.Close()) })
	return w
}

// next wants the next event to be this one, of an agent.
func next(t *testing.T, w *dataplane.Watcher, a *lab.Agent, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	e, err := w.Next(ctx)
	if err != nil {
		t.Fatalf("want %s: %v", want, err)
	}
	rule := ""
	if e.Ruled {
		rule = e.Rule.Pattern.String() + " " + e.Rule.Target.String()
	}
	got := strings.Join(strings.Fields(fmt.Sprint(e.Kind, " ", e.Observer, e.Protocol, " ", e.Name, " ", e.Address, " by ", rule, " ", e.Interface)), " ")
	if got != want || int(e.PID) != a.PID || e.UID != alice || e.Comm != "exe" {
		t.Errorf("told: %s, of process %d, user %d, %q; want %s, of %d, %d", got, e.PID, e.UID, e.Comm, want, a.PID, alice)
	}
}

// What a user is told of what happens: all in one lab, since labs take most of the time.
func TestTold(t *testing.T) {
	h := harness.Started(t, "--audit")
	a := agent(h, lab.AgentOptions{UID: alice})
	apply(t, h, "open.test vpn0", "shut.test block", "hidden.test vpn0")
	t.Run("events", func(t *testing.T) { events(t, h, a) })
	t.Run("audit", func(t *testing.T) { audit(t, h, a) })
	t.Run("killed", func(t *testing.T) { killedWatcher(t, h, a) })
}

// events: what happens is told to who watches, and counted; explain says it before and agrees with the maps; doctor finds nothing broken.
func events(t *testing.T, h *harness.Host, a *lab.Agent) {
	open, shut, plain := h.MustHost("www.open.test"), h.MustHost("shut.test"), h.MustHost("plain.test")
	w := watch(t)
	learn(t, a, "www.open.test", "shut.test", "plain.test")
	next(t, w, a, fmt.Sprintf("learnt sockets www.open.test %v by open.test vpn0", open.Addr4))
	next(t, w, a, fmt.Sprintf("learnt sockets www.open.test %v by open.test vpn0", open.Addr6))
	next(t, w, a, fmt.Sprintf("learnt sockets shut.test %v by shut.test block", shut.Addr4))
	next(t, w, a, fmt.Sprintf("learnt sockets shut.test %v by shut.test block", shut.Addr6))

	explained(t, h, a, "www.open.test", 0, "-> vpn0 (ifindex")
	explained(t, h, a, "shut.test", 1, "-> blocked")
	explained(t, h, a, plain.Addr6.String(), 1, "-> direct (no rule")
	wantOut(t, h, a, open, "vpn0", via.TCP4, via.UDP6)
	next(t, w, a, fmt.Sprintf("steered tcp www.open.test %v by open.test vpn0 vpn0", open.Addr4))
	next(t, w, a, fmt.Sprintf("steered udp www.open.test %v by open.test vpn0 vpn0", open.Addr6))
	if seen := via.OutUnconnected(h.Lab, a, open.Addr4); seen != "vpn0" {
		t.Errorf("a datagram left by %s", seen)
	}
	next(t, w, a, fmt.Sprintf("steered udp www.open.test %v by open.test vpn0 vpn0", open.Addr4))
	wantOut(t, h, a, shut, "EHOSTUNREACH", via.TCP6, via.UDP4)
	next(t, w, a, fmt.Sprintf("blocked tcp shut.test %v by shut.test block", shut.Addr6))
	next(t, w, a, fmt.Sprintf("blocked udp shut.test %v by shut.test block", shut.Addr4))
	wantOut(t, h, a, plain, "wan0", via.TCP4, via.UDP6)
	if n := w.Lost(); n > 0 {
		t.Errorf("%d events were lost", n)
	}
	wantCounted(t, h, map[string]float64{"open.test vpn0": 3, "shut.test block": 2})
	wantNoFail(t, h)
}

// explained wants an answer of explain, and that the kernel's maps come to the same.
func explained(t *testing.T, h *harness.Host, a *lab.Agent, what string, code int, answer string) {
	t.Helper()
	r := h.Run("explain", what, "--process", fmt.Sprint(a.PID))
	first, rest, _ := strings.Cut(r.Stdout, "\n")
	if r.Code != code || !strings.HasPrefix(first, what+" "+answer) || !strings.Contains(strings.Join(strings.Fields(rest), " "), "kernel agrees") {
		t.Errorf("explain %s: exit %d, %s%s\nwant %d, %q, and that the kernel agrees", what, r.Code, r.Stdout, r.Stderr, code, answer)
	}
}

// wantCounted wants so many connections by each rule, and metrics that Prometheus reads.
func wantCounted(t *testing.T, h *harness.Host, want map[string]float64) {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(h.Must("metrics")))
	check(t, err)
	got := map[string]float64{}
	for _, m := range families["domain_route_rule_hits_total"].GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if n := m.GetCounter().GetValue(); n > 0 {
			got[labels["pattern"]+" "+labels["target"]] = n
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("counted: %v, want %v", got, want)
	}
}

// wantNoFail wants doctor to find nothing that does not work, and to say what this kernel does with first datagrams.
func wantNoFail(t *testing.T, h *harness.Host) {
	t.Helper()
	var data struct {
		Sound  bool
		Checks []struct{ ID, Level, Subject, Found string }
	}
	r := h.JSON(&data, "doctor")
	if (r.Code == 0) != data.Sound || r.Code > 1 {
		t.Errorf("doctor: exit %d, sound %v: %s", r.Code, data.Sound, r.Stderr)
	}
	var major, minor int
	_, err := fmt.Sscanf(release(t), "%d.%d", &major, &minor)
	check(t, err)
	datagram := "ok"
	if major < 6 || major == 6 && minor < 18 {
		datagram = "note"
	}
	seen := false
	for _, c := range data.Checks {
		if c.Level == "fail" || c.ID == "kernel" && c.Level != "ok" || c.ID == "first-datagram" && c.Level != datagram {
			t.Errorf("doctor: %+v", c)
		}
		seen = seen || c.ID == "first-datagram"
	}
	if !seen {
		t.Error("doctor says nothing of first datagrams")
	}
}

// killedWatcher: the program's watch tells events as they come; killed, it has its place until its lease is over.
func killedWatcher(t *testing.T, h *harness.Host, a *lab.Agent) {
	shut := h.MustHost("shut.test")
	learn(t, a, "shut.test")
	killed := h.HostCommand(context.Background(), harness.Binary(t), "watch", "--json")
	out, err := killed.StdoutPipe()
	check(t, err)
	check(t, killed.Start())
	told := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(out).ReadString('\n')
		told <- fmt.Sprint(line, err)
	}()
	line := ""
	for until := time.Now().Add(20 * time.Second); line == ""; {
		select {
		case line = <-told:
		case <-time.After(100 * time.Millisecond):
			wantOut(t, h, a, shut, "EHOSTUNREACH", via.TCP4) // it may not have begun yet
		}
		if time.Now().After(until) {
			line = "nothing"
		}
	}
	var e struct {
		Kind, Name, Rule string
		Address          netip.Addr
		PID, UID         int
	}
	if err := json.NewDecoder(strings.NewReader(line)).Decode(&e); err != nil || e.Kind != "blocked" || e.Name != "shut.test" || e.Rule != "shut.test" ||
		e.Address != shut.Addr4 || e.PID != a.PID || e.UID != alice {
		t.Errorf("watch: %s: %+v, %v", line, e, err)
	}
	for range dataplane.MaxWatchers - 1 {
		watch(t)
	}
	check(t, killed.Process.Kill())
	_ = killed.Wait()
	w, err := dataplane.Watch(dataplane.WatchOptions{})
	if !errors.Is(err, dataplane.ErrTooManyWatchers) {
		t.Errorf("its place is free at once: %v", err)
	}
	for until := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		w, err = dataplane.Watch(dataplane.WatchOptions{})
	}
	check(t, err)
	check(t, w.Close())
}
