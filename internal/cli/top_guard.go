package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// envDrawing makes this binary the one that draws; its value says whether Ctrl-Z works.
const (
	envDrawing = "DOMAIN_ROUTE_TOP"
	maySuspend = "suspend"
	noSuspend  = "stay"
)

// putBack undoes what the drawing may have left: synchronized output, grapheme widths, the keyboard's modes, bracketed
// paste, colours, a hidden cursor, and last the alternate screen, by which the main one is back with its cursor's place.
const putBack = "\x1b[?2026l\x1b[?2027l\x1b[>4m\x1b[<1u\x1b[?2004l\x1b[0m\x1b[?25h\x1b[?1049l"

// guardTerminal has a child draw, and puts the terminal back if that could not: killed by SIGKILL, out of memory, crashed.
// It passes on signals, and the child's words once the screen is the main one again. If it is killed itself, the kernel
// tells the child to end. Both are one process group, so that Ctrl-Z stops both.
func guardTerminal() error {
	in := int(os.Stdin.Fd())
	before, err := unix.IoctlGetTermios(in, unix.TCGETS)
	if err != nil {
		return fmt.Errorf("ask the terminal for its modes: %w", err)
	}
	runtime.LockOSThread() // the child is told when the thread that made it ends
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	how := noSuspend
	if jobControl() {
		how = maySuspend
	}
	cmd.Env = append(os.Environ(), envDrawing+"="+how)
	cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	words := &bounded{most: 64 << 10}
	cmd.Stderr = words
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP, unix.SIGINT)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start what draws: %w", err)
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	err = cmd.Wait()
	signal.Stop(signals)
	left, asked := unix.IoctlGetTermios(in, unix.TCGETS)
	if killed(err) || asked == nil && *left != *before {
		_, _ = os.Stdout.WriteString(putBack)
		_ = unix.IoctlSetTermios(in, unix.TCSETSF, before)
	}
	os.Stderr.Write(words.Bytes())
	return childsEnd(err)
}

// killed tells whether a child ended by a signal.
func killed(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled()
}

// childsEnd ends as the child did. It has said why, unless it was killed.
func childsEnd(err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &exit):
		return err
	case killed(err):
		return fmt.Errorf("what draws was killed: %w", exit)
	}
	os.Exit(exit.ExitCode())
	return nil
}

// bounded keeps the first bytes that are written.
type bounded struct {
	bytes.Buffer
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), b.most-b.Len())])
	return len(p), nil
}

// jobControl tells whether somebody waits who can continue this process group once it has stopped: an ancestor of the same
// session in another group, such as a shell. Where nobody does (ssh HOST COMMAND), the kernel does not let it stop.
func jobControl() bool {
	session, err := unix.Getsid(0)
	if err != nil {
		return false
	}
	group := unix.Getpgrp()
	for pid := os.Getppid(); pid > 1; pid = parentOf(pid) {
		its, err := unix.Getpgid(pid)
		if err != nil {
			return false
		}
		if its != group {
			sid, err := unix.Getsid(pid)
			return err == nil && sid == session
		}
	}
	return false
}

// parentOf is a process's parent; 0: not known.
func parentOf(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}
