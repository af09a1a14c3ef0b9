package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// gsoSize is the number of bytes of each datagram that SendSegments makes.
const gsoSize = 100

// SendBatch sends one datagram to each address with one sendmmsg(2), as the kernel takes it: sent is how many left before
// the first that was refused, and an error comes only when that is the very first.
func (s *Socket) SendBatch(b []byte, addrs ...netip.AddrPort) (sent int, err error) {
	resp, err := s.ask(request{Op: "send-batch", Data: b, Addrs: addrs})
	return resp.Number, err
}

// SendSegments sends n datagrams to an address with one sendmsg(2), cut by the kernel (UDP_SEGMENT).
func (s *Socket) SendSegments(n int, addr netip.AddrPort) error {
	_, err := s.ask(request{Op: "send-segments", Number: n, Addr: addr})
	return err
}

// SendMore gives the kernel a part of a datagram (MSG_MORE); the next SendToOnce ends it.
func (s *Socket) SendMore(b []byte, addr netip.AddrPort) error {
	_, err := s.ask(request{Op: "send-more", Data: b, Addr: addr})
	return err
}

// Cork holds back what is sent until it is called with false (UDP_CORK), and makes one datagram of it.
func (s *Socket) Cork(on bool) error {
	r := request{Op: "cork"}
	if on {
		r.Number = 1
	}
	_, err := s.ask(r)
	return err
}

// doDatagram are the steps that only datagram sockets take.
func (s *rawSocket) doDatagram(r request) (resp response, err error) {
	switch r.Op {
	case "send-batch":
		resp.Number, err = s.sendBatch(r.Data, r.Addrs)
	case "send-segments":
		control := make([]byte, unix.CmsgSpace(2))
		header := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		header.Level, header.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		header.SetLen(unix.CmsgLen(2))
		binary.NativeEndian.PutUint16(control[unix.CmsgLen(0):], gsoSize)
		err = unix.Sendmsg(s.fd, make([]byte, r.Number*gsoSize), control, s.sockaddr(r.Addr), 0)
	case "send-more":
		err = unix.Sendto(s.fd, r.Data, unix.MSG_MORE, s.sockaddr(r.Addr))
	case "cork":
		err = unix.SetsockoptInt(s.fd, unix.SOL_UDP, unix.UDP_CORK, r.Number)
	default:
		err = fmt.Errorf("unknown operation %q", r.Op)
	}
	return resp, err
}

// message is struct mmsghdr of the kernel.
type message struct {
	unix.Msghdr
	sent uint32
	_    [4]byte
}

func (s *rawSocket) sendBatch(b []byte, addrs []netip.AddrPort) (int, error) {
	messages := make([]message, len(addrs))
	names := make([]unix.RawSockaddrInet6, len(addrs))
	data := unix.Iovec{Base: &b[0]}
	data.SetLen(len(b))
	for i, a := range addrs {
		m := &messages[i]
		m.Name, m.Namelen = s.rawSockaddr(&names[i], a)
		m.Iov = &data
		m.SetIovlen(1)
	}
	n, _, e := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&messages[0])),
		uintptr(len(messages)), 0, 0, 0)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// rawSockaddr writes an address as the kernel takes it. An IPv6 one has room for either family.
func (s *rawSocket) rawSockaddr(to *unix.RawSockaddrInet6, a netip.AddrPort) (*byte, uint32) {
	var port [2]byte
	binary.BigEndian.PutUint16(port[:], a.Port())
	to.Port = binary.NativeEndian.Uint16(port[:])
	to.Family, to.Addr = unix.AF_INET6, a.Addr().As16()
	if !s.v6 {
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(to))
		in.Family, in.Addr = unix.AF_INET, a.Addr().Unmap().As4()
		return (*byte)(unsafe.Pointer(in)), unix.SizeofSockaddrInet4
	}
	return (*byte)(unsafe.Pointer(to)), unix.SizeofSockaddrInet6
}

// Agent is whose socket it is.
func (s *Socket) Agent() *Agent { return s.agent }
