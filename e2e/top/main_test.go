// Package top tests the full-screen view in a terminal: what it shows of the real system, and that the terminal is as it was
// however it ends.
package top

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
	}
}

// earlier is what is on the screen before top comes.
const earlier = "words from before\r\n$ "

// terminal is a terminal in which a program runs.
type terminal struct {
	t       testing.TB
	cmd     *lab.Cmd
	ours    *os.File // the terminal's side
	tty     *os.File // the program's
	before  unix.Termios
	ended   chan struct{}
	mu      sync.Mutex // guards what follows
	screen  *vt.Emulator
	raw     bytes.Buffer // all that was written to it
	showing bool         // the cursor
}

// aCrash is the end whose many words scroll away what was there.
const aCrash = "a crash of what draws"

// open makes a terminal of a size and runs a program in it: domain-route top, unless something else is given.
func open(t testing.TB, h *harness.Host, width, height int, env []string, program ...string) *terminal {
	t.Helper()
	ours, tty, err := pty.Open()
	check(t, err)
	term := &terminal{t: t, ours: ours, tty: tty, screen: vt.NewEmulator(width, height), ended: make(chan struct{}), showing: true}
	term.screen.SetCallbacks(vt.Callbacks{CursorVisibility: func(visible bool) { term.showing = visible }})
	check(t, pty.Setsize(tty, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}))
	termios, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	check(t, err)
	term.before = *termios
	go term.draw()
	go func() { _, _ = io.Copy(ours, term.screen) }() // what the terminal answers
	_, err = tty.WriteString(earlier)
	check(t, err)
	if len(program) == 0 {
		program = []string{harness.Binary(t), "top"}
	}
	term.cmd = h.HostCommand(context.Background(), program[0], program[1:]...)
	term.cmd.Env = append(withoutLocale(os.Environ()), append([]string{"TERM=xterm-256color", "LC_ALL=C.UTF-8"}, env...)...)
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = tty, tty, tty
	term.cmd.SysProcAttr.Setsid, term.cmd.SysProcAttr.Setctty = true, true
	check(t, term.cmd.Start())
	go func() {
		_ = term.cmd.Wait()
		close(term.ended)
	}()
	t.Cleanup(func() {
		_ = term.cmd.Process.Kill()
		<-term.ended
		_ = term.screen.Close()
		tty.Close()
		ours.Close()
	})
	return term
}

func withoutLocale(env []string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, "LC_") && !strings.HasPrefix(e, "LANG") && !strings.HasPrefix(e, "NO_COLOR") && !strings.HasPrefix(e, "SSH_") {
			kept = append(kept, e)
		}
	}
	return kept
}

// draw draws what the program writes.
func (m *terminal) draw() {
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

// text is the screen.
func (m *terminal) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.screen.String()
}

// written is all that was written to it.
func (m *terminal) written() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.raw.String()
}

func (m *terminal) press(keys string) {
	m.t.Helper()
	_, err := m.ours.WriteString(keys)
	check(m.t, err)
}

// wait waits until the screen has all of some texts.
func (m *terminal) wait(texts ...string) string {
	m.t.Helper()
	var last string
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		last = m.text()
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
			m.t.Fatalf("not within 15 s: %q on the screen\n%s", missing, last)
		}
	}
}

// wantAsBefore waits for the end, and looks whether the terminal is as it was: its modes, the main screen with what was
// there, the cursor.
func (m *terminal) wantAsBefore(how string) {
	m.t.Helper()
	eventually(m.t, how+": the end", func() bool {
		select {
		case <-m.ended:
			return true
		default:
			return false
		}
	})
	eventually(m.t, how+": the main screen, with the cursor", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return !m.screen.IsAltScreen() && m.showing
	})
	var now *unix.Termios
	eventually(m.t, how+": the terminal's modes", func() bool {
		var err error
		now, err = unix.IoctlGetTermios(int(m.tty.Fd()), unix.TCGETS)
		return err == nil && *now == m.before
	})
	if text := m.text(); how != aCrash && !strings.HasPrefix(text, "words from before\n$") {
		m.t.Errorf("%s: what was on the screen before is gone:\n%s", how, text)
	}
	// Each mode that was set is reset, or popped.
	m.mu.Lock()
	defer m.mu.Unlock()
	raw := m.raw.String()
	for _, mode := range []string{"?1049", "?2004", "?25", "?2026", "?2027"} {
		if set, reset := strings.LastIndex(raw, "\x1b["+mode+"h"), strings.LastIndex(raw, "\x1b["+mode+"l"); mode == "?25" && reset > set || mode != "?25" && set > reset {
			m.t.Errorf("%s: mode %s is left", how, mode)
		}
	}
	if strings.LastIndex(raw, "\x1b[>4;2m") > strings.LastIndex(raw, "\x1b[>4m") {
		m.t.Errorf("%s: the keyboard's mode is left", how)
	}
}

// child is the process that draws.
func (m *terminal) child() int {
	m.t.Helper()
	pid := m.cmd.Process.Pid
	var child int
	eventually(m.t, "the process that draws", func() bool {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if len(text) == 0 { // another thread made it
			tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
			for _, task := range tasks {
				more, _ := os.ReadFile(task)
				text = append(text, more...)
			}
		}
		if fields := strings.Fields(string(text)); len(fields) > 0 {
			child, _ = strconv.Atoi(fields[0])
		}
		return child > 0
	})
	return child
}

func exitCode(cmd *exec.Cmd) int { return cmd.ProcessState.ExitCode() }
