package state

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/e2e/state/inkernel"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestStartAndStopAreIdempotent(t *testing.T) {
	h := harness.New(t, lab.Options{})
	var stopped struct {
		Stopped        bool
		RulesForgotten int `json:"rules_forgotten"`
	}
	var started struct {
		Action, Cgroup string
		Observers      []string
	}
	if h.JSON(&stopped, "stop"); stopped.Stopped {
		t.Errorf("stop of nothing: %+v", stopped)
	}
	for round := range 2 {
		for i, want := range []string{"started", "updated", "updated"} {
			r := h.JSON(&started, "start", "--cgroup", h.Cgroup)
			if r.Code != 0 || started.Action != want || started.Cgroup != h.Cgroup || !slices.Equal(started.Observers, []string{"sockets", "libc"}) {
				t.Errorf("round %d, start %d: exit %d, %+v; want %s", round, i, r.Code, started, want)
			}
			if s := inspect(t, h); s.State != "started" || !s.Home || len(s.Programs) != inkernel.Hooks || len(s.Warnings) > 0 {
				t.Errorf("status: %+v", s)
			}
		}
		h.Must("rule", "add", "a.test", "vpn0")
		h.Must("rule", "add", "b.test", "vpn0")
		for _, want := range []bool{true, false} {
			r := h.JSON(&stopped, "stop")
			if r.Code != 0 || stopped.Stopped != want || want != (stopped.RulesForgotten == 2) {
				t.Errorf("round %d, stop: exit %d, %+v; want stopped %v", round, r.Code, stopped, want)
			}
			if s := inspect(t, h); s.State != "stopped" {
				t.Errorf("status: %+v", s)
			}
			inkernel.WantNothing(t, h.Cgroup)
		}
	}
}

// stop leaves no map, program, link, pin or attachment, whatever was done in between.
func TestStopLeavesNothing(t *testing.T) {
	h := harness.New(t, lab.Options{})
	a := h.MustAgent(lab.AgentOptions{})
	h.MustHost("a.test")
	start(h)
	h.Must("rule", "add", "a.test", "vpn0")
	h.Must("rule", "add", "b.test", "vpn0,direct")
	h.Must("rule", "del", "b.test")
	check(t, via.Learn(a, "a.test"))
	all := inkernel.Objects(t)
	start(h)
	start(h, "--observe", "tc:wan0")
	all = append(all, inkernel.Objects(t)...)
	if len(all) < 40 {
		t.Fatalf("found only %d objects to look for: %v", len(all), all)
	}
	h.Must("stop")
	inkernel.WantNothing(t, h.Cgroup)
	inkernel.WantGone(t, all)
}

// stop removes only what is ours.
func TestStopSparesOthers(t *testing.T) {
	h := harness.New(t, lab.Options{})
	start(h) // mounts bpffs
	h.Must("stop")
	foreign := foreignMap(t)
	for _, name := range []string{"foreign", "domain-route-not", "live", "maps"} {
		dir := filepath.Join(inkernel.BPFFS, name)
		check(t, os.Mkdir(dir, 0o700))
		clone, err := foreign.Clone()
		check(t, err)
		check(t, clone.Pin(filepath.Join(dir, "map")))
		t.Cleanup(func() {
			check(t, clone.Unpin())
			clone.Close()
			check(t, os.Remove(dir))
		})
	}
	dir, err := os.Open(h.Cgroup)
	check(t, err)
	defer dir.Close()
	byLink, err := link.AttachRawLink(link.RawLinkOptions{
		Target: int(dir.Fd()), Attach: ebpf.AttachCGroupInet4Connect,
		Program: inkernel.ForeignProgram(t, ebpf.CGroupSockAddr, ebpf.AttachCGroupInet4Connect, 1),
	})
	check(t, err)
	defer byLink.Close()
	check(t, link.RawAttachProgram(link.RawAttachProgramOptions{
		Target: int(dir.Fd()), Attach: ebpf.AttachCGroupInetIngress, Flags: unix.BPF_F_ALLOW_MULTI,
		Program: inkernel.ForeignProgram(t, ebpf.CGroupSKB, ebpf.AttachCGroupInetIngress, 1),
	}))
	pinned, programs := inkernel.Pins(t, inkernel.BPFFS), inkernel.Attached(t, h.Cgroup)
	if len(pinned) < 8 || len(programs) != 2 {
		t.Fatalf("pins %v, programs %v", pinned, programs)
	}
	start(h)
	if got := inkernel.Attached(t, h.Cgroup); len(got) != len(programs)+inkernel.Hooks {
		t.Errorf("attached beside others: %v", got)
	}
	h.Must("stop")
	if now := inkernel.Attached(t, h.Cgroup); !slices.Equal(now, programs) {
		t.Errorf("attached after stop: %v, before start: %v", now, programs)
	}
	if now := inkernel.Pins(t, inkernel.BPFFS); !slices.Equal(now, pinned) {
		t.Errorf("pins of others after stop: %v, before: %v", now, pinned)
	}
}

func foreignMap(t *testing.T) *ebpf.Map {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "foreign", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	check(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

// lasting leaves out what start itself counts, by looking the rules' names up, and what other programs of this machine
// do.
func lasting(s status) status {
	for _, name := range []string{"answers", "learnt", "libc_outside"} {
		delete(s.Counters, name)
	}
	return s
}

// start on a started system keeps rules, learnt names and counters.
func TestUpdateKeepsState(t *testing.T) {
	h := harness.New(t, lab.Options{})
	a := h.MustAgent(lab.AgentOptions{})
	user := h.MustAgent(lab.AgentOptions{UID: 1001})
	server, plain := h.MustHost("ruled.test"), h.MustHost("plain.test")
	start(h)
	h.Must("rule", "add", "ruled.test", "vpn0")
	h.Must("rule", "add", "default", "direct")
	check(t, via.Learn(a, "ruled.test", "plain.test"))
	check(t, via.Learn(user, "ruled.test"))
	wantOut(t, h, a, server, "vpn0")
	rules, learnt, before := rulesOf(h), known(h), lasting(inspect(t, h))
	if len(learnt) < 6 {
		t.Fatalf("learnt only %v", learnt)
	}
	for range 3 {
		start(h)
		if now := rulesOf(h); now != rules {
			t.Errorf("rules are %q, were %q", now, rules)
		}
		if now := known(h); !slices.Equal(now, learnt) {
			t.Errorf("learnt names are %v, were %v", now, learnt)
		}
		if now := lasting(inspect(t, h)); !maps.Equal(now.Counters, before.Counters) || now.Generation != before.Generation {
			t.Errorf("counters and generation are %v, %d; were %v, %d", now.Counters, now.Generation, before.Counters, before.Generation)
		}
	}
	wantOut(t, h, user, server, "vpn0")
	wantOut(t, h, a, plain, "wan0")
	for _, c := range []struct {
		args      []string
		observers string
		hooks     int
	}{
		{[]string{"--observe", "sockets", "--observe", "tc:wan0"}, "sockets tc:wan0", inkernel.Hooks + 2},
		{nil, "sockets tc:wan0", inkernel.Hooks + 2}, // as it is
		{[]string{"--observe", "tc:vpn0"}, "tc:vpn0", inkernel.Hooks + 2},
		{[]string{"--observe", "sockets"}, "sockets", inkernel.Hooks},
	} {
		start(h, c.args...)
		if s := inspect(t, h); strings.Join(s.Observers, " ") != c.observers || len(s.Programs) != c.hooks || len(s.Warnings) > 0 {
			t.Errorf("start %v: observers %v, %d programs, %v", c.args, s.Observers, len(s.Programs), s.Warnings)
		}
	}
	h.Must("start") // without --cgroup: as it is
	if s := inspect(t, h); s.Cgroup != h.Cgroup {
		t.Errorf("start without --cgroup moved to %s", s.Cgroup)
	}
	wantOut(t, h, a, server, "vpn0")
}

// known lists who has learnt what.
func known(h *harness.Host) []string {
	var all []string
	for _, l := range h.Learnt() {
		all = append(all, fmt.Sprint(l.Address, l.Name, l.Level, l.PID, l.UID, l.Rule))
	}
	slices.Sort(all)
	return all
}

// While start updates, every connection is steered, and every name learnt.
func TestNoMomentUnsteered(t *testing.T) {
	const updates, hosts = 20, 400
	h := harness.New(t, lab.Options{})
	start(h)
	h.Must("rule", "add", "moment.test", "vpn0")
	one := h.MustHost("one.moment.test")
	fresh := make([]lab.Host, hosts)
	for i := range fresh {
		fresh[i] = h.MustHost(fmt.Sprintf("h%d.moment.test", i))
	}
	connecting, learning := h.MustAgent(lab.AgentOptions{}), h.MustAgent(lab.AgentOptions{})
	check(t, via.Learn(connecting, "one.moment.test"))
	var work sync.WaitGroup
	stop := make(chan struct{})
	ended := func() bool {
		select {
		case <-stop:
			return true
		default:
			return false
		}
	}
	connects, lookups := 0, 0
	work.Go(func() {
		for ; !ended(); connects++ {
			if got := via.Out(h.Lab, connecting, via.Kinds[connects%len(via.Kinds)], one); got != "vpn0" {
				t.Errorf("connection %d left by %s", connects, got)
			}
		}
	})
	work.Go(func() {
		for ; !ended() && lookups < hosts; lookups++ {
			if err := via.Learn(learning, fmt.Sprintf("h%d.moment.test", lookups)); err != nil {
				t.Error(err)
			}
			if got := via.Out(h.Lab, learning, via.UDP4, fresh[lookups]); got != "vpn0" {
				t.Errorf("connection to the name learnt as number %d left by %s", lookups, got)
			}
		}
	})
	for range updates {
		start(h)
	}
	close(stop)
	work.Wait()
	if connects < 2*updates || lookups < updates {
		t.Errorf("only %d connections and %d lookups in %d updates: too few to tell", connects, lookups, updates)
	}
	t.Logf("%d connections and %d lookups during %d updates", connects, lookups, updates)
}
