package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// patience is for emulated machines.
const patience = 10 * time.Second

// visit connects to a name or an address. It returns by which interface that went, or how it failed.
func visit(host string) string {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(host, fmt.Sprint(httpPort)), patience)
	var errno unix.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err.Error()
	}
	seen, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	for _, u := range []uplink{wan, vpn} {
		if u.ours.Addr().String() == string(seen) {
			return u.name
		}
	}
	return "from " + string(seen)
}

// visits is what all servers are tried by: a name where there is one.
func visits() string {
	text := ""
	for _, host := range []string{"ruled.example", ruledPrefix.String(), "blocked.example", blockedAddr.String(), "plain.example"} {
		text += host + " " + visit(host) + "\n"
	}
	return text
}

func first() error { return note("first", visits()) }

// last runs as the first boot ends.
func last() error { return os.WriteFile(atTheEnd, []byte(steering()), 0o600) }

// resolver is by its file a daemon that caches names; what it does with the signal is to note that it came.
func resolver() error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, unix.SIGHUP)
	if err := ready(); err != nil {
		return err
	}
	for range told {
		fmt.Println("told to forget") // to the journal
	}
	return nil
}
