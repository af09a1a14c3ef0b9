package reset

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
)

// roleEnv makes a copy of this binary play a part in the client's namespace and cgroup: what agents cannot.
const roleEnv = "RESET_TEST_ROLE"

// play returns an exit code. Each role says a line when it is ready, and goes on by lines from its standard input.
func play(role string) int {
	name, arg, _ := strings.Cut(role, " ")
	var err error
	switch name {
	case "serve":
		err = serve(arg)
	case "half":
		err = halfClosed(arg)
	case "abandon":
		err = abandon(arg)
	case "twins":
		err = twins(arg)
	case "evil":
		err = evil(arg)
	}
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// serve echoes to those who connect; at a line it stops listening.
func serve(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c) }()
		}
	}()
	fmt.Println("ready")
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return nil
	}
	l.Close()
	fmt.Println("closed")
	_, _ = in.ReadString('\n')
	return nil
}

// halfClosed connects and says that it will send no more: FIN-WAIT.
func halfClosed(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNABORTED) {
		return fmt.Errorf("read: %w, want ECONNABORTED", err)
	}
	fmt.Println("closed")
	return nil
}

// abandon sends to one that does not read until no more fits, and closes: FIN-WAIT-1, with data, and nobody's.
func abandon(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for err == nil {
		if err = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err == nil {
			_, err = c.Write(block)
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	c.Close()
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return nil
}

// twins connects two datagram sockets from one address to one address: the kernel finds either.
func twins(addr string) error {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	for range 2 {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		}
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrInet4{Port: 40100})
		}
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
		}
		if err != nil {
			return err
		}
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return nil
}

const evilComm = "\x1b[31m\xff\ncurl"

// evil connects under a name that a terminal would obey.
func evil(addr string) error {
	if err := os.WriteFile("/proc/self/comm", []byte(evilComm), 0); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		return err
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return nil
}

// player is such a process.
type player struct {
	t   testing.TB
	pid int
	in  io.Writer
	out *bufio.Reader
	end func() error
}

// start starts a role in the lab's cgroup, and waits until it is ready.
func start(t testing.TB, h *harness.Host, role string) *player {
	t.Helper()
	cmd := h.Command(context.Background(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	p := &player{t: t, pid: cmd.Process.Pid, in: in, out: bufio.NewReader(out), end: cmd.Wait}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p.hear("ready")
	return p
}

func (p *player) hear(want string) {
	p.t.Helper()
	if line, err := p.out.ReadString('\n'); strings.TrimSpace(line) != want {
		p.t.Fatalf("the process says %q, %v; want %q", line, err, want)
	}
}

func (p *player) say(word string) {
	p.t.Helper()
	_, err := fmt.Fprintln(p.in, word)
	check(p.t, err)
}
