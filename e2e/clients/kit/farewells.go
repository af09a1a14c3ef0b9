package kit

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
)

const (
	flagFIN = 1
	flagACK = 16

	ethAll         = unix.ETH_P_ALL << 8 // in network order
	headers        = 40 + 20             // bytes: IPv6 and TCP
	packetProtocol = 0xfffff000          // SKF_AD_OFF + SKF_AD_PROTOCOL
)

// farewells counts the one packet of a steered connection that the kernel may send by another interface: over IPv6 the
// last acknowledgement, once the socket is gone and its TIME_WAIT entry answers, which is so when the server's FIN
// comes later than the acknowledgement of ours. tcp_v6_send_response looks up the route with a kernel socket bound to
// nothing, for which ip6_route_output_flags takes the device that the entry remembers for a wish. IPv4 obeys it.
type farewells struct {
	fd     int
	wan    int // index of wan0's other end
	ends   map[connection]*ending
	counts map[netip.Addr]int
}

type connection struct{ client, server netip.AddrPort }

// ending is how far the end of a connection has come.
type ending struct {
	client, server bool   // who has sent a FIN
	last           uint32 // what acknowledges the server's
}

func watchFarewells(t testing.TB, h *harness.Host) *farewells {
	t.Helper()
	link, err := h.Internet.NL.LinkByName("peer0")
	if err != nil {
		t.Fatal(err)
	}
	f := &farewells{wan: link.Attrs().Index, ends: map[connection]*ending{}, counts: map[netip.Addr]int{}}
	if err := h.Internet.Do(f.open); err != nil {
		t.Fatalf("open packet socket: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(f.fd) })
	return f
}

// open takes the headers of IPv6 both ways: a socket for that protocol alone would not see what goes out.
func (f *farewells) open() (err error) {
	f.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: packetProtocol},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.ETH_P_IPV6},
		{Code: unix.BPF_RET | unix.BPF_K, K: headers},
		{Code: unix.BPF_RET | unix.BPF_K},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return errors.Join(
		unix.SetsockoptSockFprog(f.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog),
		unix.SetsockoptInt(f.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
		unix.Bind(f.fd, &unix.SockaddrLinklayer{Protocol: ethAll}),
	)
}

// to tells how many came to a server by wan0 so far.
func (f *farewells) to(t testing.TB, server netip.Addr) int {
	t.Helper()
	var b [headers]byte
	for {
		n, from, err := unix.Recvfrom(f.fd, b[:], 0)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatalf("read packets: %v", err)
		}
		if link, ok := from.(*unix.SockaddrLinklayer); ok && n == headers && b[6] == unix.IPPROTO_TCP {
			f.note(b[:], link.Pkttype == unix.PACKET_OUTGOING, link.Ifindex == f.wan)
		}
	}
	stats, err := unix.GetsockoptTpacketStats(f.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil || stats.Drops > 0 {
		t.Fatalf("packets were lost: %+v, %v", stats, err)
	}
	return f.counts[server]
}

// note follows one packet: an outgoing one is the server's.
func (f *farewells) note(b []byte, outgoing, wan bool) {
	tcp := b[40:]
	c := connection{
		netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), binary.BigEndian.Uint16(tcp)),
		netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:40])), binary.BigEndian.Uint16(tcp[2:])),
	}
	if outgoing {
		c.client, c.server = c.server, c.client
	}
	e := f.ends[c]
	if e == nil {
		e = &ending{}
		f.ends[c] = e
	}
	flags, data := tcp[13], uint32(binary.BigEndian.Uint16(b[4:]))-uint32(tcp[12]>>4)*4
	switch {
	case outgoing && flags&flagFIN != 0:
		e.server, e.last = true, binary.BigEndian.Uint32(tcp[4:])+data+1
	case flags&flagFIN != 0:
		e.client = true
	case wan && e.client && e.server && flags == flagACK && data == 0 && binary.BigEndian.Uint32(tcp[8:]) == e.last:
		f.counts[c.server.Addr()]++
	}
}
