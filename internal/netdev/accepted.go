package netdev

import (
	"fmt"
	"net/netip"
	"os"
)

// listener is a TCP socket that waits for connections.
type listener struct {
	at   netip.AddrPort // of IPv6 if v6, or IPv4 from a v4-mapped one
	v6   bool           // a socket of IPv6
	only bool           // and of nothing else
}

func (l listener) hears(local netip.AddrPort) bool {
	switch {
	case l.at.Port() != local.Port():
		return false
	case !l.at.Addr().IsUnspecified():
		return l.at.Addr() == local.Addr()
	case local.Addr().Is4():
		return !l.v6 || !l.only
	default:
		return l.v6
	}
}

// portRange is the range from which the kernel takes ports for sockets that connect, both ends included.
type portRange struct{ first, last uint16 }

// accepted tells whether a connected TCP socket seems to have been made by accept. The kernel does not say. Where
// something listens at its address it was: the kernel gives no socket that connects a port that another one has
// bound. It errs only with a program that shares its listening port with connections of its own (SO_REUSEADDR, as
// peer-to-peer programs do). Nothing listens any more, but the port is none that the kernel gives: taken for
// accepted, too, since programs rarely choose the port they connect from, and servers end before their sessions.
func accepted(local netip.AddrPort, listeners []listener, ports portRange) bool {
	if local.Port() < ports.first || local.Port() > ports.last {
		return true
	}
	for _, l := range listeners {
		if l.hears(local) {
			return true
		}
	}
	return false
}

func ephemeralPorts() (portRange, error) {
	const file = "/proc/sys/net/ipv4/ip_local_port_range" // of IPv6, too
	var r portRange
	b, err := os.ReadFile(file)
	if err == nil {
		_, err = fmt.Sscan(string(b), &r.first, &r.last)
	}
	if err != nil {
		return r, fmt.Errorf("read the range of ports for connections: %w", err)
	}
	return r, nil
}
