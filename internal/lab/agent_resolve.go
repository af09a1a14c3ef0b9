package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/miekg/dns"
)

// Query is one question that an agent asks over a fresh socket.
type Query struct {
	Name        string
	Type        uint16         // 0: A
	Server      netip.AddrPort // the zero value: the lab's name server, by IPv4
	Proto       string         // "udp", also when empty, or "tcp"
	ID          uint16         // 0: a random one
	Unconnected bool           // UDP by sendto instead of connect and send
	EDNS        bool
	Device      string // bind to this interface first
}

// Answer is what came back.
type Answer struct {
	Addrs       []netip.Addr // of A and AAAA records, in order
	Rcode       int
	Truncated   bool
	Interrupted int // sends that failed with EINTR and were done again
	Msg         *dns.Msg
}

// Resolve asks a question and waits for the answer. The answer to another transaction id is an error.
func (a *Agent) Resolve(q Query) (Answer, error) {
	m := new(dns.Msg)
	if !q.Server.IsValid() {
		q.Server = netip.AddrPortFrom(a.server, DNSPort)
	}
	if q.Type == 0 {
		q.Type = dns.TypeA
	}
	m.SetQuestion(dns.Fqdn(q.Name), q.Type)
	if q.ID != 0 {
		m.Id = q.ID
	}
	if q.EDNS {
		m.SetEdns0(ednsSize, false)
	}
	b, err := m.Pack()
	if err != nil {
		return Answer{}, fmt.Errorf("ask for %s: %w", q.Name, err)
	}
	kind := "udp"
	if q.Proto == "tcp" {
		kind = "tcp-dns"
		b = append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
	} else if q.Unconnected {
		kind = "udp-unconnected"
	}
	resp, err := a.ask(request{Op: "dial", Kind: kind, Addr: q.Server, Data: b, Device: q.Device})
	if err != nil {
		return Answer{}, err
	}
	return readAnswer(resp, m.Id)
}

func readAnswer(resp response, id uint16) (Answer, error) {
	r := new(dns.Msg)
	if err := r.Unpack(resp.Data); err != nil {
		return Answer{}, fmt.Errorf("read answer: %w", err)
	}
	if r.Id != id {
		return Answer{}, errors.New("read answer: of another transaction")
	}
	ans := Answer{Rcode: r.Rcode, Truncated: r.Truncated, Interrupted: resp.Number, Msg: r}
	for _, rr := range r.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			addr, _ := netip.AddrFromSlice(rr.A)
			ans.Addrs = append(ans.Addrs, addr.Unmap())
		case *dns.AAAA:
			addr, _ := netip.AddrFromSlice(rr.AAAA)
			ans.Addrs = append(ans.Addrs, addr)
		}
	}
	return ans, nil
}
