package top

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
)

// Where nobody reads what it draws it ends nevertheless when it is told to, and leaves the terminal's modes as they were.
func testNobodyReads(t *testing.T, h *harness.Host, _ func(string)) {
	ours, tty, err := pty.Open()
	check(t, err)
	defer ours.Close()
	defer tty.Close()
	fd := int(tty.Fd())
	modes := func() unix.Termios {
		termios, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		check(t, err)
		return *termios
	}
	before := modes()
	cmd := h.HostCommand(t.Context(), harness.Binary(t), "top")
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "LC_ALL=C.UTF-8")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	check(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	columns := uint16(500)
	eventually(t, "it cannot draw", func() bool {
		columns-- // all is drawn anew
		check(t, pty.Setsize(tty, &pty.Winsize{Cols: max(columns, 100), Rows: 200}))
		return modes() != before && writes(cmd.Process.Pid)
	})
	signal(t, cmd.Process.Pid, unix.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ends with %v", err)
		}
	case <-time.After(15 * time.Second):
		t.Error("it does not end")
		signal(t, -cmd.Process.Pid, unix.SIGKILL)
	}
	if modes() != before {
		t.Error("the terminal's modes are left")
	}
}

// writes tells whether a child of a process is held up by writing to its standard output.
func writes(pid int) bool {
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range children {
		text, _ := os.ReadFile(file)
		for child := range strings.FieldsSeq(string(text)) {
			threads, _ := filepath.Glob("/proc/" + child + "/task/*/syscall")
			for _, thread := range threads {
				if call, _ := os.ReadFile(thread); strings.HasPrefix(string(call), fmt.Sprintf("%d 0x1 ", unix.SYS_WRITE)) {
					return true
				}
			}
		}
	}
	return false
}
