package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/lab"
)

// runOnTerminal runs a program whose output is a terminal, for what people get to see, and returns that and the exit
// status. Without terminals (no devpts) a pipe must do.
func runOnTerminal(cmd *lab.Cmd) (output string, status int, err error) {
	master, slave, err := openTerminal()
	if err != nil {
		out, err := cmd.CombinedOutput()
		return finished(out, cmd, err)
	}
	defer master.Close()
	cmd.Stdout, cmd.Stderr = slave, slave
	err = cmd.Start()
	slave.Close()
	if err != nil {
		return "", 0, err
	}
	var out bytes.Buffer
	_, _ = io.Copy(&out, master) // ends with EIO, once no process has the terminal open
	err = cmd.Wait()
	return finished(out.Bytes(), cmd, err)
}

// finished tells an exit status, which is an answer, from a program that did not run or was killed.
func finished(output []byte, cmd *lab.Cmd, err error) (string, int, error) {
	var exit *exec.ExitError
	if err == nil || errors.As(err, &exit) && exit.Exited() {
		return settled(string(output)), cmd.ProcessState.ExitCode(), nil
	}
	return settled(string(output)), 0, err
}

// settled is what stays on the screen: a slow command shows its progress in a line that it clears again.
func settled(output string) string {
	lines := strings.Split(output, "\n")
	for i, line := range lines {
		if at := strings.LastIndex(line, clearLine); at >= 0 {
			lines[i] = line[at+len(clearLine):]
		}
	}
	return strings.Join(lines, "\n")
}

const clearLine = "\r\x1b[K"

// openTerminal opens a pair of pseudo-terminals that hands everything through as it is.
func openTerminal() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			master.Close()
		}
	}()
	fd := int(master.Fd())
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, fmt.Errorf("unlock terminal: %w", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, fmt.Errorf("number of terminal: %w", err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	modes, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err == nil {
		modes.Oflag &^= unix.OPOST // which makes "\r\n" of every "\n"
		err = unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, modes)
	}
	if err != nil {
		slave.Close()
		return nil, nil, fmt.Errorf("set up terminal: %w", err)
	}
	return master, slave, nil
}
