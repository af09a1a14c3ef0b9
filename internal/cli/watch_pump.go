package cli

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// pumpFull is how much may wait to be written; more waits in the kernel's buffer, where what is too much is counted.
const pumpFull = 1 << 20

// errUnread is when what is left could not be written in time.
var errUnread = errors.New("nobody reads the output")

// pump writes what is put into it as soon as it can: one line at a time while there is little, and as much as there is
// after each write that took its time. No line waits for the next.
type pump struct {
	to     io.Writer
	failed chan error    // what writing ended with, if it failed
	more   chan struct{} // there is something to write, or the end
	room   chan struct{} // there is room again

	mu      sync.Mutex // guards what follows
	waiting []byte
	ended   bool
}

func newPump(to io.Writer) *pump {
	p := &pump{to: to, failed: make(chan error, 1), more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	go p.write()
	return p
}

func signalOnce(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add has f append to what is written, once there is room. It tells whether there was before the context ended.
func (p *pump) add(ctx context.Context, f func([]byte) []byte) bool {
	for {
		p.mu.Lock()
		if len(p.waiting) < pumpFull {
			p.waiting = f(p.waiting)
			p.mu.Unlock()
			signalOnce(p.more)
			return true
		}
		p.mu.Unlock()
		select {
		case <-p.room:
		case <-ctx.Done():
			return false
		}
	}
}

// put is add for what is short and may not wait.
func (p *pump) put(f func([]byte) []byte) {
	p.mu.Lock()
	p.waiting = f(p.waiting)
	p.mu.Unlock()
	signalOnce(p.more)
}

func (p *pump) write() {
	defer close(p.failed)
	var spare []byte
	for range p.more {
		p.mu.Lock()
		full, ended := p.waiting, p.ended
		p.waiting = spare[:0]
		p.mu.Unlock()
		signalOnce(p.room)
		if len(full) > 0 {
			if _, err := p.to.Write(full); err != nil {
				p.failed <- err
				return
			}
		}
		spare = full
		if ended {
			return
		}
	}
}

// finish waits until all is written, but not longer than patience once the context has ended.
func (p *pump) finish(ctx context.Context, patience time.Duration) error {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	signalOnce(p.more)
	select {
	case err := <-p.failed:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-p.failed:
		return err
	case <-time.After(patience):
		return errUnread
	}
}
