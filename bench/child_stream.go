package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A stream is one TCP connection with both ends in the hands of one thread: it writes as much as the connection takes,
// then reads what has come, and all that lies between runs within these system calls. No scheduler, so that 1 % can
// be seen.
const (
	streamBlock = 4 << 20   // bytes timed as one
	streamChunk = 256 << 10 // bytes a call asks for at most: about what fits into a cache
	streamWarm  = 4         // blocks before, while the window opens
)

// streamListener is the server's, streamFar its end, or the client's copy of it; streamNear is the client's end.
var streamListener, streamFar, streamNear = -1, -1, -1

func streamListen(o order) (_ outcome, err error) {
	streamListener, err = listen6(int(o.Addr.Port()), 16, 0)
	return outcome{}, err
}

// streamOpen connects the client's end.
func streamOpen(o order) (outcome, error) {
	to := rawAddrOf(o.Addr)
	fd, err := unix.Socket(to.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return outcome{}, err
	}
	streamNear = fd
	if errno := to.connect(fd); errno != 0 {
		return outcome{}, errno
	}
	return outcome{}, nil
}

// streamAccept takes the server's end and tells its number.
func streamAccept(order) (_ outcome, err error) {
	streamFar, _, err = unix.Accept4(streamListener, unix.SOCK_CLOEXEC)
	return outcome{Count: streamFar}, err
}

// streamTake copies the server's end, descriptor Count of process PID, to the client.
func streamTake(o order) (outcome, error) {
	process, err := unix.PidfdOpen(o.PID, 0)
	if err != nil {
		return outcome{}, fmt.Errorf("open process %d: %w", o.PID, err)
	}
	defer unix.Close(process)
	streamFar, err = unix.PidfdGetfd(process, o.Count, 0)
	return outcome{}, os.NewSyscallError("pidfd_getfd", err)
}

// streamClose closes what this child has of the connection.
func streamClose(order) (outcome, error) {
	for _, fd := range []*int{&streamNear, &streamFar} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
	return outcome{}, nil
}

// streamRun passes Count blocks and returns the median of bytes a second. up: from the client's end.
func streamRun(o order, up bool) (outcome, error) {
	from, to := streamFar, streamNear
	if up {
		from, to = to, from
	}
	chunk := make([]byte, streamChunk)
	var speeds []float64
	for i := range o.Count + streamWarm {
		began := time.Now()
		if err := pass(from, to, chunk); err != nil {
			return outcome{}, err
		}
		if i >= streamWarm {
			speeds = append(speeds, streamBlock/time.Since(began).Seconds())
		}
	}
	return outcome{Value: median(speeds), Count: len(speeds) * streamBlock}, nil
}

// pass moves one block.
func pass(from, to int, chunk []byte) error {
	var sent, got int
	for got < streamBlock {
		if sent < streamBlock {
			n, err := unix.SendmsgN(from, chunk[:min(streamChunk, streamBlock-sent)], nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			if err != nil && err != unix.EAGAIN {
				return fmt.Errorf("write: %w", err)
			}
			sent += max(n, 0)
		}
		for got < sent {
			n, _, err := unix.Recvfrom(to, chunk, unix.MSG_DONTWAIT)
			if err == unix.EAGAIN {
				break // on its way: an acknowledgement opens the window
			}
			if err != nil || n == 0 {
				return fmt.Errorf("read: %d bytes, %w", n, err)
			}
			got += n
		}
	}
	return nil
}
