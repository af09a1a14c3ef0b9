package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	done, err := l.stop()
	if err != nil {
		return done, err
	}
	if err := l.sweep(); err != nil {
		return done, err
	}
	if err := os.Remove(base); err != nil {
		return done, fmt.Errorf("remove %s: %w", base, err)
	}
	return done, nil
}

func (l *lock) stop() (Stopped, error) {
	done := Stopped{}
	s, err := l.open()
	switch {
	case errors.Is(err, ErrNotStarted):
		return done, l.trash()
	case err != nil:
		// Another version's, or damaged: it can still be removed.
		done.Was = true
		return done, l.trash()
	}
	defer s.closeMaps()
	done.Was = true
	if set, err := s.Rules(); err == nil {
		done.Rules = set.Len()
	}
	s.state.Enabled = 0
	if err := s.writeState(); err != nil {
		return done, err
	}
	return done, l.trash()
}

// trash unpublishes everything by one rename; sweep removes it, now or at the next command.
func (l *lock) trash() error {
	to := fmt.Sprintf("%s/%s%d", base, trashPrefix, os.Getpid())
	if err := os.Rename(live, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take %s away: %w", live, err)
	}
	return nil
}
