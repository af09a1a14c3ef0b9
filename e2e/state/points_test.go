package state

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/state/inject"
)

// points are the system calls by which a command changes what is in the kernel. Between two of them nothing happens
// that a kill could lay bare.
var points = []int{
	unix.SYS_BPF, unix.SYS_MKDIRAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_MOUNT, unix.SYS_UMOUNT2,
}

// at runs a command with a verdict on the nth of its points.
func at(t testing.TB, h *harness.Host, nth int, v inject.Verdict, args ...string) inject.Result {
	t.Helper()
	r, err := inject.Run(h.Lab, inject.Options{Watch: points, On: func(n, _ int) inject.Verdict {
		if n == nth {
			return v
		}
		return inject.Verdict{}
	}}, harness.Binary(t), args...)
	check(t, err)
	return r
}

// count runs a command undisturbed and tells how many points it passes. It must succeed.
func count(t testing.TB, h *harness.Host, args ...string) int {
	t.Helper()
	r := at(t, h, 0, inject.Verdict{}, args...)
	if r.Code != 0 || r.Calls < 20 {
		t.Fatalf("%v: exit %d after %d system calls\n%s", args, r.Code, r.Calls, r.Stderr)
	}
	return r.Calls
}
