package threats

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
)

const (
	protoTCP = 6
	protoUDP = 17

	flagPushAck = 0x18
)

// injector sends packets with any source address from the lab's internet.
type injector struct {
	t        testing.TB
	fd4, fd6 int
}

func newInjector(t testing.TB, h *harness.Host) *injector {
	t.Helper()
	in := &injector{t: t, fd4: -1, fd6: -1}
	check(t, h.Internet.Do(func() (err error) {
		in.fd4, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err == nil {
			in.fd6, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		}
		return err
	}))
	t.Cleanup(func() {
		check(t, errors.Join(unix.Close(in.fd4), unix.Close(in.fd6)))
	})
	return in
}

// ip sends a packet with this payload, which holds a transport header.
func (in *injector) ip(from, to netip.Addr, proto byte, payload []byte) {
	in.t.Helper()
	var err error
	if to.Is4() {
		head := join([]byte{0x45, 0}, be16(uint16(20+len(payload))), []byte{0, 0, 0, 0, 64, proto, 0, 0}, from.AsSlice(), to.AsSlice())
		err = unix.Sendto(in.fd4, append(head, payload...), 0, &unix.SockaddrInet4{Addr: to.As4()})
	} else {
		head := join([]byte{0x60, 0, 0, 0}, be16(uint16(len(payload))), []byte{proto, 64}, from.AsSlice(), to.AsSlice())
		err = unix.Sendto(in.fd6, append(head, payload...), 0, &unix.SockaddrInet6{Addr: to.As16()})
	}
	if err != nil {
		in.t.Fatalf("inject a packet from %v to %v: %v", from, to, err)
	}
}

// udp sends a datagram with a right checksum.
func (in *injector) udp(from, to netip.AddrPort, payload []byte) {
	in.t.Helper()
	in.ip(from.Addr(), to.Addr(), protoUDP, datagram(from, to, payload))
}

// udpBadSum sends one with a wrong checksum.
func (in *injector) udpBadSum(from, to netip.AddrPort, payload []byte) {
	in.t.Helper()
	b := datagram(from, to, payload)
	sum := binary.BigEndian.Uint16(b[6:]) ^ 0x5555
	binary.BigEndian.PutUint16(b[6:], max(sum, 1)) // 0 would mean that there is none
	in.ip(from.Addr(), to.Addr(), protoUDP, b)
}

// tcp sends a segment of data.
func (in *injector) tcp(from, to netip.AddrPort, seq, ack uint32, payload []byte) {
	in.t.Helper()
	b := join(be16(from.Port()), be16(to.Port()), be32(seq), be32(ack),
		[]byte{5 << 4, flagPushAck}, be16(0xffff), be16(0), be16(0), payload)
	binary.BigEndian.PutUint16(b[16:], checksum(from.Addr(), to.Addr(), protoTCP, b))
	in.ip(from.Addr(), to.Addr(), protoTCP, b)
}

func datagram(from, to netip.AddrPort, payload []byte) []byte {
	b := join(be16(from.Port()), be16(to.Port()), be16(uint16(8+len(payload))), be16(0), payload)
	binary.BigEndian.PutUint16(b[6:], checksum(from.Addr(), to.Addr(), protoUDP, b))
	return b
}

// checksum is that of RFC 1071 over the pseudo-header and the segment; 0 is written as 0xffff.
func checksum(from, to netip.Addr, proto byte, segment []byte) uint16 {
	b := join(from.AsSlice(), to.AsSlice(), []byte{0, proto}, be16(uint16(len(segment))), segment)
	if len(b)%2 != 0 {
		b = append(b, 0)
	}
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	if sum == 0xffff {
		return 0xffff
	}
	return ^uint16(sum)
}

// tap sees the TCP segments that arrive in the lab's internet.
type tap struct {
	t  testing.TB
	fd int
}

func newTap(t testing.TB, h *harness.Host) *tap {
	t.Helper()
	tp := &tap{t: t, fd: -1}
	check(t, h.Internet.Do(func() (err error) {
		all := uint16(unix.ETH_P_ALL)
		tp.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(all<<8|all>>8))
		return err
	}))
	check(t, unix.SetsockoptTimeval(tp.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
	t.Cleanup(func() { check(t, unix.Close(tp.fd)) })
	return tp
}

// segment waits for a segment with data from an address, and returns where the sender is (the sequence number after the
// data) and what it expects (the acknowledgement number).
func (tp *tap) segment(from netip.AddrPort) (next, expects uint32) {
	tp.t.Helper()
	b := make([]byte, 65536)
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		n, _, err := unix.Recvfrom(tp.fd, b, 0)
		if err != nil {
			break
		}
		if src, next, expects, ok := readSegment(b[:n]); ok && src == from {
			return next, expects
		}
	}
	tp.t.Fatalf("no segment with data from %v", from)
	return 0, 0
}

func readSegment(b []byte) (src netip.AddrPort, next, expects uint32, ok bool) {
	var addr netip.Addr
	switch {
	case len(b) > 40 && b[0] == 0x45 && b[9] == protoTCP:
		addr = netip.AddrFrom4([4]byte(b[12:16]))
		b = b[20:binary.BigEndian.Uint16(b[2:])]
	case len(b) > 60 && b[0]>>4 == 6 && b[6] == protoTCP:
		addr = netip.AddrFrom16([16]byte(b[8:24]))
		b = b[40 : 40+binary.BigEndian.Uint16(b[4:])]
	default:
		return
	}
	data := len(b) - int(b[12]>>4)*4
	src = port(addr, binary.BigEndian.Uint16(b))
	return src, binary.BigEndian.Uint32(b[4:]) + uint32(data), binary.BigEndian.Uint32(b[8:]), data > 0
}

// evilName makes names that no two tests share.
func evilName(i int) string { return fmt.Sprintf("t%d.bank.example", i) }
