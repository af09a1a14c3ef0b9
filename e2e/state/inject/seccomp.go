package inject

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// filter makes the kernel ask about the watched calls. It returns the descriptor to be asked by.
func filter(watch []int) (int, error) {
	// struct seccomp_data begins with the number of the call.
	code := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}}
	for _, n := range watch {
		code = append(code,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(n), Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	}
	code = append(code, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	fd, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER,
		uintptr(unsafe.Pointer(&prog)))
	if e != 0 {
		return -1, fmt.Errorf("install the seccomp filter: %w", e)
	}
	return int(fd), nil
}

// notification is struct seccomp_notif, response is struct seccomp_notif_resp.
type notification struct {
	id         uint64
	pid, flags uint32
	number     int32
	arch       uint32
	ip         uint64
	args       [6]uint64
}

type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// listener is the supervisor's end.
type listener struct{ fd int }

func (l listener) close() { unix.Close(l.fd) }

// call is a call that waits for its answer.
type call struct {
	id     uint64
	number int
}

// next waits for a call; nil when there is nobody left to make one.
func (l listener) next() (*call, error) {
	for {
		fds := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); errors.Is(err, unix.EINTR) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("wait for a system call: %w", err)
		}
		if fds[0].Revents&unix.POLLIN == 0 {
			return nil, nil // POLLHUP: all are gone
		}
		n := notification{}
		err := ioctl(l.fd, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&n))
		if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOENT) {
			continue // ENOENT: the caller was killed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("receive a system call: %w", err)
		}
		return &call{n.id, int(n.number)}, nil
	}
}

// answer lets the call pass, or makes it fail.
func (l listener) answer(c *call, e unix.Errno) error {
	r := response{id: c.id, errno: -int32(e)}
	if e == 0 {
		r.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
	}
	err := ioctl(l.fd, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&r))
	if errors.Is(err, unix.ENOENT) {
		return nil // killed meanwhile
	}
	if err != nil {
		return fmt.Errorf("answer a system call: %w", err)
	}
	return nil
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); e != 0 {
		return e
	}
	return nil
}

// socketpair makes the channel by which the listener comes to the test.
func socketpair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket pair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs"), nil
}

func receive(from *os.File) (listener, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(int(from.Fd()), make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return listener{}, fmt.Errorf("receive the listener: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return listener{}, errors.Join(errors.New("the program ended before it sent its listener"), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return listener{}, fmt.Errorf("receive the listener: %w", err)
	}
	return listener{fds[0]}, nil
}
