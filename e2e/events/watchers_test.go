package events

import (
	"bufio"
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/lab"
)

// Two who watch are both told everything they want; only who asked for all is told what no rule is about.
func TestTwoWatch(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "example.com", "vpn0")
	c := caller{t, h, h.MustAgent(lab.AgentOptions{})}
	one, every := watch(t, dataplane.WatchOptions{}), watch(t, dataplane.WatchOptions{All: true})
	c.connect("example.com", 1)
	c.connect("other.example", 1)
	for _, w := range []*dataplane.Watcher{one, every} {
		if e := next(t, w, isKind(dataplane.EventSteered)); e.Name.String() != "example.com" {
			t.Errorf("%+v", e)
		}
	}
	if e := next(t, every, isKind(dataplane.EventLearnt)); e.Name.String() != "other.example" || e.Ruled || e.Why != "learnt_no_rule" {
		t.Errorf("%+v", e)
	}
	e := next(t, every, func(e dataplane.Event) bool { return e.Kind == dataplane.EventUnruled && e.Protocol == "tcp" })
	if e.Name.String() != "other.example" || e.Ruled {
		t.Errorf("%+v", e)
	}
	none(t, one)
}

// What is left alone is told to who asked for all.
func TestLeft(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "example.com", "vpn0")
	a := h.MustAgent(lab.AgentOptions{})
	to := h.MustHost("example.com").Addr4
	resolve(t, a, "example.com", to)
	w := watch(t, dataplane.WatchOptions{All: true})
	s, err := a.Socket("tcp4")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.BindDevice("wan0"); err != nil {
		t.Fatal(err)
	}
	if err := s.Connect(netip.AddrPortFrom(to, lab.EchoPort)); err != nil {
		t.Fatal(err)
	}
	e := next(t, w, isKind(dataplane.EventLeft))
	if e.Why != "left_bound" || e.Ruled || e.Name.String() != "example.com" || e.Address != to {
		t.Errorf("%+v", e)
	}
}

func TestNotStarted(t *testing.T) {
	h := harness.New(t, lab.Options{})
	if _, err := dataplane.Watch(dataplane.WatchOptions{}); !errors.Is(err, dataplane.ErrNotStarted) {
		t.Errorf("watching what is not started: %v", err)
	}
	h.Must("start", "--cgroup", h.Cgroup)
	w := watch(t, dataplane.WatchOptions{})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	h.Must("start", "--cgroup", h.Cgroup) // an update
	h.Must("stop")
	h.Must("start", "--cgroup", h.Cgroup)
	if _, err := w.Next(ctx); !errors.Is(err, dataplane.ErrNotStarted) {
		t.Errorf("watching what was stopped: %v", err)
	}
}

// An update in place goes on telling; events are of the rules that decided, whatever the rules since.
func TestChangesWhileWatching(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "example.com", "vpn0")
	c := caller{t, h, h.MustAgent(lab.AgentOptions{})}
	w := watch(t, dataplane.WatchOptions{})
	steered := isKind(dataplane.EventSteered)
	c.connect("www.example.com", 1)
	if got := textOf(next(t, w, steered)); got != "example.com vpn0" {
		t.Errorf("by %q", got)
	}
	h.Must("start", "--cgroup", h.Cgroup)
	c.connect("www.example.com", 1)
	h.Must("rule", "add", "www.example.com", "block") // the event before it is not read yet
	c.connect("www.example.com", 1)
	if got := textOf(next(t, w, steered)); got != "example.com vpn0" && got != "" {
		t.Errorf("before the change: by %q", got)
	}
	if got := textOf(next(t, w, isKind(dataplane.EventBlocked))); got != "www.example.com block" {
		t.Errorf("after it: by %q", got)
	}
}

// Who is killed while watching takes a place until its lease is over; the next that wants it has it.
func TestKilledWatcher(t *testing.T) {
	h := harness.Started(t)
	var others []*dataplane.Watcher
	for range dataplane.MaxWatchers - 1 {
		others = append(others, watch(t, dataplane.WatchOptions{}))
	}
	killed := h.HostCommand(context.Background(), "/proc/self/exe", watchForGood)
	out, err := killed.StdoutPipe()
	if err == nil {
		err = killed.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "watching\n" {
		t.Fatalf("the other does not watch: %q, %v", line, err)
	}
	if _, err := dataplane.Watch(dataplane.WatchOptions{}); !errors.Is(err, dataplane.ErrTooManyWatchers) {
		t.Errorf("one too many: %v", err)
	}
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	var w *dataplane.Watcher
	for until := time.Now().Add(10 * time.Second); w == nil && time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		w, err = dataplane.Watch(dataplane.WatchOptions{})
	}
	if err != nil {
		t.Fatalf("its place is not free: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	h.Must("rule", "add", "example.com", "vpn0")
	caller{t, h, h.MustAgent(lab.AgentOptions{})}.connect("example.com", 1)
	for _, o := range others {
		next(t, o, isKind(dataplane.EventSteered))
	}
}
