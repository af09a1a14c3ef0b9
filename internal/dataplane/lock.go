package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// LockTimeout is how long a command waits for another one to finish.
const LockTimeout = 20 * time.Second

// lockPause is how long a command that waits for a lock sleeps between two tries: flock has no time-out.
const lockPause = 5 * time.Millisecond

// lock is the flock of the base directory. The kernel drops it when its holder dies.
type lock struct{ dir *os.File }

// acquire takes the lock; with create it makes the base directory first. Without create a directory that is
// not there gives ErrNotStarted.
func acquire(create bool) (*lock, error) {
	for until := time.Now().Add(LockTimeout); ; time.Sleep(lockPause) {
		l, err := tryAcquire(create)
		if err == nil || !errors.Is(err, unix.EWOULDBLOCK) {
			return l, err
		}
		if time.Now().After(until) {
			return nil, refusedf("see who holds it: fuser -v "+base,
				"another domain-route command has held the lock for %v", LockTimeout)
		}
	}
}

// tryAcquire returns EWOULDBLOCK when somebody else holds the lock, or has just removed what it is on.
func tryAcquire(create bool) (*lock, error) {
	made := false
	if create {
		err := os.Mkdir(base, 0o700)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make %s: %w", base, err)
		}
		made = err == nil
	}
	dir, err := openBase()
	if create && errors.Is(err, ErrNotStarted) {
		return nil, unix.EWOULDBLOCK // removed again by a stop
	}
	if err != nil {
		if made {
			_ = os.Remove(base)
		}
		return nil, err
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		dir.Close()
		return nil, err
	}
	if !same(dir, base) {
		dir.Close()
		return nil, unix.EWOULDBLOCK
	}
	return &lock{dir}, nil
}

// same tells whether the path still leads to the open directory: `stop` removes it while others wait.
func same(dir *os.File, path string) bool {
	have, err := dir.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(have, now)
}

func (l *lock) release() { l.dir.Close() }

// sweep removes what killed commands left. The lock is held.
func (l *lock) sweep() error {
	entries, err := os.ReadDir(base)
	if err != nil {
		return fmt.Errorf("list %s: %w", base, err)
	}
	for _, e := range entries {
		if stale(e.Name()) {
			if err := dismantle(tree(base + "/" + e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
