package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Stopped says what Stop found.
type Stopped struct {
	Was   bool // something was started, or half started
	Rules int  // rules that went with it
}

// Stop disables everything by one word, then removes what is ours, and nothing else.
func Stop() (Stopped, error) {
	if os.Geteuid() != 0 {
		return Stopped{}, refusedf("run it as root, by sudo", "not root")
	}
	l, err := acquire(false)
	if errors.Is(err, ErrNotStarted) {
		return Stopped{}, nil
	}
	if err != nil {
		return Stopped{}, err
	}
	defer l.release()
	if err := l.sweep(); err != nil {
		return Stopped{}, err
	}
	done, err := l.stop()
	if err != nil {
		return done, err
	}
	if err := l.sweep(); err != nil {
		return done, err
	}
	// What somebody else has put there stays, and so does the directory.
	if err := os.Remove(base); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
		return done, fmt.Errorf("remove %s: %w", base, err)
	}
	return done, nil
}

func (l *lock) stop() (Stopped, error) {
	s, err := l.open()
	if errors.Is(err, ErrNotStarted) {
		return Stopped{}, nil
	}
	done := Stopped{Was: true}
	if err != nil {
		// Another version's, or damaged: it can still be removed.
		return done, trash()
	}
	defer s.closeMaps()
	if err := s.checkReach(); err != nil {
		return done, err
	}
	s.setEnabled(0)
	if set, err := s.Rules(); err == nil {
		done.Rules = set.Len()
	}
	return done, trash()
}

// checkReach refuses to lose track of filters on interfaces that are out of reach here.
func (s *System) checkReach() error {
	notes, err := clsactNotes(s.tree)
	if err != nil || len(notes) == 0 || s.AtHome() {
		return err
	}
	return refusedf("run it in the network namespace that start ran in",
		"there are filters on interfaces of another network namespace")
}

// trash unpublishes everything by one rename; sweep removes it, now or at the next command.
func trash() error {
	to := fmt.Sprintf("%s/%s%d", base, trashPrefix, os.Getpid())
	if err := os.Rename(live, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take %s away: %w", live, err)
	}
	return nil
}
