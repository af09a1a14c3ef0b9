package dataplane

import (
	"errors"
	"os"
)

// Layout is the version of everything pinned that this program makes and understands.
const Layout = layout

// Look tells the status as Inspect does. Where all is in place, if not in force, more is called with the system, whose lock
// is held, to read what else is wanted of the same moment; it may change nothing.
func Look(present []Device, more func(*System) error) (Status, error) {
	if os.Geteuid() != 0 {
		return Status{}, refusedf("run it as root, by sudo", "not root")
	}
	l, err := acquire(false)
	if hidden := (*HiddenError)(nil); errors.As(err, &hidden) {
		return Status{State: StateStopped, Warnings: []string{err.Error()}}, nil
	}
	if errors.Is(err, ErrNotStarted) {
		return Status{State: StateStopped}, nil
	}
	if err != nil {
		return Status{}, err
	}
	defer l.release()
	s, err := l.open()
	if err != nil {
		return l.without(err)
	}
	defer s.closeMaps()
	st, err := s.status(present)
	if err == nil && more != nil {
		err = more(s)
	}
	if errors.Is(err, ErrDamaged) {
		return l.without(err)
	}
	return st, err
}
