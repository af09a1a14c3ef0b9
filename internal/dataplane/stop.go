package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cilium/ebpf"
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
	if err := checkReach(live); err != nil {
		if s != nil {
			s.closeMaps()
		}
		return done, err
	}
	if err != nil {
		// Another version's, or damaged: it can still be removed.
		return done, trash()
	}
	defer s.closeMaps()
	s.setEnabled(0)
	if set, err := s.Rules(); err == nil {
		done.Rules = set.Len()
	}
	return done, trash()
}

// checkReach refuses to lose track of filters on interfaces that are out of reach here.
func checkReach(t tree) error {
	notes, err := clsactNotes(t)
	if err != nil || len(notes) == 0 {
		return err
	}
	states, err := ebpf.LoadPinnedMap(t.mapPin(learnMapStates), nil)
	if err != nil {
		return nil // nobody knows whose they are
	}
	defer states.Close()
	var state learnState
	cookie, err := netnsCookie()
	if err != nil || states.Lookup(uint32(0), &state) != nil || state.Home == cookie {
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
