package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// LockTimeout is how long a command waits for another one to finish. Those that wait behind many wait as long as the lock
// changes hands within that time.
const LockTimeout = 20 * time.Second

// errLocked is what waiting for a lock ends in when it takes too long.
var errLocked = errors.New("locked by somebody else")

// errGone tells that what was locked is not there any more: `stop` removes it while others wait.
var errGone = errors.New("removed meanwhile")

// lock is the flock of the base directory. The kernel drops it when its holder dies.
type lock struct{ dir *os.File }

// acquire takes the lock; with create it makes the base directory first. Without create a directory that is
// not there gives ErrNotStarted.
func acquire(create bool) (*lock, error) {
	until := time.Now().Add(LockTimeout)
	for {
		l, err := tryAcquire(create, time.Until(until))
		switch {
		case errors.Is(err, errGone) && time.Now().Before(until):
		case errors.Is(err, errLocked), errors.Is(err, errGone):
			return nil, refusedf("see who holds it: fuser -v "+base,
				"another domain-route command has held the lock for %v", LockTimeout)
		default:
			return l, err
		}
	}
}

// tryAcquire takes the lock of what is there now: errLocked when that takes longer than patience, errGone when
// it was removed meanwhile.
func tryAcquire(create bool, patience time.Duration) (*lock, error) {
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
		return nil, errGone
	}
	if err != nil {
		if made {
			_ = os.Remove(base)
		}
		return nil, orHidden(err)
	}
	if err := flock(dir, patience); err != nil {
		return nil, err
	}
	if !same(dir, base) {
		dir.Close()
		return nil, errGone
	}
	now := time.Now()
	_ = os.Chtimes(base, now, now) // those who wait see that it went on
	return &lock{dir}, nil
}

// flock locks an open directory, or closes it. It waits for so long, and again if somebody else got the lock meanwhile. The
// system call has no time-out, so that it waits beside us; a goroutine that goes on waiting gives the lock back at once, or ends with
// the process.
func flock(dir *os.File, patience time.Duration) error {
	if unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		return nil
	}
	if patience <= 0 {
		dir.Close()
		return errLocked
	}
	done := make(chan error, 1)
	go func() {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX)
		for errors.Is(err, unix.EINTR) {
			err = unix.Flock(int(dir.Fd()), unix.LOCK_EX)
		}
		done <- err
	}()
	for held := changed(dir); ; {
		select {
		case err := <-done:
			if err != nil {
				dir.Close()
				return fmt.Errorf("lock %s: %w", dir.Name(), err)
			}
			return nil
		case <-time.After(patience):
			now := changed(dir)
			if now.Equal(held) {
				go func() {
					if err := <-done; err == nil { // nobody else would give the lock back
						dir.Close()
					}
				}()
				return errLocked
			}
			held = now
		}
	}
}

// changed is when a directory was last locked, or something in it made or removed.
func changed(dir *os.File) time.Time {
	info, err := dir.Stat()
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// same tells whether the path still leads to the open directory.
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
	names, err := pinsIn(base)
	if err != nil {
		return err
	}
	for _, name := range names {
		if stale(name) {
			if err := dismantle(tree(base + "/" + name)); err != nil {
				return err
			}
		}
	}
	return nil
}
