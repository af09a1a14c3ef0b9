package dataplane

import (
	"errors"
	"fmt"
)

// ErrNotStarted is returned by everything that needs a started system.
var ErrNotStarted = errors.New("domain-route is not started")

// ErrDamaged is returned where parts of what start made are missing.
var ErrDamaged = errors.New("what is pinned is not complete")

// ErrRefused marks what the kernel or a missing permission refused.
var ErrRefused = errors.New("refused")

// ErrNotCgroup is returned for a --cgroup that is no cgroup v2 directory.
var ErrNotCgroup = errors.New("not a cgroup v2 directory")

// A CureError is a failure that a command of the user's can mend.
type CureError struct {
	Err  error
	Cure string // a command line, or a short instruction
}

func (e *CureError) Error() string { return fmt.Sprintf("%v; %s", e.Err, e.Cure) }
func (e *CureError) Unwrap() error { return e.Err }

// A LayoutError is pinned state of another version of this program.
type LayoutError struct{ Found, Want uint32 }

func (e *LayoutError) Error() string {
	return fmt.Sprintf("what is pinned has layout version %d, this program needs %d", e.Found, e.Want)
}

// An AttachedElsewhereError is a start with another --cgroup or in another network namespace than before.
type AttachedElsewhereError struct{ What, Have, Want string }

func (e *AttachedElsewhereError) Error() string {
	return fmt.Sprintf("already started with %s %s, not %s", e.What, e.Have, e.Want)
}

func refusedf(cure, format string, args ...any) error {
	err := fmt.Errorf("%w: %w", ErrRefused, fmt.Errorf(format, args...))
	if cure == "" {
		return err
	}
	return &CureError{Err: err, Cure: cure}
}
