// Package terminal runs programs in a terminal, for end-to-end tests and for the screens in the documentation.
package terminal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// patience is how long Wait waits.
const patience = 15 * time.Second

// Terminal is a terminal in which a program runs, as the leader of a session of its own.
type Terminal struct {
	Cmd    *lab.Cmd
	Before unix.Termios // its modes before the program
	Ended  chan struct{}

	t       testing.TB
	ours    *os.File // the terminal's side
	tty     *os.File // the program's
	mu      sync.Mutex
	screen  *vt.Emulator // what follows, too, is guarded by mu
	raw     bytes.Buffer // all that was written to it
	showing bool         // the cursor
}

// Open makes a terminal with something on it already and runs a program in it, in the lab's client. The environment is this
// process's, without locale and colours: xterm-256color and C.UTF-8, if env does not say otherwise.
func Open(t testing.TB, h *harness.Host, width, height int, earlier string, env []string, program ...string) *Terminal {
	t.Helper()
	ours, tty, err := pty.Open()
	check(t, err)
	m := &Terminal{t: t, ours: ours, tty: tty, screen: vt.NewEmulator(width, height), Ended: make(chan struct{}), showing: true}
	m.screen.SetCallbacks(vt.Callbacks{CursorVisibility: func(visible bool) { m.showing = visible }})
	check(t, pty.Setsize(tty, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}))
	m.Before = m.Modes()
	go m.draw()
	go func() { _, _ = io.Copy(ours, m.screen) }() // what the terminal answers
	_, err = tty.WriteString(earlier)
	check(t, err)
	m.Cmd = h.HostCommand(context.Background(), program[0], program[1:]...)
	m.Cmd.Env = append(plain(os.Environ()), append([]string{"TERM=xterm-256color", "LC_ALL=C.UTF-8"}, env...)...)
	m.Cmd.Stdin, m.Cmd.Stdout, m.Cmd.Stderr = tty, tty, tty
	m.Cmd.SysProcAttr.Setsid, m.Cmd.SysProcAttr.Setctty = true, true
	check(t, m.Cmd.Start())
	go func() {
		_ = m.Cmd.Wait()
		close(m.Ended)
	}()
	t.Cleanup(func() {
		_ = m.Cmd.Process.Kill()
		<-m.Ended
		_ = m.screen.Close()
		tty.Close()
		ours.Close()
	})
	return m
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// plain is an environment without what changes how a screen looks.
func plain(env []string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, "LC_") && !strings.HasPrefix(e, "LANG") && !strings.HasPrefix(e, "NO_COLOR") && !strings.HasPrefix(e, "SSH_") {
			kept = append(kept, e)
		}
	}
	return kept
}

// draw draws what the program writes.
func (m *Terminal) draw() {
	b := make([]byte, 64<<10)
	for {
		n, err := m.ours.Read(b)
		m.mu.Lock()
		m.raw.Write(b[:n])
		_, _ = m.screen.Write(b[:n])
		m.mu.Unlock()
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			return
		}
	}
}

// Modes are the terminal's now.
func (m *Terminal) Modes() unix.Termios {
	m.t.Helper()
	termios, err := unix.IoctlGetTermios(int(m.tty.Fd()), unix.TCGETS)
	check(m.t, err)
	return *termios
}

// Text is the screen.
func (m *Terminal) Text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.screen.String()
}

// Main tells whether the main screen is shown, and its cursor.
func (m *Terminal) Main() (screen, cursor bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.screen.IsAltScreen(), m.showing
}

// Written is all that was written to it.
func (m *Terminal) Written() string { return strings.ReplaceAll(m.bytes(), drawn, "") }

func (m *Terminal) bytes() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.raw.String()
}

// Press presses keys.
func (m *Terminal) Press(keys string) {
	m.t.Helper()
	_, err := m.ours.WriteString(keys)
	check(m.t, err)
}

// Resize gives it another size.
func (m *Terminal) Resize(width, height int) {
	m.t.Helper()
	m.mu.Lock()
	m.screen.Resize(width, height)
	m.mu.Unlock()
	check(m.t, pty.Setsize(m.tty, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}))
}

// Wait waits until the screen has all of some texts, and returns it.
func (m *Terminal) Wait(texts ...string) string {
	m.t.Helper()
	var last string
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		last = m.Text()
		missing := ""
		for _, want := range texts {
			if !strings.Contains(last, want) {
				missing = want
			}
		}
		if missing == "" {
			return last
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("not within %v: %q on the screen\n%s", patience, missing, last)
		}
	}
}

// End waits for the program's end and returns its exit code; -1: a signal ended it.
func (m *Terminal) End() int {
	m.t.Helper()
	select {
	case <-m.Ended:
	case <-time.After(patience):
		m.t.Fatalf("it does not end within %v:\n%s", patience, m.Text())
	}
	m.drain()
	return m.Cmd.ProcessState.ExitCode()
}

// drawn is a word that no screen shows, by which is seen that all before it is drawn.
const drawn = "\x1b]777;drawn\x07"

// drain waits until all that the program wrote is drawn.
func (m *Terminal) drain() {
	m.t.Helper()
	before := strings.Count(m.bytes(), drawn)
	_, err := m.tty.WriteString(drawn)
	check(m.t, err)
	for deadline := time.Now().Add(patience); strings.Count(m.bytes(), drawn) == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatal("what the program wrote is not drawn")
		}
	}
}
