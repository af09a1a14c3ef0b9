package state

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/e2e/state/inject"
	"github.com/domain-route/domain-route/e2e/state/inkernel"
	"github.com/domain-route/domain-route/internal/lab"
)

var kill = inject.Verdict{Kill: true}

// The first start, killed at every fourth of its system calls: what status says is true, and the next start or stop
// makes it whole.
func TestKilledFirstStart(t *testing.T) {
	h := harness.New(t, lab.Options{})
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("killed.test")
	args := []string{"start", "--cgroup", h.Cgroup}
	calls := count(t, h, args...)
	h.Must("rule", "add", "killed.test", "vpn0")
	clean := len(inkernel.Pins(t, inkernel.Base))
	h.Must("stop")
	states := map[string]int{}
	for n, mend := 1, true; n <= calls; n, mend = n+4, !mend {
		inkernel.Unmount(t) // mounting is one of the points
		r := at(t, h, n, kill, args...)
		if !r.Killed {
			break
		}
		states[wantTruth(t, h, a)]++
		if mend {
			h.Must(args...)
			h.Must("rule", "add", "killed.test", "vpn0")
			check(t, via.Learn(a, "killed.test"))
			wantOut(t, h, a, server, "vpn0")
			if n := len(inkernel.Pins(t, inkernel.Base)); n > clean {
				t.Errorf("%d pins after start, %d after a clean one: %v", n, clean, inkernel.Pins(t, inkernel.Base))
			}
		}
		h.Must("stop")
		inkernel.WantNothing(t, h.Cgroup)
		if t.Failed() {
			t.Fatalf("at system call %d of %d", n, calls)
		}
	}
	if states["stopped"] == 0 || states["unfinished"] == 0 {
		t.Errorf("states met: %v; want stopped and unfinished", states)
	}
	t.Logf("%d system calls; states met: %v", calls, states)
}

// wantTruth compares what status says with what programs are attached, and what other commands then say.
func wantTruth(t *testing.T, h *harness.Host, a *lab.Agent) string {
	t.Helper()
	s := inspect(t, h)
	hooks, list := len(inkernel.Attached(t, h.Cgroup)), h.Run("rule", "list")
	switch s.State {
	case "started":
		if hooks != inkernel.Hooks || list.Code != 0 || len(s.Warnings) > 0 {
			t.Errorf("started, but %d hooks; rule list: exit %d; %v", hooks, list.Code, s.Warnings)
		}
	case "stopped":
		if hooks != 0 || list.Code != 1 {
			t.Errorf("stopped, but %d hooks; rule list: exit %d", hooks, list.Code)
		}
	case "unfinished":
		wantIdle(t, a)
		if list.Code != 1 || len(s.Warnings) == 0 {
			t.Errorf("unfinished, but rule list: exit %d; %v", list.Code, s.Warnings)
		}
	default:
		t.Errorf("status says %q", s.State)
	}
	return s.State
}

// wantIdle fails if programs that are attached do anything: what is unfinished must not act.
func wantIdle(t *testing.T, a *lab.Agent) {
	t.Helper()
	before := counted(t)
	check(t, via.Learn(a, "killed.test"))
	if now := counted(t); !maps.Equal(now, before) {
		t.Error("the programs act although nothing is started")
	}
}

// counted reads all counters of ours, wherever they are pinned.
func counted(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pin := range inkernel.Pins(t, inkernel.Base) {
		if filepath.Base(pin) != "counters" {
			continue
		}
		m, err := ebpf.LoadPinnedMap(pin, nil)
		check(t, err)
		for i := range m.MaxEntries() {
			b, err := m.LookupBytes(i)
			check(t, err)
			all[fmt.Sprint(pin, i)] = string(b)
		}
		m.Close()
	}
	return all
}

// A start on a started system, killed at every third of its system calls: steering goes on at every moment.
func TestKilledUpdate(t *testing.T) {
	h := harness.New(t, lab.Options{})
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("killed.test")
	args := []string{"start", "--cgroup", h.Cgroup}
	h.Must(args...)
	h.Must("rule", "add", "killed.test", "vpn0")
	check(t, via.Learn(a, "killed.test"))
	calls := count(t, h, args...)
	for n := 1; n <= calls; n += 3 {
		r := at(t, h, n, kill, args...)
		if !r.Killed {
			break
		}
		wantOut(t, h, a, server, "vpn0")
		if s := wantTruth(t, h, a); s != "started" {
			t.Errorf("status says %s", s)
		}
		if got := rulesOf(h); got != "killed.test vpn0\n" {
			t.Errorf("rules: %q", got)
		}
		if t.Failed() {
			t.Fatalf("at system call %d of %d", n, calls)
		}
	}
	h.Must(args...)
	fresh := h.MustHost("later.killed.test")
	check(t, via.Learn(a, "later.killed.test"))
	wantOut(t, h, a, fresh, "vpn0")
	t.Logf("%d system calls", calls)
}

// stop, killed at every fourth of its system calls: nothing half steered, and the next stop or start makes it whole.
func TestKilledStop(t *testing.T) {
	h := harness.New(t, lab.Options{})
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("killed.test")
	prepare := func() {
		start(h)
		h.Must("rule", "add", "killed.test", "vpn0")
		check(t, via.Learn(a, "killed.test"))
	}
	prepare()
	calls := count(t, h, "stop")
	states := map[string]int{}
	for n, mend := 1, false; n <= calls; n, mend = n+4, !mend {
		prepare()
		if r := at(t, h, n, kill, "stop"); !r.Killed {
			break
		}
		state := wantTruth(t, h, a)
		states[state]++
		want := "wan0"
		if state == "started" {
			want = "vpn0"
		}
		wantOut(t, h, a, server, want)
		if mend {
			start(h)
			h.Must("rule", "list")
		}
		h.Must("stop")
		inkernel.WantNothing(t, h.Cgroup)
		if t.Failed() {
			t.Fatalf("at system call %d of %d", n, calls)
		}
	}
	t.Logf("%d system calls; states met: %v", calls, states)
}

// change is a rule change between two rule sets, and back.
type change struct {
	args          []string
	before, after string // what rule list prints
	out, newOut   string // where a connection goes
}

func changes() []change {
	const kept = "kept.test vpn0\n"
	return []change{
		{[]string{"rule", "add", "change.test", "vpn0"}, kept, "change.test vpn0\n" + kept, "wan0", "vpn0"},
		{[]string{"rule", "add", "change.test", "block"}, "change.test vpn0\n" + kept, "change.test block\n" + kept, "vpn0", "EHOSTUNREACH"},
		{[]string{"rule", "del", "change.test"}, "change.test block\n" + kept, kept, "EHOSTUNREACH", "wan0"},
	}
}

// check finds which of the two rule sets is in force, by what the commands say and by where connections go.
func (c change) check(t *testing.T, h *harness.Host, a *lab.Agent, changed, kept lab.Host) (done bool) {
	t.Helper()
	list, want := rulesOf(h), c.out
	switch list {
	case c.before:
	case c.after:
		want, done = c.newOut, true
	default:
		t.Errorf("rules: %q, neither the old nor the new set", list)
	}
	wantOut(t, h, a, changed, want)
	wantOut(t, h, a, kept, "vpn0")
	if s := inspect(t, h); s.State != "started" || s.Rules != strings.Count(list, "\n") {
		t.Errorf("status: %+v, with the rules %q", s, list)
	}
	return done
}

// A rule change, killed at every one of its system calls (the later ones of three at every other): the old rule set or the new one, whole, and connections obey it.
func TestKilledRuleChange(t *testing.T) {
	h, a, changed, kept := changeLab(t)
	killed := 0
	for i, c := range changes() {
		finished := false
		for n := 1; !finished; n += min(i, 1) + 1 {
			r := at(t, h, n, kill, c.args...)
			if c.check(t, h, a, changed, kept) && r.Killed {
				undo(h, c) // the commit was through: once more, up to the next call
			}
			if r.Killed {
				killed++
			} else if finished = true; r.Code != 0 {
				t.Errorf("%v: exit %d\n%s", c.args, r.Code, r.Stderr)
			}
			if t.Failed() {
				t.Fatalf("%v: at system call %d", c.args, n)
			}
		}
		if got := rulesOf(h); got != c.after {
			t.Fatalf("after %v: %q", c.args, got)
		}
	}
	if killed < 100 {
		t.Errorf("only %d kills", killed)
	}
	if texts := inkernel.Pins(t, inkernel.Base+"/live/text"); len(texts) != 1 {
		t.Errorf("texts of rule sets left over: %v", texts)
	}
	t.Logf("%d kills", killed)
}

func changeLab(t *testing.T) (h *harness.Host, a *lab.Agent, changed, kept lab.Host) {
	t.Helper()
	h = harness.New(t, lab.Options{})
	a = h.MustAgent(lab.AgentOptions{})
	changed, kept = h.MustHost("change.test"), h.MustHost("kept.test")
	start(h)
	h.Must("rule", "add", "kept.test", "vpn0")
	check(t, via.Learn(a, "change.test", "kept.test"))
	return h, a, changed, kept
}

// undo brings back the rule set before a change.
func undo(h *harness.Host, c change) {
	fields := strings.Fields(c.before)
	if fields[0] == "change.test" {
		h.Must("rule", "add", "change.test", fields[1])
	} else {
		h.Must("rule", "del", "change.test")
	}
}

// Killed by time instead of by call: no moment is left out, not those between the calls either.
func TestKilledAtRandom(t *testing.T) {
	h, a, changed, kept := changeLab(t)
	update := []string{"start", "--cgroup", h.Cgroup}
	usual := map[bool]time.Duration{}
	timed := func(slow bool, args ...string) {
		began := time.Now()
		h.Must(args...)
		usual[slow] = time.Since(began)
	}
	timed(false, "rule", "list")
	timed(true, update...)
	cs := changes()
	for i, killed := 0, 0; killed < 60; i++ {
		c := cs[i%len(cs)]
		if i%6 == 5 {
			if killedAfter(t, h, rand.N(usual[true]), update...) {
				killed++
			}
		}
		if killedAfter(t, h, rand.N(2*usual[false]), c.args...) {
			killed++
		}
		if !c.check(t, h, a, changed, kept) {
			h.Must(c.args...)
			c.check(t, h, a, changed, kept)
		}
		if t.Failed() {
			t.Fatalf("in round %d, of %v", i, c.args)
		}
	}
}

// killedAfter runs a command and kills it after a time; false if it was faster.
func killedAfter(t *testing.T, h *harness.Host, after time.Duration, args ...string) bool {
	t.Helper()
	cmd := h.HostCommand(context.Background(), harness.Binary(t), args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	check(t, cmd.Start())
	time.Sleep(after)
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()
	switch code := cmd.ProcessState.ExitCode(); code {
	case -1:
		return true
	case 0:
	default:
		t.Errorf("%v: exit %d\n%s", args, code, errs.String())
	}
	return false
}
