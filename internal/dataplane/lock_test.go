package dataplane

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Who waits goes on waiting while the lock changes hands, and gives up when one holder keeps it.
func TestFlockPatience(t *testing.T) {
	const patience = 200 * time.Millisecond
	kept := t.TempDir()
	held(t, kept)
	began := time.Now()
	if err := flock(openDir(t, kept), patience); !errors.Is(err, errLocked) || time.Since(began) < patience {
		t.Errorf("one holder: %v after %v, want %v after %v", err, time.Since(began), errLocked, patience)
	}

	path := t.TempDir()
	holder, waits := held(t, path), openDir(t, path)
	got := make(chan error, 1)
	began = time.Now()
	go func() { got <- flock(waits, patience) }()
	for tick := range time.Tick(patience / 8) { // as those do who lock it one after the other
		if err := os.Chtimes(path, tick, tick); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) > 4*patience {
			break
		}
	}
	select {
	case err := <-got:
		t.Fatalf("gave up after %v: %v", time.Since(began), err)
	default:
	}
	if err := unix.Flock(int(holder.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func held(t *testing.T, path string) *os.File {
	t.Helper()
	dir := openDir(t, path)
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return dir
}

func openDir(t *testing.T, path string) *os.File {
	t.Helper()
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}
