// Package inkernel looks at what is pinned, attached and alive in the kernel, for tests of what start and stop leave there.
package inkernel

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Where domain-route keeps its pins.
const (
	BPFFS     = "/sys/fs/bpf"
	Base      = BPFFS + "/domain-route"
	StatesPin = Base + "/live/maps/states" // begins with the layout version, four bytes
)

// Hooks is how many programs are attached to the cgroup with the observer `sockets`.
const Hooks = 8

var cgroupHooks = []ebpf.AttachType{
	ebpf.AttachCGroupInet4Connect, ebpf.AttachCGroupInet6Connect, ebpf.AttachCGroupUDP4Sendmsg, ebpf.AttachCGroupUDP6Sendmsg,
	ebpf.AttachCGroupInet4Bind, ebpf.AttachCGroupInet6Bind, ebpf.AttachCGroupInetIngress, ebpf.AttachCGroupInetEgress,
}

// Attached lists the programs on a cgroup, whosever they are.
func Attached(t testing.TB, cgroup string) []string {
	t.Helper()
	dir, err := os.Open(cgroup)
	check(t, err)
	defer dir.Close()
	var all []string
	for _, at := range cgroupHooks {
		found, err := link.QueryPrograms(link.QueryOptions{Target: int(dir.Fd()), Attach: at})
		check(t, err)
		for _, p := range found.Programs {
			all = append(all, at.String()+" "+programName(t, p.ID))
		}
	}
	return all
}

func programName(t testing.TB, id ebpf.ProgramID) string {
	t.Helper()
	p, err := ebpf.NewProgramFromID(id)
	check(t, err)
	defer p.Close()
	info, err := p.Info()
	check(t, err)
	return info.Name
}

// Pins lists everything below a directory; nothing if there is no such directory.
func Pins(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir && err == nil {
			all = append(all, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	check(t, err)
	return all
}

// Mounts counts what is mounted at BPFFS, one above the other.
func Mounts(t testing.TB) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	check(t, err)
	n := 0
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); f[4] == BPFFS {
			n++
		}
	}
	return n
}

// Unmount takes away all that is mounted at BPFFS.
func Unmount(t testing.TB) {
	t.Helper()
	for Mounts(t) > 0 {
		check(t, unix.Unmount(BPFFS, unix.MNT_DETACH))
	}
}

// WantNothing fails if anything of domain-route's is pinned, or anything at all is attached to a cgroup.
func WantNothing(t testing.TB, cgroup string) {
	t.Helper()
	if _, err := os.Lstat(Base); err == nil {
		t.Errorf("%s is there: %v", Base, Pins(t, Base))
	}
	if a := Attached(t, cgroup); len(a) > 0 {
		t.Errorf("attached: %v", a)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
