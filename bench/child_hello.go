package main

import (
	"crypto/tls"
	"net"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// clientHello is what crypto/tls begins a connection to a name with: 1.5 kB, with a key share for quantum computers.
func clientHello(name string) ([]byte, error) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go func() { _ = tls.Client(near, &tls.Config{ServerName: name}).Handshake() }()
	b := make([]byte, 16384)
	n, err := far.Read(b)
	return b[:n], err
}

// connectHello connects Count times, sends a ClientHello and closes, and returns the median time of the three in ns.
func connectHello(o order) (outcome, error) {
	hello, err := clientHello(o.Names[0])
	if err != nil {
		return outcome{}, err
	}
	to := rawAddrOf(o.Addr)
	times := make([]float64, 0, o.Count)
	for i := range o.Count + warmUp {
		fd, err := unix.Socket(to.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return outcome{}, err
		}
		// Reset at the end, so that no port waits.
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		began := time.Now()
		errno := to.connect(fd)
		if errno == 0 {
			_, _, errno = syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&hello[0])), uintptr(len(hello)), 0, 0, 0)
		}
		_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
		took := time.Since(began)
		if errno != 0 {
			return outcome{}, errno
		}
		if i >= warmUp {
			times = append(times, float64(took.Nanoseconds()))
		}
	}
	return outcome{Value: median(times), Count: o.Count + warmUp}, nil
}

// closeConnects ends the listener of drain, for another on its port.
func closeConnects(order) (outcome, error) { return outcome{}, unix.Close(connects) }
