package page

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// patience is how long one block may take.
const patience = 2 * time.Minute

// Shell runs blocks on the lab's client. What they write to the directories of the system that Hide names stays in this mount
// namespace.
type Shell struct {
	Dir string // working directory of the blocks

	h     *harness.Host
	tools string // a directory in front of PATH
}

// NewShell makes a shell whose PATH begins with the binary under test, and with a sudo that is nobody's business. The
// configuration and the cache of domain-route are empty.
func NewShell(t testing.TB, h *harness.Host) *Shell {
	t.Helper()
	s := &Shell{Dir: t.TempDir(), h: h, tools: t.TempDir()}
	s.Tool(t, "sudo", `exec "$@"`)
	if err := os.Symlink(harness.Binary(t), filepath.Join(s.tools, "domain-route")); err != nil {
		t.Fatal(err)
	}
	Hide(t, "/etc/domain-route")
	Hide(t, "/var/cache/domain-route")
	return s
}

// Tool puts a shell script in front of PATH.
func (s *Shell) Tool(t testing.TB, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.tools, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// Run runs a block in bash and returns what it wrote. Every line has to succeed.
func (s *Shell) Run(t testing.TB, b Block) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := s.h.Command(ctx, "bash", "-euc", b.Text)
	cmd.Env = append(os.Environ(), "PATH="+s.tools+":"+os.Getenv("PATH"))
	cmd.Dir = s.Dir
	out, err := Output(t, cmd)
	if err != nil {
		t.Fatalf("%s:%d: %v\n%s\n%s", b.File, b.Line, err, b.Text, out)
	}
	return out
}

// Output runs a command and returns what it wrote until it ended. That is a file's, since a pipe would wait for daemons that
// the command starts and that keep it open.
func Output(t testing.TB, cmd *lab.Cmd) (string, error) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	failed := cmd.Run()
	out, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(out), failed
}

// Hide puts an empty directory over another one, which may not be there, until the test ends.
func Hide(t testing.TB, dir string) {
	t.Helper()
	if os.Mkdir(dir, 0o755) == nil {
		t.Cleanup(func() { _ = os.Remove(dir) })
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		t.Fatalf("hide %s: %v", dir, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}

// Bind puts one directory over another one until the test ends.
func Bind(t testing.TB, from, to string) {
	t.Helper()
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("bind %s over %s: %v", from, to, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(to, unix.MNT_DETACH) })
}

// ShowCgroup makes the lab's cgroup all of cgroup v2 that is to be seen, below /sys/fs/cgroup: at under, or if that is empty
// as the root.
func (s *Shell) ShowCgroup(t testing.TB, under string) {
	t.Helper()
	cgroup, err := os.Open(s.h.Cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer cgroup.Close()
	const root = "/sys/fs/cgroup"
	Hide(t, root)
	at := filepath.Join(root, under)
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	Bind(t, fmt.Sprintf("/proc/self/fd/%d", cgroup.Fd()), at)
}
