package dataplane

import (
	"context"
	"errors"
)

// MaxWatchers is how many can watch at a time; WATCHERS in bpf/abi.h.
const MaxWatchers = 4

// ErrTooManyWatchers is returned by Watch when MaxWatchers watch already.
var ErrTooManyWatchers = errors.New("too many watch at once")

// WatchOptions say which events a watcher wants.
type WatchOptions struct {
	All bool // those that no rule concerns, too
}

// A Watcher gets events as they happen.
type Watcher struct{}

// Watch begins to watch. It takes the lock for a moment only. ErrNotStarted, ErrTooManyWatchers.
func Watch(WatchOptions) (*Watcher, error) { return &Watcher{}, nil }

// Next waits for the next event. ErrNotStarted once domain-route was stopped, or ctx.Err().
func (w *Watcher) Next(ctx context.Context) (Event, error) {
	<-ctx.Done()
	return Event{}, ctx.Err()
}

// Lost is how many events there was no room for.
func (w *Watcher) Lost() uint64 { return 0 }

// Close ends watching.
func (w *Watcher) Close() error { return nil }
