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
	"sync/atomic"
	"syscall"
	"time"

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

// What draws has some time to end once it is told to; it has none where nobody reads what it writes. What puts the terminal
// back may be as stuck.
const (
	endsWithin  = 2 * time.Second
	putsBackFor = 300 * time.Millisecond
)

// guard is what waits for what draws.
type guard struct {
	cmd    *exec.Cmd
	in     int           // the terminal
	before *unix.Termios // its modes
	told   atomic.Bool   // to end
}

// guardTerminal has a child draw, and puts the terminal back if that could not: killed by SIGKILL, out of memory, crashed.
// It passes on signals, and the child's words once the screen is the main one again. If it is killed itself, the kernel
// tells the child to end. Both are one process group, so that Ctrl-Z stops both.
func guardTerminal() error {
	g := &guard{in: int(os.Stdin.Fd())}
	var err error
	if g.before, err = unix.IoctlGetTermios(g.in, unix.TCGETS); err != nil {
		return fmt.Errorf("ask the terminal for its modes: %w", err)
	}
	runtime.LockOSThread() // the child is told when the thread that made it ends
	g.cmd = exec.Command("/proc/self/exe", os.Args[1:]...)
	g.cmd.Args[0] = os.Args[0]
	how := noSuspend
	if jobControl() {
		how = maySuspend
	}
	g.cmd.Env = append(os.Environ(), envDrawing+"="+how)
	g.cmd.Stdin, g.cmd.Stdout = os.Stdin, os.Stdout
	words := &bounded{most: 64 << 10}
	g.cmd.Stderr = words
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGTTOU)
	if err := g.cmd.Start(); err != nil {
		return fmt.Errorf("start what draws: %w", err)
	}
	go g.passOn(signals)
	err = g.cmd.Wait()
	signal.Stop(signals)
	g.restore(killed(err))
	if g.told.Load() && killed(err) {
		return nil
	}
	os.Stderr.Write(words.Bytes())
	return childsEnd(err)
}

// passOn passes the signals to end on.
func (g *guard) passOn(signals <-chan os.Signal) {
	for s := range signals {
		if s == unix.SIGTTOU && !g.foreground() {
			// What draws was continued in the background and may not draw there: by bg, or by a shell's kill, whose signal to end
			// comes at the same time.
			select {
			case s = <-signals:
			case <-time.After(50 * time.Millisecond):
				_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
			}
		}
		switch {
		case s == unix.SIGTTOU:
			continue
		case !g.foreground(): // it has let go of the terminal, and would stop on its way back to it
			g.told.Store(true)
			_ = g.cmd.Process.Kill()
		default:
			g.told.Store(true)
			_ = g.cmd.Process.Signal(s)
			time.AfterFunc(endsWithin, func() { _ = g.cmd.Process.Kill() })
		}
	}
}

// foreground tells whether the terminal is this process group's now.
func (g *guard) foreground() bool {
	group, err := unix.IoctlGetInt(g.in, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// restore puts the terminal back, if it is ours and is not as it was. Input that was meant for the screen is thrown away.
func (g *guard) restore(wasKilled bool) {
	left, err := unix.IoctlGetTermios(g.in, unix.TCGETS)
	if !g.foreground() || !wasKilled && (err != nil || *left == *g.before) {
		return
	}
	written := make(chan struct{})
	go func() {
		_, _ = os.Stdout.WriteString(putBack)
		close(written)
	}()
	select {
	case <-written:
	case <-time.After(putsBackFor):
	}
	_ = unix.IoctlSetTermios(g.in, unix.TCSETS, g.before) // one that drains would wait for who reads
	_ = unix.IoctlSetInt(g.in, unix.TCFLSH, unix.TCIFLUSH)
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
