package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/lab"
)

const (
	// clientName is what a copy of this binary is called that runs as a client.
	clientName = "client"
	// clientUser is who runs it: nobody special.
	clientUser = 1000
	// patience is how long the client waits for an answer of any kind.
	patience = 3 * time.Second
)

// attempt is what became of one connection of a client.
type attempt struct {
	Address netip.Addr
	Proto   string // "tcp" or "udp"
	Seen    string // the client's address as the server told it; "" if the connection failed
	Errno   string // how it failed, such as "ENODEV"
}

// clientMain is an ordinary program that knows nothing of domain-route or the lab: it looks a name up by the system's
// resolver and connects to each address, TCP and UDP. It prints its attempts as JSON.
func clientMain(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: client NAME")
		return exitUsage
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resolver := net.Resolver{PreferGo: true}
	addrs, err := resolver.LookupNetIP(ctx, "ip", args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		return exitFailed
	}
	attempts := []attempt{}
	for _, a := range addrs {
		for _, proto := range []string{"tcp", "udp"} {
			attempts = append(attempts, try(proto, a.Unmap()))
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(attempts); err != nil {
		return exitFailed
	}
	return 0
}

func try(proto string, addr netip.Addr) attempt {
	a := attempt{Address: addr, Proto: proto}
	seen, err := ask(proto, netip.AddrPortFrom(addr, lab.EchoPort))
	if err != nil {
		a.Errno = errnoName(err)
		return a
	}
	a.Seen = seen
	return a
}

// ask connects to an echo server, which tells whom it sees.
func ask(proto string, server netip.AddrPort) (string, error) {
	c, err := net.DialTimeout(proto, server.String(), patience)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		return askTCP(tcp)
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		return "", err
	}
	b := make([]byte, 128)
	n, err := c.Read(b)
	return string(b[:n]), err
}

// askTCP ends when both sides have: no packet of the connection is under way any more when the packets are counted.
func askTCP(c *net.TCPConn) (string, error) {
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	if err := c.CloseWrite(); err != nil {
		return "", err
	}
	_, err = io.Copy(io.Discard, r)
	return line[:len(line)-1], err
}

func errnoName(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "timeout"
	}
	return err.Error()
}
