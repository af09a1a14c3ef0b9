package lab

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What is in a directory is not to be seen once it is hidden; one that is not there needs no hiding.
func TestHideDir(t *testing.T) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "config.yaml"), []byte("rules: []\n"), 0o600))
	check(t, hideDir(dir))
	t.Cleanup(func() { check(t, unix.Unmount(dir, 0)) })
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v, %v: want an empty directory", left, err)
	}
	check(t, hideDir(filepath.Join(dir, "missing")))
}
