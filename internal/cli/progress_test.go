package cli

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// screen is a terminal that is drawn on by somebody else.
type screen struct {
	sync.Mutex
	bytes.Buffer
	drawn chan struct{}
}

func (s *screen) Write(b []byte) (int, error) {
	s.Lock()
	defer s.Unlock()
	n, err := s.Buffer.Write(b)
	select {
	case s.drawn <- struct{}{}:
	default:
	}
	return n, err
}

// A bar shows phase and share, and is gone in the end; what is quick shows nothing at all.
func TestProgress(t *testing.T) {
	out := &screen{drawn: make(chan struct{}, 1)}
	p := newProgress(out, time.Now().Add(-time.Minute), "")
	p.next("reading")
	p.step(50, 200)
	<-out.drawn // maybe before that
	<-out.drawn
	p.end()
	p.end()
	text := out.String()
	if !strings.Contains(text, "\r\x1b[Kreading [#######.......................] 25 %, 60 s") || !strings.HasSuffix(text, "\r\x1b[K") {
		t.Errorf("%q", text)
	}
	p.step(300, 200) // a file that grew
	if text := p.String(); !strings.Contains(text, "[##############################] 100 %") {
		t.Errorf("%q", text)
	}
	p.next("writing")
	if text := p.String(); text != "writing, 60 s" {
		t.Errorf("%q", text)
	}

	out = &screen{drawn: make(chan struct{}, 1)}
	a := &app{Env: Env{Stderr: out, ErrTerminal: true}}
	p = a.progress("quick")
	p.end()
	if out.Len() > 0 {
		t.Errorf("%q", out.String())
	}
	a.ErrTerminal = false
	p = a.progress("elsewhere")
	p.step(1, 2)
	p.next("x")
	p.end()
	if p != nil || out.Len() > 0 {
		t.Errorf("not on a terminal: %q", out.String())
	}
}
