package main

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// bulkChunk is how much one write or read asks for, in bytes.
const bulkChunk = 256 << 10

// The first byte tells the server which way the bytes go.
const (
	bulkUp   = 'u'
	bulkDown = 'd'
)

// upload sends for Time and returns bytes a second, counted until the server has read everything.
func upload(o order) (outcome, error) {
	fd, err := dialBulk(o, bulkUp)
	if err != nil {
		return outcome{}, err
	}
	defer unix.Close(fd)
	chunk := make([]byte, bulkChunk)
	var sent int
	began := time.Now()
	for time.Since(began) < o.Time {
		n, err := unix.Write(fd, chunk)
		if err != nil && err != unix.EINTR {
			return outcome{}, err
		}
		sent += max(n, 0)
	}
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
		return outcome{}, err
	}
	if n, err := unix.Read(fd, chunk[:1]); n != 0 || err != nil {
		return outcome{}, fmt.Errorf("the server's end: %d bytes, %w", n, err)
	}
	return outcome{Value: float64(sent) / time.Since(began).Seconds(), Count: sent}, nil
}

// download receives for Time and returns bytes a second.
func download(o order) (outcome, error) {
	fd, err := dialBulk(o, bulkDown)
	if err != nil {
		return outcome{}, err
	}
	defer unix.Close(fd)
	chunk := make([]byte, bulkChunk)
	var got int
	began := time.Now()
	for time.Since(began) < o.Time {
		n, err := unix.Read(fd, chunk)
		if n == 0 && err == nil {
			return outcome{}, fmt.Errorf("the server closed after %d bytes", got)
		}
		if err != nil && err != unix.EINTR {
			return outcome{}, err
		}
		got += max(n, 0)
	}
	return outcome{Value: float64(got) / time.Since(began).Seconds(), Count: got}, nil
}

func dialBulk(o order, direction byte) (int, error) {
	to := rawAddrOf(o.Addr)
	fd, err := unix.Socket(to.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if errno := to.connect(fd); errno != 0 {
		unix.Close(fd)
		return -1, errno
	}
	if _, err := unix.Write(fd, []byte{direction}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// listenForBulk serves uploads and downloads from a thread of its own, pinned like the main one, one at a time.
func listenForBulk(o order) (outcome, error) {
	fd, err := listen6(int(o.Addr.Port()), 16, 0)
	if err != nil {
		return outcome{}, err
	}
	go func() {
		runtime.LockOSThread()
		if err := pin(os.Getenv(childEnv)); err != nil {
			fmt.Fprintln(os.Stderr, "bench child:", err)
		}
		chunk := make([]byte, bulkChunk)
		for {
			c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
			if err != nil {
				continue
			}
			serveBulk(c, chunk)
			unix.Close(c)
		}
	}()
	return outcome{}, nil
}

// serveBulk ends when the client does.
func serveBulk(fd int, chunk []byte) {
	if n, err := unix.Read(fd, chunk[:1]); n != 1 || err != nil {
		return
	}
	if chunk[0] == bulkUp {
		for {
			if n, err := unix.Read(fd, chunk); n == 0 || (err != nil && err != unix.EINTR) {
				return
			}
		}
	}
	for {
		if _, err := unix.SendmsgN(fd, chunk, nil, nil, unix.MSG_NOSIGNAL); err != nil && err != unix.EINTR {
			return
		}
	}
}

// cpuTime is what the whole child has used so far, in seconds.
func cpuTime(order) (outcome, error) {
	var u unix.Rusage
	err := unix.Getrusage(unix.RUSAGE_SELF, &u)
	return outcome{Value: float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9}, err
}
