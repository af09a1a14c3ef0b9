// Package via opens connections from a lab's agents and tells by which uplink they left, as the server sees it.
package via

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/internal/lab"
)

// Kind is how a program connects: protocol and address family.
type Kind string

// The kinds of connection. A mapped one goes to an IPv4 address by a socket of IPv6 (::ffff:a.b.c.d).
const (
	TCP4      Kind = "TCP/IPv4"
	TCP6      Kind = "TCP/IPv6"
	TCPMapped Kind = "TCP/v4-mapped"
	UDP4      Kind = "UDP/IPv4"
	UDP6      Kind = "UDP/IPv6"
	UDPMapped Kind = "UDP/v4-mapped"
)

// Kinds lists all kinds.
var Kinds = []Kind{TCP4, TCP6, TCPMapped, UDP4, UDP6, UDPMapped}

// Learn has the agent resolve a name for both families. It returns the first error, also for an answer without addresses.
func Learn(a *lab.Agent, names ...string) error {
	for _, name := range names {
		for _, q := range []uint16{dns.TypeA, dns.TypeAAAA} {
			answer, err := a.Resolve(lab.Query{Name: name, Type: q})
			if err != nil {
				return err
			}
			if len(answer.Addrs) == 0 {
				return lab.Errno("no address for " + name)
			}
		}
	}
	return nil
}

// Out connects to the server in the given way and tells the outcome in one word: the name of the uplink (wan0, vpn0 or
// one of others) whose address the server saw, that address if it is no uplink's, or the error as by
// lab.Errno ("ENODEV", "timeout").
func Out(l *lab.Lab, a *lab.Agent, k Kind, to lab.Host, others ...string) string {
	seen, err := dial(a, k, to)
	if err != nil {
		return err.Error()
	}
	return uplinkOf(l, seen, others)
}

// OutUnconnected is Out for one datagram by a socket that never connects.
func OutUnconnected(l *lab.Lab, a *lab.Agent, to netip.Addr, others ...string) string {
	seen, err := a.DialUDPUnconnected(netip.AddrPortFrom(to, lab.EchoPort))
	if err != nil {
		return err.Error()
	}
	return uplinkOf(l, seen, others)
}

// uplinkOf names the uplink that has an address, which is returned itself if none has.
func uplinkOf(l *lab.Lab, seen string, others []string) string {
	for _, name := range append([]string{"wan0", "vpn0"}, others...) {
		u := l.Uplink(name)
		if u.Name != "" && (seen == u.Addr4.String() || seen == u.Addr6.String()) {
			return name
		}
	}
	return seen
}

// Target is the address of the server that a kind of connection goes to.
func (k Kind) Target(to lab.Host) netip.Addr {
	if k == TCP6 || k == UDP6 {
		return to.Addr6
	}
	return to.Addr4
}

func dial(a *lab.Agent, k Kind, to lab.Host) (string, error) {
	addr := netip.AddrPortFrom(k.Target(to), lab.EchoPort)
	switch k {
	case TCP4, TCP6:
		return a.DialTCP(addr)
	case UDP4, UDP6:
		return a.DialUDP(addr)
	case TCPMapped:
		return byMapped(a, "tcp6", addr)
	}
	return byMapped(a, "udp6", addr)
}

// byMapped uses a socket of IPv6, for which the agent writes an IPv4 address as v4-mapped.
func byMapped(a *lab.Agent, socket string, addr netip.AddrPort) (string, error) {
	s, err := a.Socket(socket)
	if err != nil {
		return "", err
	}
	defer s.Close()
	if err := s.Connect(addr); err != nil {
		return "", err
	}
	if socket == "udp6" {
		if err := s.Send([]byte("hello")); err != nil {
			return "", err
		}
	}
	var line []byte
	for {
		b, _, err := s.Recv()
		if err != nil {
			return "", err
		}
		line = append(line, b...)
		if socket == "udp6" || len(b) == 0 || bytes.ContainsRune(b, '\n') {
			return strings.TrimSpace(string(line)), nil
		}
	}
}
