package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long nothing is shown.
const patience = time.Second

// progress shows on a terminal how far something is, once the whole has taken a second; elsewhere nothing. nil is none.
type progress struct {
	out        io.Writer
	begun      time.Time
	phase      atomic.Pointer[string]
	done, of   atomic.Int64
	stop, gone chan struct{}
	once       sync.Once
}

func (a *app) progress(phase string) *progress {
	if !a.ErrTerminal {
		return nil
	}
	return newProgress(a.Stderr, time.Now(), phase)
}

// progressOf is progress while files are read. What somebody types is not drawn over: he is told what is waited for.
func (a *app) progressOf(phase string, files ...string) *progress {
	if a.InTerminal && slices.Contains(files, standardInput) {
		a.warn("%s from the terminal; end them with Ctrl-D on a line of its own", phase)
		return nil
	}
	return a.progress(phase)
}

func newProgress(out io.Writer, begun time.Time, phase string) *progress {
	p := &progress{out: out, begun: begun, stop: make(chan struct{}), gone: make(chan struct{})}
	p.next(phase)
	go p.draw(patience - time.Since(begun))
	return p
}

// again goes on after something was printed.
func (p *progress) again(phase string) *progress {
	if p == nil {
		return nil
	}
	return newProgress(p.out, p.begun, phase)
}

// next begins another phase, of which nobody knows how long it takes until step says so.
func (p *progress) next(phase string) {
	if p != nil {
		p.done.Store(0)
		p.of.Store(0)
		p.phase.Store(&phase)
	}
}

// step says how much of the phase is done.
func (p *progress) step(done, of int64) {
	if p != nil {
		p.done.Store(done)
		p.of.Store(of)
	}
}

// end takes the bar away. It may be called more than once, and must be before anything else is printed.
func (p *progress) end() {
	if p != nil {
		p.once.Do(func() { close(p.stop) })
		<-p.gone
	}
}

func (p *progress) draw(after time.Duration) {
	defer close(p.gone)
	shown := false
	for next := after; ; next = 100 * time.Millisecond {
		select {
		case <-p.stop:
			if shown {
				fmt.Fprint(p.out, "\r\x1b[K")
			}
			return
		case <-time.After(next):
			shown = true
			fmt.Fprintf(p.out, "\r\x1b[K%s", p)
		}
	}
}

// String is the bar.
func (p *progress) String() string {
	const width = 30
	seconds := time.Since(p.begun).Seconds()
	done, of := p.done.Load(), p.of.Load()
	if of <= 0 {
		return fmt.Sprintf("%s, %.0f s", *p.phase.Load(), seconds)
	}
	done = min(max(done, 0), of)
	full := int(done * width / of)
	return fmt.Sprintf("%s [%s%s] %d %%, %.0f s", *p.phase.Load(), strings.Repeat("#", full), strings.Repeat(".", width-full), done*100/of, seconds)
}
