package packages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/state/inkernel"
	"github.com/domain-route/domain-route/internal/lab"
)

const (
	program = "/usr/sbin/domain-route"
	config  = "/etc/domain-route/config.yaml"
	pinned  = "/sys/fs/bpf/domain-route"
	saved   = "/run/domain-route-upgrade"
)

// host is a lab with a package manager. The lab's cgroup is all of cgroup v2 that is to be seen.
type host struct {
	*harness.Host
	t *testing.T
}

func newHost(t *testing.T) *host {
	t.Helper()
	unpacked := t.TempDir()
	run(t, "dpkg-deb", "-x", pack(t, "deb", newVersion), unpacked)
	t.Setenv(harness.BinaryEnv, filepath.Join(unpacked, program)) // also once the package is gone
	t.Setenv("CACHE_DIRECTORY", "/var/cache/domain-route")
	h := &host{harness.New(t, lab.Options{}), t}
	cgroup, err := os.Open(h.Cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer cgroup.Close()
	mount(t, "tmpfs", "/sys/fs/cgroup", "tmpfs", 0)
	slice := "/sys/fs/cgroup/system.slice"
	if err := os.MkdirAll(slice, 0o755); err != nil {
		t.Fatal(err)
	}
	mount(t, fmt.Sprintf("/proc/self/fd/%d", cgroup.Fd()), slice, "", unix.MS_BIND)
	if err := unix.Mount("bpf", "/sys/fs/bpf", "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount("/sys/fs/bpf", unix.MNT_DETACH) })
	t.Cleanup(func() {
		h.Run("stop")
		_, _ = h.try("dpkg", "--purge", "domain-route")
		_ = os.RemoveAll(saved)
	})
	return h
}

func mount(t *testing.T, from, to, kind string, flags uintptr) {
	t.Helper()
	if err := unix.Mount(from, to, kind, flags, ""); err != nil {
		t.Fatalf("mount %s on %s: %v", from, to, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(to, unix.MNT_DETACH) })
}

// try runs a program in the home namespace, outside of the lab's cgroup, and returns what it said.
func (h *host) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := h.HostCommand(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must runs a program that has to succeed.
func (h *host) must(name string, args ...string) string {
	h.t.Helper()
	out, err := h.try(name, args...)
	if err != nil {
		h.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// install installs a version by dpkg and returns what was said.
func (h *host) install(version string) string {
	h.t.Helper()
	out := h.must("dpkg", "-i", pack(h.t, "deb", version))
	if got := h.must(program, "version"); !strings.HasPrefix(got, "domain-route "+version+" ") {
		h.t.Errorf("installed %s, and the program is %s", version, got)
	}
	return out
}

func (h *host) configure(text string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(config), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// policy writes an administrator's word on starting and stopping, for the time of the test.
func (h *host) policy(text string) {
	h.t.Helper()
	path := "/usr/sbin/policy-rc.d"
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = os.Remove(path) })
}

// said fails unless a text has all the words.
func said(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q was not said:\n%s", w, text)
		}
	}
}

// nothingInKernel fails if anything is attached or pinned.
func (h *host) nothingInKernel() {
	h.t.Helper()
	// What was unlinked, not detached, the kernel lets go of a moment later.
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if len(inkernel.Attached(h.t, "/sys/fs/cgroup/system.slice")) == 0 {
			break
		}
	}
	inkernel.WantNothing(h.t, "/sys/fs/cgroup/system.slice")
	if _, err := os.Stat(pinned); !errors.Is(err, fs.ErrNotExist) {
		h.t.Errorf("%s is there: %v", pinned, err)
	}
}

// files lists all that packages may write to. What dpkg and the C library keep for themselves is left out.
func files(t *testing.T) []string {
	t.Helper()
	own := []string{"/var/lib/dpkg", "/var/log", "/var/cache/man", "/var/cache/debconf", "/var/cache/ldconfig", "/var/lib/rpm", "/etc/ld.so.cache"}
	var all []string
	for _, dir := range []string{"/etc", "/usr", "/var", "/run"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if slices.Contains(own, path) || path == "/run/layers" {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			all = append(all, path)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// more lists what is in now and was not there before.
func more(before, now []string) []string {
	was := map[string]bool{}
	for _, f := range before {
		was[f] = true
	}
	return slices.DeleteFunc(slices.Clone(now), func(f string) bool { return was[f] })
}
