package threats

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

const (
	bpffs   = "/sys/fs/bpf"
	pinBase = bpffs + "/domain-route"
	refused = 3 // exit code: by the kernel, or for want of permission
)

// commands are all that look at the pins or change them.
var commands = [][]string{
	{"start"}, {"stop"}, {"status"}, {"rule", "add", "bank.example", "vpn0"}, {"rule", "del", "bank.example"},
	{"rule", "list"}, {"rdns"}, {"decision"},
}

// mountBPFFS mounts a BPF file system for this test, in the private mounts of this process.
func mountBPFFS(t *testing.T, options string) {
	t.Helper()
	check(t, unix.Mount("bpf", bpffs, "bpf", 0, options))
	t.Cleanup(func() { check(t, unix.Unmount(bpffs, unix.MNT_DETACH)) })
}

// as runs a program as a user.
func as(t *testing.T, h *harness.Host, uid uint32, args ...string) {
	t.Helper()
	out, err := h.HostCommand(context.Background(), args[0], args[1:]...).AsUser(uid).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
}

// expectRefusals runs every command and wants exit 3, nothing on stdout, and one line that names the culprit.
func expectRefusals(t *testing.T, h *harness.Host, culprit string) {
	t.Helper()
	for _, args := range commands {
		if args[0] == "start" {
			args = append(args, "--cgroup", h.Cgroup)
		}
		r := h.Run(args...)
		if r.Code != refused || r.Stdout != "" || !strings.Contains(r.Stderr, culprit) || strings.Count(r.Stderr, "\n") != 1 {
			t.Errorf("%v: exit %d, %q, %q", args, r.Code, r.Stdout, r.Stderr)
		}
	}
}

// tree describes all that is below a directory: names, types, modes, owners, times.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	check(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			st := info.Sys().(*unixStat)
			b.WriteString(strings.Join([]string{path, info.Mode().String(), decimal(uint64(st.Uid)), decimal(st.Ino),
				info.ModTime().String()}, " ") + "\n")
		}
		return err
	}))
	return b.String()
}

// squats are what somebody may have put where the pins belong, on a BPF file system that everybody may write to.
var squats = []struct {
	what  string
	squat func(t *testing.T, h *harness.Host, outside string)
}{
	{"a user's directory", func(t *testing.T, h *harness.Host, _ string) {
		as(t, h, nobody, "mkdir", "-m", "0700", pinBase)
	}},
	{"a user's directory, as ours would be", func(t *testing.T, h *harness.Host, _ string) {
		as(t, h, nobody, "mkdir", "-p", "-m", "0755", pinBase+"/live/maps", pinBase+"/live/links", pinBase+"/staging_1")
	}},
	{"a user's symlink to a directory of his", func(t *testing.T, h *harness.Host, outside string) {
		as(t, h, nobody, "ln", "-s", outside, pinBase)
	}},
	{"a user's symlink to a directory of root's", func(t *testing.T, h *harness.Host, _ string) {
		check(t, os.Mkdir(bpffs+"/private", 0o700))
		as(t, h, nobody, "ln", "-s", bpffs+"/private", pinBase)
	}},
	{"a user's symlink to nothing", func(t *testing.T, h *harness.Host, outside string) {
		as(t, h, nobody, "ln", "-s", outside+"/none", pinBase)
	}},
	{"root's symlink", func(t *testing.T, _ *harness.Host, _ string) {
		check(t, os.Mkdir(bpffs+"/private", 0o700))
		check(t, os.Symlink(bpffs+"/private", pinBase))
	}},
	{"a pinned program", func(t *testing.T, h *harness.Host, _ string) {
		pinProgram(t, pinBase)
		check(t, os.Chown(pinBase, nobody, nobody))
	}},
	{"a directory of root's that others may write to", func(t *testing.T, _ *harness.Host, _ string) {
		check(t, os.Mkdir(pinBase, 0o700))
		check(t, os.Chmod(pinBase, 0o770))
	}},
	{"a directory of root's that others may read", func(t *testing.T, _ *harness.Host, _ string) {
		check(t, os.Mkdir(pinBase, 0o755))
	}},
	{"another file system", func(t *testing.T, _ *harness.Host, _ string) {
		check(t, os.Mkdir(pinBase, 0o700))
		check(t, unix.Mount("squat", pinBase, "tmpfs", 0, "mode=0700"))
		t.Cleanup(func() { check(t, unix.Unmount(pinBase, unix.MNT_DETACH)) })
	}},
}

// T11. Defence: O_NOFOLLOW, and the checks of owner, mode and file system in openBase().
func TestSquattedPinPath(t *testing.T) {
	h := harness.New(t, lab.Options{NoSniffer: true})
	for _, s := range squats {
		t.Run(s.what, func(t *testing.T) {
			mountBPFFS(t, "mode=1777")
			outside := filepath.Join(h.Dir, "outside")
			check(t, os.MkdirAll(filepath.Join(outside, "live", "maps"), 0o755))
			check(t, os.WriteFile(filepath.Join(outside, "live", "file"), []byte("precious"), 0o644))
			check(t, os.Chown(outside, nobody, nobody))
			defer os.RemoveAll(outside)
			s.squat(t, h, outside)
			before := tree(t, bpffs) + tree(t, outside)
			expectRefusals(t, h, pinBase)
			if after := tree(t, bpffs) + tree(t, outside); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
			expectNothingAttached(t, h)
		})
	}
}

// A mount point that others may change: they could rename our directory away and put theirs there. Defence: checkMount().
func TestWritableBPFFS(t *testing.T) {
	h := harness.New(t, lab.Options{NoSniffer: true})
	for _, c := range []struct {
		what  string
		mode  os.FileMode
		owner int
	}{
		{"everybody's, not sticky", 0o777, 0},
		{"a group's, not sticky", 0o770, 0},
		{"a user's", 0o700, nobody},
		{"a user's, sticky", 0o777 | os.ModeSticky, nobody},
	} {
		t.Run(c.what, func(t *testing.T) {
			mountBPFFS(t, "")
			check(t, os.Chmod(bpffs, c.mode)) // the mount's own option cannot take the sticky bit off
			check(t, os.Chown(bpffs, c.owner, 0))
			if r := h.Run("start", "--cgroup", h.Cgroup); r.Code != refused || !strings.Contains(r.Stderr, bpffs) {
				t.Errorf("start: exit %d, %q", r.Code, r.Stderr)
			}
			if _, err := os.Lstat(pinBase); !os.IsNotExist(err) {
				t.Errorf("%s: %v", pinBase, err)
			}
			expectNothingAttached(t, h)
		})
	}
	for _, options := range []string{"mode=1777", "mode=0755", "mode=0700"} {
		t.Run("started on "+options, func(t *testing.T) {
			mountBPFFS(t, options)
			h.Must("start", "--cgroup", h.Cgroup)
			h.Must("stop")
		})
	}
}

// T10: what names were asked for is root's alone to know, and to change. Defence: the base directory's mode 0700.
func TestOthersSeeNothing(t *testing.T) {
	h := harness.New(t, lab.Options{NoSniffer: true})
	mountBPFFS(t, "mode=1777")
	h.Must("start", "--cgroup", h.Cgroup)
	h.Must("rule", "add", "secret.example", "vpn0")
	h.MustHost("www.secret.example")
	resolve(t, h.MustAgent(lab.AgentOptions{}), lab.Query{Name: "www.secret.example"})
	bin := filepath.Join(h.Dir, "domain-route")
	copyFile(t, harness.Binary(t), bin)
	for _, args := range commands {
		if args[0] == "start" {
			args = append(args, "--cgroup", h.Cgroup)
		}
		cmd := h.HostCommand(context.Background(), bin, args...).AsUser(nobody)
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != refused || strings.Contains(string(out), "secret") || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%v as nobody: exit %d, %q", args, cmd.ProcessState.ExitCode(), out)
		}
	}
	for _, args := range [][]string{
		{"ls", pinBase}, {"ls", pinBase + "/live/maps"}, {"rmdir", pinBase}, {"mv", pinBase, bpffs + "/other"},
	} {
		if out, err := h.HostCommand(context.Background(), args[0], args[1:]...).AsUser(nobody).CombinedOutput(); err == nil {
			t.Errorf("%v as nobody succeeded: %s", args, out)
		}
	}
	open := task{Pin: pinBase + "/live/maps/names_ruled"}
	if out, err := childCommand(h.HostCommand(context.Background(), "/proc/self/exe"), "open", open).CombinedOutput(); err != nil {
		t.Errorf("open %s as root: %v: %s", open.Pin, err, out)
	}
	out, err := childCommand(h.HostCommand(context.Background(), "/proc/self/exe").AsUser(nobody), "open", open).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "permission denied") {
		t.Errorf("open %s as nobody: %v: %s", open.Pin, err, out)
	}
	if got := h.Learnt(); len(got) == 0 {
		t.Error("nothing was learnt: the test tests nothing")
	}
	check(t, filepath.Walk(pinBase, func(path string, info os.FileInfo, err error) error {
		if err == nil && (info.Mode().Perm()&0o077 != 0 || info.Sys().(*unixStat).Uid != 0) {
			t.Errorf("%s has mode %v and owner %d", path, info.Mode(), info.Sys().(*unixStat).Uid)
		}
		return err
	}))
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	check(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	check(t, err)
	_, err = io.Copy(out, in)
	check(t, err)
	check(t, out.Close())
}
