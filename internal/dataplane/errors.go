package dataplane

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// ErrNotStarted is returned by everything that needs a started system.
var ErrNotStarted = errors.New("domain-route is not started")

// A HiddenError is ErrNotStarted where `ip netns exec` hides whatever is started: it mounts a /sys of its own, without the
// BPF file system and cgroup v2 of the host.
type HiddenError struct{ Namespace string }

func (e *HiddenError) Error() string {
	return fmt.Sprintf("%v as far as can be seen; this looks like ip netns exec, which hides /sys/fs/bpf: run it outside, or: nsenter --net=/run/netns/%s domain-route ...",
		ErrNotStarted, e.Namespace)
}

func (e *HiddenError) Unwrap() error { return ErrNotStarted }

// plainNamespace is a name that needs no quotes.
var plainNamespace = regexp.MustCompile(`^[A-Za-z0-9._+@-]+$`)

// netnsOf is the network namespace that `ip netns exec` mounted /sys for, which it notes as the source, by the text of
// mountinfo; empty: it was not that.
func netnsOf(mountinfo string) (name string) {
	for line := range strings.Lines(mountinfo) {
		where, what, _ := strings.Cut(line, " - ")
		f, by := strings.Fields(where), strings.Fields(what)
		if len(f) < 5 || f[4] != "/sys" || len(by) < 2 {
			continue
		}
		if name = ""; by[0] == "sysfs" && plainNamespace.MatchString(by[1]) {
			name = by[1]
		}
	}
	return name
}

// orHidden tells of ErrNotStarted where no BPF file system is seen why that is, if it is `ip netns exec`: nothing else mounts
// /sys by the name of the network namespace that this is.
func orHidden(err error) error {
	if !errors.Is(err, ErrNotStarted) || isBPFFS(bpffs) {
		return err
	}
	text, _ := os.ReadFile("/proc/self/mountinfo")
	name := netnsOf(string(text))
	if name == "" {
		return err
	}
	named, err1 := os.Stat("/run/netns/" + name)
	ours, err2 := os.Stat("/proc/self/ns/net")
	if err1 != nil || err2 != nil || !os.SameFile(named, ours) {
		return err
	}
	return &HiddenError{name}
}

// ErrDamaged is returned where parts of what start made are missing.
var ErrDamaged = errors.New("what is pinned is not complete")

// ErrRefused marks what the kernel or a missing permission refused.
var ErrRefused = errors.New("refused")

// ErrNotCgroup is returned for a --cgroup that is no cgroup v2 directory.
var ErrNotCgroup = errors.New("not a cgroup v2 directory")

// A CureError is a failure that a command of the user's can mend.
type CureError struct {
	Err  error
	Cure string // a command line, or a short instruction
}

func (e *CureError) Error() string { return fmt.Sprintf("%v; %s", e.Err, e.Cure) }
func (e *CureError) Unwrap() error { return e.Err }

// A LayoutError is pinned state of another version of this program.
type LayoutError struct{ Found, Want uint32 }

func (e *LayoutError) Error() string {
	return fmt.Sprintf("what is pinned has layout version %d, this program needs %d", e.Found, e.Want)
}

// An AttachedElsewhereError is a start with another --cgroup or in another network namespace than before.
type AttachedElsewhereError struct{ What, Have, Want string }

func (e *AttachedElsewhereError) Error() string {
	return fmt.Sprintf("already started with %s %s, not %s", e.What, e.Have, e.Want)
}

func refusedf(cure, format string, args ...any) error {
	err := fmt.Errorf("%w: %w", ErrRefused, fmt.Errorf(format, args...))
	if cure == "" {
		return err
	}
	return &CureError{Err: err, Cure: cure}
}
