package dataplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

// WatchOptions say which events a watcher wants.
type WatchOptions struct {
	All bool // those that no rule concerns, too
}

// renewal is how often a watcher says that it is still there; pause is how long it lets events gather while there are some.
const (
	renewal = time.Second
	pause   = 10 * time.Millisecond
)

// A Watcher gets events as they happen. Its methods but Lost are for one goroutine.
type Watcher struct {
	all    bool
	system *System // its maps; the lock is not held
	began  os.FileInfo
	buffer *ebpf.Map
	reader *ringbuf.Reader
	page   watcherPage

	mutex    sync.Mutex // of the next four: the goroutine that renews the lease may move to another slot
	slot     uint32
	owner    uint64
	lost     uint64 // in slots before, and once for each time that the lease ran out
	closed   bool
	ended    atomic.Bool // domain-route was stopped
	done     chan struct{}
	finished sync.WaitGroup

	record ringbuf.Record
	busy   bool // there was something since it last waited
	clock  clock
	books  books
	names  nameCache
}

// Watch begins to watch. It holds the lock for a moment only. ErrNotStarted, ErrTooManyWatchers.
func Watch(o WatchOptions) (*Watcher, error) {
	if os.Geteuid() != 0 {
		return nil, refusedf("run it as root, by sudo", "not root")
	}
	w := &Watcher{all: o.All, done: make(chan struct{})}
	err := w.makeBuffer()
	if err == nil {
		err = w.begin()
	}
	if err != nil {
		w.free()
		return nil, err
	}
	w.books.system, w.names.system = w.system, w.system
	w.finished.Add(1)
	go w.stay()
	return w, nil
}

func (w *Watcher) makeBuffer() (err error) {
	w.buffer, err = ebpf.NewMap(&ebpf.MapSpec{Name: "events", Type: ebpf.RingBuf, MaxEntries: bufferSize})
	if err != nil {
		return fmt.Errorf("make a buffer of %d bytes for events: %w", bufferSize, err)
	}
	if w.reader, err = ringbuf.NewReader(w.buffer); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return nil
}

// begin enters the watcher among the others.
func (w *Watcher) begin() error {
	l, err := acquire(false)
	if err != nil {
		return err
	}
	defer l.release()
	if w.system, err = l.openEnabled(); err != nil {
		return err
	}
	if w.began, err = os.Stat(tree(live).mapPin(learnMapStates)); err != nil {
		return fmt.Errorf("look at the pins: %w", err)
	}
	if w.page, err = w.system.mapWatchers(); err != nil {
		return err
	}
	if w.slot, w.owner, err = w.system.addWatcher(w.buffer); err != nil {
		return err
	}
	w.tellMe()
	return nil
}

// stay renews the lease until the watcher is closed, or domain-route is stopped.
func (w *Watcher) stay() {
	defer w.finished.Done()
	ticker := time.NewTicker(renewal)
	defer ticker.Stop()
	for {
		select {
		case <-w.done:
			return
		case <-ticker.C:
		}
		if w.isOver() {
			w.ended.Store(true)
			_ = w.reader.Flush()
			return
		}
		w.renew()
	}
}

// isOver tells whether domain-route was stopped, or started anew with other maps.
func (w *Watcher) isOver() bool {
	if atomic.LoadUint64(&w.system.shared().Enabled) == 0 {
		return true
	}
	now, err := os.Stat(tree(live).mapPin(learnMapStates))
	return err != nil || !os.SameFile(now, w.began)
}

// renew says that the watcher is still there. If the lease ran out, because the machine slept or the process was stopped,
// nobody knows what it missed: that is one loss. Where another command has the lock, it is tried again by the next.
func (w *Watcher) renew() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	switch {
	case !w.page.at(w.slot).prolong(w.owner):
		l, err := tryAcquire(false, 0)
		if err != nil {
			return
		}
		defer l.release()
		if w.enterAnew() != nil {
			return
		}
	case w.isTold():
		return
	}
	// A program that took the lease for over, in the moment in which it was renewed, cleared the bits, too.
	w.lost++
	w.tellMe()
}

// enterAnew makes sure that the slot is this watcher's: with the lease over, another command may have cleared it, and another
// watcher taken it. The lock is held.
func (w *Watcher) enterAnew() error {
	used, now, err := w.system.watcher(w.slot)
	if err != nil {
		return err
	}
	if used && now.Owner == w.owner {
		atomic.StoreUint64(&w.page.at(w.slot).Lease, bootTime()+uint64(lease))
		return nil
	}
	slot, owner, err := w.system.addWatcher(w.buffer)
	if err != nil {
		return err
	}
	w.lost += w.lostHere()
	w.slot, w.owner = slot, owner
	return nil
}

func (w *Watcher) isTold() bool {
	bits := watcherBits(w.slot, w.all)
	return atomic.LoadUint64(&w.system.shared().Watching)&bits == bits
}

func (w *Watcher) tellMe() {
	atomic.OrUint64(&w.system.shared().Watching, watcherBits(w.slot, w.all))
}

// Lost is how many events there was no room for. After Close it goes on telling.
func (w *Watcher) Lost() uint64 {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.closed {
		return w.lost
	}
	return w.lost + w.lostHere()
}

// lostHere is what was lost in the present slot.
func (w *Watcher) lostHere() uint64 {
	if place := w.page.at(w.slot); atomic.LoadUint64(&place.Owner) == w.owner {
		return atomic.LoadUint64(&place.Lost)
	}
	return 0
}

// Next waits for the next event. ErrNotStarted once domain-route was stopped and all events were read, or ctx.Err().
func (w *Watcher) Next(ctx context.Context) (Event, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Event{}, err
		}
		ended := w.ended.Load()
		have, err := w.read(time.Unix(1, 0))
		if !have && err == nil {
			if ended {
				return Event{}, ErrNotStarted
			}
			have, err = w.wait(ctx)
		}
		if err != nil {
			return Event{}, err
		}
		if !have {
			continue
		}
		w.busy = true
		if e, ok := w.decode(w.record.RawSample); ok {
			return e, nil
		}
	}
}

// read reads a record into w.record, waiting for one until the deadline.
func (w *Watcher) read(deadline time.Time) (bool, error) {
	w.reader.SetDeadline(deadline)
	err := w.reader.ReadInto(&w.record)
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ringbuf.ErrFlushed) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read events: %w", err)
	}
	return true, nil
}

// wait waits for events. Where some have just come it lets more gather, so that programs are not kept waking us. Else it says that
// it sleeps, and looks again, before it does: see tell_one in bpf/event.h.
func (w *Watcher) wait(ctx context.Context) (bool, error) {
	if w.busy {
		w.busy = false
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		return false, nil
	}
	w.mutex.Lock()
	atomic.StoreUint32(&w.page.at(w.slot).Asleep, 1)
	w.mutex.Unlock()
	if have, err := w.read(time.Unix(1, 0)); have || err != nil {
		return have, err
	}
	stop := context.AfterFunc(ctx, func() { _ = w.reader.Flush() })
	defer stop()
	return w.read(time.Now().Add(renewal))
}

// Close ends watching.
func (w *Watcher) Close() error {
	w.mutex.Lock()
	closed := w.closed
	w.mutex.Unlock()
	if closed {
		return nil
	}
	close(w.done)
	w.finished.Wait()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.lost += w.lostHere()
	w.closed = true
	err := w.leave()
	w.free()
	return err
}

// leave has the programs tell this watcher no more. Where another command keeps the lock, the next one takes the buffer away.
func (w *Watcher) leave() error {
	place := w.page.at(w.slot)
	if atomic.LoadUint64(&place.Owner) != w.owner {
		return nil
	}
	atomic.AndUint64(&w.system.shared().Watching, ^watcherBits(w.slot, true))
	l, err := tryAcquire(false, renewal)
	if err != nil {
		atomic.StoreUint64(&place.Lease, 0)
		return nil
	}
	defer l.release()
	if atomic.LoadUint64(&place.Owner) != w.owner {
		return nil
	}
	err = w.system.dropWatcher(w.slot)
	atomic.StoreUint64(&place.Lease, 0)
	return err
}

func (w *Watcher) free() {
	if w.reader != nil {
		_ = w.reader.Close()
	}
	if w.buffer != nil {
		w.buffer.Close()
	}
	if w.page != nil {
		w.page.free()
	}
	if w.system != nil {
		w.system.closeMaps()
	}
}
