package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// warmUp is how many operations come before those that are timed: a change of programs patches the kernel's code.
const warmUp = 20

// rawAddr is a socket address as the kernel reads it, so that timed calls are the system call alone.
type rawAddr struct {
	b      [28]byte
	length uintptr
	family int
}

func rawAddrOf(a netip.AddrPort) rawAddr {
	var r rawAddr
	binary.BigEndian.PutUint16(r.b[2:], a.Port())
	if a.Addr().Is4() {
		r.family, r.length = unix.AF_INET, unix.SizeofSockaddrInet4
		copy(r.b[4:], a.Addr().AsSlice())
	} else {
		r.family, r.length = unix.AF_INET6, unix.SizeofSockaddrInet6
		copy(r.b[8:], a.Addr().AsSlice())
	}
	binary.NativeEndian.PutUint16(r.b[:], uint16(r.family))
	return r
}

func (r *rawAddr) connect(fd int) syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&r.b)), r.length)
	return errno
}

// connectTCP connects Count times and returns the median time of connect(2) in ns. The handshake is done within the
// call: both ends of the uplink are on this machine, and nobody has to be scheduled.
func connectTCP(o order) (outcome, error) {
	to := rawAddrOf(o.Addr)
	times := make([]float64, 0, o.Count)
	for i := range o.Count + warmUp {
		fd, err := unix.Socket(to.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return outcome{}, err
		}
		began := time.Now()
		errno := to.connect(fd)
		took := time.Since(began)
		// Reset, so that no port waits.
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		unix.Close(fd)
		if errno != 0 {
			return outcome{}, errno
		}
		if i >= warmUp {
			times = append(times, float64(took.Nanoseconds()))
		}
	}
	return outcome{Value: median(times), Count: o.Count + warmUp}, nil
}

// reconnectUDP connects one datagram socket to each address, and returns the mean in ns.
func reconnectUDP(o order) (outcome, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return outcome{}, err
	}
	defer unix.Close(fd)
	began := time.Now()
	for _, a := range o.Addrs {
		to := rawAddrOf(a)
		if errno := to.connect(fd); errno != 0 {
			return outcome{}, fmt.Errorf("%v: %w", a, errno)
		}
	}
	return outcome{Value: float64(time.Since(began).Nanoseconds()) / float64(len(o.Addrs)), Count: len(o.Addrs)}, nil
}

// bounceUDP sends 32 bytes over loopback and receives them, Count blocks of 50 times, and returns the median of the
// blocks' means in ns. connected: send by write(2), else by sendto(2) with the address.
func bounceUDP(o order, connected bool) (outcome, error) {
	var fds [2]int
	var addrs [2]unix.Sockaddr
	for i := range fds {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return outcome{}, err
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return outcome{}, err
		}
		if addrs[i], err = unix.Getsockname(fd); err != nil {
			return outcome{}, err
		}
		fds[i] = fd
	}
	target := rawAddrOf(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(addrs[1].(*unix.SockaddrInet4).Port)))
	name, length := uintptr(unsafe.Pointer(&target.b)), target.length
	if connected {
		if errno := target.connect(fds[0]); errno != 0 {
			return outcome{}, errno
		}
		name, length = 0, 0
	}
	const block = 50
	var b [32]byte
	data := uintptr(unsafe.Pointer(&b))
	times := make([]float64, 0, o.Count)
	for i := range o.Count + 2 {
		began := time.Now()
		for range block {
			_, _, e1 := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fds[0]), data, uintptr(len(b)), 0, name, length)
			_, _, e2 := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fds[1]), data, uintptr(len(b)), 0, 0, 0)
			if e1 != 0 || e2 != 0 {
				return outcome{}, fmt.Errorf("send: %w, receive: %w", e1, e2)
			}
		}
		if i >= 2 {
			times = append(times, float64(time.Since(began).Nanoseconds())/block)
		}
	}
	return outcome{Value: median(times), Count: block * (o.Count + 2)}, nil
}

// connects is the listener whose connections nobody takes until drain: the kernel alone answers.
var connects = -1

const connectBacklog = 60000

func listenForConnects(o order) (outcome, error) {
	if err := os.WriteFile("/proc/sys/net/core/somaxconn", []byte(fmt.Sprint(connectBacklog)), 0); err != nil {
		return outcome{}, err
	}
	fd, err := listen6(int(o.Addr.Port()), connectBacklog, unix.SOCK_NONBLOCK)
	connects = fd
	return outcome{}, err
}

// listen6 listens on all addresses of both families.
func listen6(port, backlog, flags int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet6{Port: port}); err != nil {
		return -1, err
	}
	return fd, unix.Listen(fd, backlog)
}

// drain takes the connections that have come and closes them.
func drain(order) (outcome, error) {
	var done outcome
	for {
		fd, _, err := unix.Accept4(connects, unix.SOCK_CLOEXEC)
		switch err {
		case nil:
			done.Count++
			unix.Close(fd)
		case unix.EAGAIN:
			return done, nil
		case unix.ECONNABORTED, unix.EINTR:
		default:
			return done, err
		}
	}
}
