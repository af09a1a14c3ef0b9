package state

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/state/inject"
	"github.com/domain-route/domain-route/e2e/state/inkernel"
	"github.com/domain-route/domain-route/internal/lab"
)

// watched are the interfaces of this file's observers, and what is on each that was there before.
type watched struct {
	t      *testing.T
	h      *harness.Host
	before map[string][]string
}

func newWatched(t *testing.T, h *harness.Host) *watched {
	w := &watched{t, h, map[string][]string{}}
	for _, name := range []string{"wan0", "vpn0"} {
		w.before[name] = w.on(name)
	}
	return w
}

func (w *watched) on(name string) []string {
	w.t.Helper()
	dev, err := w.h.Client.NL.LinkByName(name)
	check(w.t, err)
	return inkernel.OnInterface(w.t, w.h.Client, dev)
}

// programs counts what was added to an interface: 2 where it is observed.
func (w *watched) programs(name string) int {
	w.t.Helper()
	n := 0
	for _, p := range w.on(name) {
		if !slices.Contains(w.before[name], p) && !strings.HasPrefix(p, "qdisc ") {
			n++
		}
	}
	return n
}

func (w *watched) all() int { return w.programs("wan0") + w.programs("vpn0") }

// wantAsTold fails unless exactly those interfaces are observed, in both directions, that status names, and nothing is
// amiss. It returns the observers.
func (w *watched) wantAsTold() []string {
	w.t.Helper()
	s := inspect(w.t, w.h)
	if s.State != "started" || len(s.Warnings) > 0 {
		w.t.Errorf("state %s, warnings %q", s.State, s.Warnings)
	}
	told := map[string]bool{}
	for _, o := range s.Observers {
		if list, ok := strings.CutPrefix(o, "tc:"); ok {
			for _, name := range strings.Split(list, ",") {
				told[name] = true
			}
		}
	}
	for name := range w.before {
		want := 0
		if told[name] {
			want = 2
		}
		if n := w.programs(name); n != want {
			w.t.Errorf("observers %q, but %d programs on %s, want %d", s.Observers, n, name, want)
		}
	}
	for _, p := range s.Programs {
		if !p.Attached {
			w.t.Errorf("%s is not attached", p.Hook)
		}
	}
	return s.Observers
}

// samples are the calls of which one fails, given how many programs are attached before each: every other one of those
// that attach, and few of those that load before and update after.
func samples(present []int) []int {
	var all []int
	last := present[len(present)-1]
	for i, n := range present {
		soon := present[min(i+2, len(present)-1)]
		if attaching := soon > 0 && n < last; attaching && i%2 == 0 || !attaching && i%30 == 2 {
			all = append(all, i+1)
		}
	}
	return all
}

// Observers are added, with an error from one of the system calls: what is attached is told, and can be finished or undone.
func TestFailingObservers(t *testing.T) {
	h := harness.New(t, lab.Options{})
	w := newWatched(t, h)
	start(h)
	var present []int // programs on the interfaces before each call of an undisturbed run
	run := func(n int) inject.Result {
		t.Helper()
		r, err := inject.Run(h.Lab, inject.Options{Watch: []int{unix.SYS_BPF}, On: func(i, _ int) inject.Verdict {
			if n == 0 {
				present = append(present, w.all())
			}
			if i == n {
				return inject.Verdict{Errno: unix.ENOMEM}
			}
			return inject.Verdict{}
		}}, harness.Binary(t), "start", "--cgroup", h.Cgroup, "--observe", "sockets", "--observe", "tc:wan0,vpn0")
		check(t, err)
		return r
	}
	run(0)
	if got := w.wantAsTold(); !slices.Equal(got, []string{"sockets", "tc:wan0,vpn0"}) || w.all() != 4 {
		t.Fatalf("undisturbed: observers %q and %d programs", got, w.all())
	}
	start(h, "--observe", "sockets")
	failed, half := 0, 0
	for _, n := range samples(present) {
		r := run(n)
		attached := w.all()
		s := inspect(t, h)
		tells := slices.ContainsFunc(s.Observers, func(o string) bool { return strings.HasPrefix(o, "tc") })
		if !tells && attached > 0 || s.State != "started" {
			t.Errorf("exit %d: state %s, observers %q, and %d programs on the interfaces", r.Code, s.State, s.Observers, attached)
		}
		if r.Code != 0 {
			failed++
			wantOneLine(t, r)
		}
		if attached > 0 && attached < 4 {
			half++
		}
		start(h)
		w.wantAsTold()
		start(h, "--observe", "sockets")
		if got := w.wantAsTold(); !slices.Equal(got, []string{"sockets"}) || w.all() != 0 {
			t.Errorf("after start --observe sockets: observers %q and %d programs", got, w.all())
		}
		if t.Failed() {
			t.Fatalf("at call %d of %d of bpf(): exit %d, %s", n, len(present), r.Code, r.Stderr)
		}
	}
	if failed < 5 || half < 3 {
		t.Errorf("%d failures, %d of them with part of the programs attached: they test too little", failed, half)
	}
	t.Logf("%d calls of bpf(), %d failures, %d of them half-way", len(present), failed, half)
}
