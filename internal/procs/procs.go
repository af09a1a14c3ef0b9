// Package procs finds out which processes hold a socket.
package procs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process is a process that runs, and holds a socket.
type Process struct {
	PID  uint32
	UID  uint32 // real, as BPF programs see it
	Comm string // what it calls itself: any bytes but zero, 15 at most
	FD   int    // one of the descriptors by which it holds the socket
}

// Holders finds the processes that have one of the sockets open, by the sockets' inodes. A process that ends meanwhile
// holds none. Sockets on their way between processes have no holder; nor have those of processes that we must not look
// at, of which hidden tells whether there are any.
func Holders(sockets map[uint64]bool) (found map[uint64][]Process, hidden bool, err error) {
	return holders("/proc", sockets)
}

func holders(proc string, sockets map[uint64]bool) (found map[uint64][]Process, hidden bool, err error) {
	found = map[uint64][]Process{}
	if len(sockets) == 0 {
		return found, false, nil
	}
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, false, fmt.Errorf("list the processes: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil {
			continue
		}
		dir := proc + "/" + e.Name()
		held, err := held(dir, sockets)
		if errors.Is(err, fs.ErrPermission) {
			hidden = true
			continue
		}
		if err != nil {
			return nil, false, err
		}
		if len(held) == 0 {
			continue
		}
		p, err := process(dir, uint32(pid))
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		for inode, fd := range held {
			p.FD = fd
			found[inode] = append(found[inode], p)
		}
	}
	for _, list := range found {
		slices.SortFunc(list, func(a, b Process) int { return int(a.PID) - int(b.PID) })
	}
	return found, hidden, nil
}

// held finds which of the sockets a process has open, and by which descriptor.
func held(dir string, sockets map[uint64]bool) (map[uint64]int, error) {
	files, err := os.ReadDir(dir + "/fd")
	if err != nil {
		if gone(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("list the files of a process: %w", err)
	}
	held := map[uint64]int{}
	for _, f := range files {
		to, err := os.Readlink(dir + "/fd/" + f.Name())
		if gone(err) {
			continue // closed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("look at the files of a process: %w", err)
		}
		number, ok := strings.CutPrefix(to, "socket:[")
		if !ok {
			continue
		}
		inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
		if fd, notNumber := strconv.Atoi(f.Name()); err == nil && notNumber == nil && sockets[inode] {
			held[inode] = fd
		}
	}
	return held, nil
}

func process(dir string, pid uint32) (Process, error) {
	p := Process{PID: pid}
	comm, err := os.ReadFile(dir + "/comm")
	if err != nil {
		return p, fmt.Errorf("ask for a process's name: %w", err)
	}
	p.Comm = string(bytes.TrimSuffix(comm, []byte("\n")))
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return p, fmt.Errorf("ask for a process's user: %w", err)
	}
	// The name comes before, with its line feeds escaped.
	_, uids, _ := bytes.Cut(status, []byte("\nUid:\t"))
	if _, err := fmt.Sscan(string(uids), &p.UID); err != nil {
		return p, fmt.Errorf("read the user of process %d: %w", pid, err)
	}
	return p, nil
}

// Borrow calls f with a descriptor of our own for a socket that a process holds. Returns ErrGone if it holds it no
// more. The descriptor is a bare one: os.File would set the socket, which is the process's, too, to block.
func (p Process) Borrow(inode uint64, f func(fd int) error) error {
	pidfd, err := unix.PidfdOpen(int(p.PID), 0)
	if err != nil {
		return borrowError(err)
	}
	defer unix.Close(pidfd)
	fd, err := unix.PidfdGetfd(pidfd, p.FD, 0)
	if err != nil {
		return borrowError(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Ino != inode || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errors.Join(ErrGone, err)
	}
	return f(fd)
}

// ErrEnded is returned for a process that there is not, or not any more.
var ErrEnded = errors.New("there is no such process")

// ErrGone is returned for what a process held and holds no more.
var ErrGone = errors.New("not held any more")

func borrowError(err error) error {
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EBADF) {
		return ErrGone
	}
	return fmt.Errorf("look at a socket of another process: %w", err)
}

// gone tells that a process ended while it was looked at.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) }
