package state

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/e2e/state/inject"
	"github.com/domain-route/domain-route/e2e/state/inkernel"
	"github.com/domain-route/domain-route/internal/lab"
)

// failures are what the kernel says when it is short of something, or does not want to.
var failures = []unix.Errno{unix.ENOMEM, unix.EPERM}

// The first start, with an error from every fifth of its system calls: complete or inert, and never half.
func TestFailingFirstStart(t *testing.T) {
	h := harness.New(t, lab.Options{})
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("killed.test")
	args := []string{"start", "--cgroup", h.Cgroup}
	calls := count(t, h, args...)
	h.Must("stop")
	failed := 0
	for n := 2; n <= calls; n += 5 {
		inkernel.Unmount(t)
		r := at(t, h, n, inject.Verdict{Errno: failures[n%2]}, args...)
		state := wantTruth(t, h, a)
		switch {
		case r.Code == 0 && state == "started": // a call that start can do without
		case r.Code == 3 && state != "started":
			failed++
			wantOneLine(t, r)
			if state == "stopped" {
				inkernel.WantNothing(t, h.Cgroup)
				if n := inkernel.Mounts(t); n != 0 {
					t.Errorf("bpffs is mounted %d times, by a start that came to nothing", n)
				}
			}
		default:
			t.Errorf("exit %d and state %s: %s", r.Code, state, r.Stderr)
		}
		if n%3 == 0 {
			h.Must(args...)
			h.Must("rule", "add", "killed.test", "vpn0")
			check(t, via.Learn(a, "killed.test"))
			wantOut(t, h, a, server, "vpn0")
		}
		h.Must("stop")
		inkernel.WantNothing(t, h.Cgroup)
		if t.Failed() {
			t.Fatalf("at system call %d of %d, with %v", n, calls, failures[n%2])
		}
	}
	if failed < 10 {
		t.Errorf("only %d failures", failed)
	}
	t.Logf("%d system calls, %d failures", calls, failed)
}

func wantOneLine(t *testing.T, r inject.Result) {
	t.Helper()
	if r.Stdout != "" || strings.Count(r.Stderr, "\n") != 1 || !strings.HasPrefix(r.Stderr, "domain-route: ") {
		t.Errorf("stdout %q, stderr %q; want one line on stderr", r.Stdout, r.Stderr)
	}
}

// An update, with an error from every fifth of its system calls: what was started goes on.
func TestFailingUpdate(t *testing.T) {
	h := harness.New(t, lab.Options{})
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("killed.test")
	args := []string{"start", "--cgroup", h.Cgroup}
	h.Must(args...)
	h.Must("rule", "add", "killed.test", "vpn0")
	check(t, via.Learn(a, "killed.test"))
	calls := count(t, h, args...)
	failed := 0
	for n := 2; n <= calls; n += 3 {
		r := at(t, h, n, inject.Verdict{Errno: failures[n%2]}, args...)
		if r.Code != 0 {
			failed++
			wantOneLine(t, r)
		}
		if s := wantTruth(t, h, a); s != "started" {
			t.Errorf("exit %d and state %s", r.Code, s)
		}
		wantOut(t, h, a, server, "vpn0")
		if t.Failed() {
			t.Fatalf("at system call %d of %d, with %v", n, calls, failures[n%2])
		}
	}
	if failed < 10 {
		t.Errorf("only %d failures", failed)
	}
	h.Must(args...)
	wantOut(t, h, a, server, "vpn0")
	t.Logf("%d system calls, %d failures", calls, failed)
}

// A rule change, with an error from every one of its system calls (the later ones of three from every other): the old rule set or the new one, whole.
func TestFailingRuleChange(t *testing.T) {
	h, a, changed, kept := changeLab(t)
	for i, c := range changes() {
		failed := 0
		for n := 1; ; n += min(i, 1) + 1 {
			failure := failures[n/2%2]
			r := at(t, h, n, inject.Verdict{Errno: failure}, c.args...)
			done := c.check(t, h, a, changed, kept)
			if r.Code == 0 && !done {
				t.Errorf("exit 0, but the rules are the old ones")
			}
			if r.Code != 0 {
				failed++
				wantOneLine(t, r)
			}
			if done {
				undo(h, c)
			}
			if t.Failed() {
				t.Fatalf("%v: at system call %d, with %v", c.args, n, failure)
			}
			if r.Calls < n {
				break
			}
		}
		if failed < 15 {
			t.Errorf("%v: only %d failures", c.args, failed)
		}
		h.Must(c.args...)
		if got := rulesOf(h); got != c.after {
			t.Fatalf("after %v: %q", c.args, got)
		}
	}
}
