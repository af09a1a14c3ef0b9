// SPDX-License-Identifier: MIT

// storm MODE FAMILY PORT STOP NAME...: see storm.c. Built without cgo it resolves by itself. MODE: tcp, udp, sendto, keep.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

var kept net.PacketConn

func end(err error) string {
	var dns *net.DNSError
	var errno syscall.Errno
	var timeout net.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &dns):
		return "resolve"
	case errors.As(err, &errno):
		return fmt.Sprint(int(errno))
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF):
		return "closed"
	}
	return err.Error()
}

func connected(network, to string) error {
	c, err := net.DialTimeout(network, to, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	patience := time.Second
	if network[0] == 'u' {
		patience = 300 * time.Millisecond
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
	}
	c.SetDeadline(time.Now().Add(patience))
	_, err = c.Read(make([]byte, 256))
	return err
}

func unconnected(network, to string, keep bool) error {
	addr, err := net.ResolveUDPAddr(network, to)
	if err != nil {
		return err
	}
	c := kept
	if c == nil {
		if c, err = net.ListenPacket(network, ""); err != nil {
			return err
		}
	}
	kept = nil
	if _, err = c.WriteTo([]byte("x"), addr); err == nil {
		c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		_, _, err = c.ReadFrom(make([]byte, 256))
	}
	if keep && err == nil {
		kept = c
	} else {
		c.Close()
	}
	return err
}

func visit(mode, family, to string) error {
	switch mode {
	case "tcp", "udp":
		return connected(mode+family, to)
	}
	return unconnected("udp"+family, to, mode == "keep")
}

func main() {
	mode, family, port, stop, names := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5:]
	counts := map[string]int{}
	for i := 0; ; i++ {
		if _, err := os.Stat(stop); err == nil {
			break
		}
		counts[end(visit(mode, family, net.JoinHostPort(names[i%len(names)], port)))]++
		time.Sleep(10 * time.Millisecond)
	}
	for end, n := range counts {
		fmt.Println(n, end)
	}
}
