package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawSocket is a non-blocking socket without Go's runtime between it and the kernel, so that errors come as they are.
type rawSocket struct {
	fd int
	v6 bool
}

func openSocket(kind string) (*rawSocket, error) {
	family, typ := unix.AF_INET, unix.SOCK_STREAM
	s := &rawSocket{v6: strings.HasSuffix(kind, "6")}
	if s.v6 {
		family = unix.AF_INET6
	}
	if strings.HasPrefix(kind, "udp") {
		typ = unix.SOCK_DGRAM
	}
	var err error
	s.fd, err = unix.Socket(family, typ|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return s, err
}

func (s *rawSocket) sockaddr(a netip.AddrPort) unix.Sockaddr {
	if s.v6 {
		return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	}
	return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().Unmap().As4()}
}

func (s *rawSocket) bindDevice(name string) error {
	return unix.SetsockoptString(s.fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, name)
}

func (s *rawSocket) device() (string, error) {
	name, err := unix.GetsockoptString(s.fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
	return strings.TrimRight(name, "\x00"), err
}

func (s *rawSocket) local() (netip.AddrPort, error) {
	sa, err := unix.Getsockname(s.fd)
	return fromSockaddr(sa), err
}

func fromSockaddr(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// wait waits until the socket is ready for events; EAGAIN when it is not in time.
func (s *rawSocket) wait(events int16, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		fds := []unix.PollFd{{Fd: int32(s.fd), Events: events}}
		n, err := unix.Poll(fds, int(max(0, time.Until(deadline).Milliseconds())))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n == 0 {
			return unix.EAGAIN
		}
		return err
	}
}

func (s *rawSocket) connect(a netip.AddrPort, timeout time.Duration) error {
	err := unix.Connect(s.fd, s.sockaddr(a))
	if !errors.Is(err, unix.EINPROGRESS) {
		return err
	}
	if err := s.wait(unix.POLLOUT, timeout); err != nil {
		return err
	}
	code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	return err
}

// disconnect connects to AF_UNSPEC, for which package unix has no address type.
func (s *rawSocket) disconnect() error {
	sa := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, e := unix.Syscall(unix.SYS_CONNECT, uintptr(s.fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
	if e != 0 {
		return e
	}
	return nil
}

// send sends to the peer, or to an address if that is valid. It counts the times that the kernel said EINTR.
func (s *rawSocket) send(b []byte, to netip.AddrPort, again bool) (interrupted int, err error) {
	for {
		if to.IsValid() {
			err = unix.Sendto(s.fd, b, unix.MSG_NOSIGNAL, s.sockaddr(to))
		} else {
			err = unix.Send(s.fd, b, unix.MSG_NOSIGNAL)
		}
		if !again || !errors.Is(err, unix.EINTR) || interrupted == 16 {
			return interrupted, err
		}
		interrupted++
	}
}

func (s *rawSocket) recv(timeout time.Duration) ([]byte, netip.AddrPort, error) {
	if err := s.wait(unix.POLLIN, timeout); err != nil {
		return nil, netip.AddrPort{}, err
	}
	b := make([]byte, 65536)
	n, from, err := unix.Recvfrom(s.fd, b, 0)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	return b[:n], fromSockaddr(from), nil
}

// line reads up to a line feed and returns what is before it.
func (s *rawSocket) line(timeout time.Duration) ([]byte, error) {
	var line []byte
	for {
		b, _, err := s.recv(timeout)
		if err != nil {
			return nil, err
		}
		line = append(line, b...)
		if before, _, ok := bytes.Cut(line, []byte("\n")); ok {
			return bytes.TrimSuffix(before, []byte("\r")), nil
		}
		if len(b) == 0 {
			return nil, fmt.Errorf("connection closed after %q", line)
		}
	}
}

// message reads a DNS message with its length prefix and returns it without.
func (s *rawSocket) message(timeout time.Duration) ([]byte, error) {
	var size [2]byte
	r := timedReader{s, timeout}
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

// timedReader reads a stream, waiting at most timeout for each part.
type timedReader struct {
	s       *rawSocket
	timeout time.Duration
}

func (r timedReader) Read(b []byte) (int, error) {
	if err := r.s.wait(unix.POLLIN, r.timeout); err != nil {
		return 0, err
	}
	n, err := unix.Read(r.s.fd, b)
	if err == nil && n == 0 {
		err = io.EOF
	}
	return max(n, 0), err
}
