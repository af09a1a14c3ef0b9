package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	flagFIN = 1
	flagSYN = 2
	flagACK = 16

	tcp6Headers = 40 + 20 // bytes: IPv6 and TCP
)

// farewells find the one packet of a steered connection that the kernel may send by another interface: over IPv6 the
// last acknowledgement, once the socket is gone and its TIME_WAIT entry answers, which is so when the server's FIN
// comes later than the acknowledgement of ours. tcp_v6_send_response looks up the route with a kernel socket bound to
// nothing, for which ip6_route_output_flags takes the device that the entry remembers for a wish. IPv4 obeys it.
type farewells map[connection]*ending

type connection struct{ client, server netip.AddrPort }

// ending is how far the end of a connection has come.
type ending struct {
	client, server bool   // who has sent a FIN
	last           uint32 // what acknowledges the server's
}

// note follows one packet, whose headers it needs, and tells whether it is a farewell. Outgoing ones are the server's; only
// those with a FIN matter. Both sides have to be seen, by whatever link.
func (f farewells) note(b []byte, outgoing bool) bool {
	if len(b) < tcp6Headers || b[0]>>4 != 6 || b[6] != unix.IPPROTO_TCP {
		return false
	}
	tcp := b[40:]
	c := connection{
		netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), binary.BigEndian.Uint16(tcp)),
		netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:40])), binary.BigEndian.Uint16(tcp[2:])),
	}
	flags, data := tcp[13], uint32(binary.BigEndian.Uint16(b[4:]))-uint32(tcp[12]>>4)*4
	if outgoing {
		c.client, c.server = c.server, c.client
	}
	e := f[c]
	switch {
	case outgoing && flags&flagFIN != 0:
		e = f.begun(c)
		e.server, e.last = true, binary.BigEndian.Uint32(tcp[4:])+data+1
	case outgoing:
	case flags&flagSYN != 0:
		delete(f, c) // the ports are another connection's now
	case flags&flagFIN != 0:
		f.begun(c).client = true
	default:
		return e != nil && e.client && e.server && flags == flagACK && data == 0 && binary.BigEndian.Uint32(tcp[8:]) == e.last
	}
	return false
}

func (f farewells) begun(c connection) *ending {
	if f[c] == nil {
		f[c] = &ending{}
	}
	return f[c]
}

// Farewells tells how many of the packets that UplinkPackets counts, to dst or to anywhere if dst is the zero value, were the
// kernel's last word over IPv6 for a connection, after both sides had sent their FIN: a bare ACK, which may take another way
// than the connection (docs/limits.md).
func (l *Lab) Farewells(name string, dst netip.Addr) (int, error) {
	l.mu.Lock()
	u := l.links[name]
	l.mu.Unlock()
	s := l.sniffer
	if u == nil || s == nil {
		return 0, fmt.Errorf("count farewells of %s: no such uplink, or no sniffer", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain()
	if s.lost > 0 {
		return 0, fmt.Errorf("count farewells of %s: %d packets lost by the sniffer", name, s.lost)
	}
	return s.last[flow{u.slot, dst}], nil
}
