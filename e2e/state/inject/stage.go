package inject

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	channelFD = 3         // the first of ExtraFiles
	uname26   = 0x0020000 // UNAME26 of personality(2)
)

// become prepares the thread and executes the program on it. It returns only an error.
func (s stage) become() error {
	runtime.LockOSThread()
	if s.OldKernel {
		if _, _, e := unix.Syscall(unix.SYS_PERSONALITY, uname26, 0, 0); e != 0 {
			return fmt.Errorf("set the personality: %w", e)
		}
	}
	if s.NoCgroup2 {
		if err := hideCgroup2(); err != nil {
			return err
		}
	}
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, envStage+"=") {
			env = append(env, e)
		}
	}
	if len(s.Watch) > 0 {
		fd, err := filter(s.Watch)
		if err != nil {
			return err
		}
		if err := unix.Sendmsg(channelFD, []byte{0}, unix.UnixRights(fd), nil, 0); err != nil {
			return fmt.Errorf("send the listener: %w", err)
		}
	}
	unix.CloseOnExec(channelFD)
	return fmt.Errorf("execute %s: %w", s.Program, unix.Exec(s.Program, append([]string{s.Program}, s.Args...), env))
}

// hideCgroup2 unmounts cgroup v2 in a mount namespace of the thread's own, which becomes the program's.
func hideCgroup2() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("new mount namespace: %w", err)
	}
	f, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		mount, kind, _ := strings.Cut(sc.Text(), " - ")
		if !strings.HasPrefix(kind, "cgroup2 ") {
			continue
		}
		if err := unix.Unmount(strings.Fields(mount)[4], unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount cgroup v2: %w", err)
		}
	}
	return nil
}
