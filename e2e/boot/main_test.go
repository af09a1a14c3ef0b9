// Package boot tests what contrib/ brings: the systemd unit, as far as that goes without systemd (vmtest boots it), and the
// script for others.
package boot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}

// contrib is the path of a file in contrib/.
func contrib(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../contrib", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// mountBPFFS does what systemd does long before our unit.
func mountBPFFS(t *testing.T) {
	t.Helper()
	var on unix.Statfs_t
	err := unix.Statfs("/sys/fs/bpf", &on)
	if err == nil && on.Type != unix.BPF_FS_MAGIC {
		err = unix.Mount("bpf", "/sys/fs/bpf", "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700")
	}
	if err := errors.Join(err); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// kernelBefore tells whether a kernel's release is of an older version.
func kernelBefore(release string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(release, "%d.%d", &a, &b); err != nil {
		return false
	}
	return a < major || a == major && b < minor
}
