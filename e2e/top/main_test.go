// Package top tests the full-screen view in a terminal: what it shows of the real system, and that the terminal is as it was
// however it ends.
package top

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/terminal"
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

// aCrash is the end whose many words scroll away what was there.
const aCrash = "a crash of what draws"

// open runs a program in a terminal: domain-route top, unless something else is given.
func open(t testing.TB, h *harness.Host, width, height int, env []string, program ...string) *terminal.Terminal {
	t.Helper()
	if len(program) == 0 {
		program = []string{harness.Binary(t), "top"}
	}
	return terminal.Open(t, h, width, height, earlier, env, program...)
}

// wantAsBefore waits for the end, and looks whether the terminal is as it was: its modes, the main screen with what was
// there, the cursor.
func wantAsBefore(t testing.TB, m *terminal.Terminal, how string) {
	t.Helper()
	m.End()
	eventually(t, how+": the main screen, with the cursor", func() bool {
		screen, cursor := m.Main()
		return screen && cursor
	})
	eventually(t, how+": the terminal's modes", func() bool { return m.Modes() == m.Before })
	if text := m.Text(); how != aCrash && !strings.HasPrefix(text, "words from before\n$") {
		raw := m.Written()
		t.Errorf("%s: what was on the screen before is gone:\n%s\n%q ... %q", how, text, raw[:min(len(raw), 400)], raw[max(len(raw)-600, 0):])
	}
	// Each mode that was set is reset, or popped.
	raw := m.Written()
	for _, mode := range []string{"?1049", "?2004", "?25", "?2026", "?2027"} {
		set, reset := strings.LastIndex(raw, "\x1b["+mode+"h"), strings.LastIndex(raw, "\x1b["+mode+"l")
		if mode == "?25" && reset > set || mode != "?25" && set > reset {
			t.Errorf("%s: mode %s is left", how, mode)
		}
	}
	if strings.LastIndex(raw, "\x1b[>4;2m") > strings.LastIndex(raw, "\x1b[>4m") {
		t.Errorf("%s: the keyboard's mode is left", how)
	}
}

// child is the process that draws.
func child(t testing.TB, m *terminal.Terminal) int {
	t.Helper()
	var found int
	eventually(t, "the process that draws", func() bool {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", m.Cmd.Process.Pid))
		for _, task := range tasks {
			text, _ := os.ReadFile(task)
			if fields := strings.Fields(string(text)); len(fields) > 0 {
				found, _ = strconv.Atoi(fields[0])
			}
		}
		return found > 0
	})
	return found
}

func signal(t testing.TB, pid int, s unix.Signal) {
	t.Helper()
	check(t, unix.Kill(pid, s))
}
