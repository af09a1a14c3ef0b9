package lab

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// Cmd is an exec.Cmd that starts in a network namespace of the lab. It is killed when the lab closes or this process
// ends, unless it has changed its user by then and runs outside the cgroup. /sys still shows the host's interfaces.
type Cmd struct {
	*exec.Cmd
	ns *Namespace
}

// Command prepares a program in the client namespace and in the lab's cgroup.
func (l *Lab) Command(ctx context.Context, name string, args ...string) *Cmd {
	c := l.CommandIn(ctx, l.Client, name, args...)
	c.SysProcAttr.UseCgroupFD = true
	c.SysProcAttr.CgroupFD = int(l.cgroupFD.Fd())
	return c
}

// HostCommand prepares a program in the client namespace and outside the lab's cgroup.
func (l *Lab) HostCommand(ctx context.Context, name string, args ...string) *Cmd {
	return l.CommandIn(ctx, l.Client, name, args...)
}

// CommandIn prepares a program in a given namespace and outside the lab's cgroup; InCgroup changes the latter.
func (l *Lab) CommandIn(ctx context.Context, ns *Namespace, name string, args ...string) *Cmd {
	c := &Cmd{Cmd: exec.CommandContext(ctx, name, args...), ns: ns}
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return c
}

// InCgroup puts the program into a cgroup v2 directory, which must stay open until the program has started.
func (c *Cmd) InCgroup(dir *os.File) *Cmd {
	c.SysProcAttr.UseCgroupFD = true
	c.SysProcAttr.CgroupFD = int(dir.Fd())
	return c
}

// AsUser makes the program run as a user and the group of the same number, with no other groups.
func (c *Cmd) AsUser(uid uint32) *Cmd {
	c.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
	return c
}

// Start starts the program on the namespace's thread, whose end would kill it.
func (c *Cmd) Start() error { return c.ns.Do(c.Cmd.Start) }

// Run starts the program and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and returns what it wrote to its standard output; an *exec.ExitError carries its standard
// error if that was not taken otherwise.
func (c *Cmd) Output() ([]byte, error) {
	var stdout, stderr bytes.Buffer
	c.Stdout = &stdout
	if c.Stderr == nil {
		c.Stderr = &stderr
	}
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		exit.Stderr = stderr.Bytes()
	}
	return stdout.Bytes(), err
}

// CombinedOutput runs the program and returns what it wrote to its standard output and error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	err := c.Run()
	return b.Bytes(), err
}
