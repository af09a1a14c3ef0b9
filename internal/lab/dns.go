package lab

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	ednsSize     = 1232 // bytes of a UDP answer this server says it takes
	plainDNSSize = 512  // bytes of a UDP answer without EDNS
	// probeName is asked to see whether a resolver works; it is not logged.
	probeName = "lab-probe.example."
)

// Question is one question that reached the name server.
type Question struct {
	Name           string // as asked: case kept, with a final dot
	Type           uint16
	Proto          string // "udp" or "tcp"
	Server, Client netip.AddrPort
	Time           time.Time
}

// DNS is the lab's name server. Names may be given in any case, with or without a final dot.
type DNS struct {
	Addr4, Addr6 netip.Addr

	mu        sync.Mutex // guards what follows
	addrs     map[string][]netip.Addr
	handlers  map[string]func(query []byte, proto string) [][]byte
	ttl       uint32
	truncate  bool
	questions []Question
}

func (l *Lab) startDNS() error {
	d := &DNS{
		Addr4:    netip.MustParseAddr("198.51.100.53"),
		Addr6:    netip.MustParseAddr("2001:db8:53::53"),
		addrs:    map[string][]netip.Addr{},
		handlers: map[string]func([]byte, string) [][]byte{},
		ttl:      60,
	}
	l.DNS = d
	for _, family := range []string{"4", "6"} {
		ln, err := l.listenTCP(family, DNSPort)
		if err != nil {
			return err
		}
		go acceptEach(ln, d.serveTCP)
		udp, err := l.listenUDP(family, DNSPort)
		if err != nil {
			return err
		}
		go udp.serve(func(b []byte, from, to netip.AddrPort) [][]byte { return d.answer(b, "udp", from, to) })
	}
	return l.addServerAddrs(d.Addr4, d.Addr6)
}

// Set makes name exist with these addresses, in this order. No addresses: it exists and has none.
func (d *DNS) Set(name string, addrs ...netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addrs[canonical(name)] = slices.Clone(addrs)
}

// Unset makes name not exist and removes its handler.
func (d *DNS) Unset(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.addrs, canonical(name))
	delete(d.handlers, canonical(name))
}

// SetTTL sets the TTL of all records made from Set, in seconds; 60 at first.
func (d *DNS) SetTTL(seconds uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ttl = seconds
}

// Truncate makes every UDP answer empty with TC set, handlers excepted, so that clients ask again by TCP.
func (d *DNS) Truncate(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.truncate = on
}

// Handle answers questions for name with what f returns, as it is; nil sends nothing. proto is "udp" or "tcp".
func (d *DNS) Handle(name string, f func(q *dns.Msg, proto string) *dns.Msg) {
	d.HandleRaw(name, func(query []byte, proto string) [][]byte {
		q := new(dns.Msg)
		if q.Unpack(query) != nil {
			return nil
		}
		r := f(q, proto)
		if r == nil {
			return nil
		}
		b, err := r.Pack()
		if err != nil {
			return nil
		}
		return framed(b, proto)
	})
}

// HandleRaw answers questions for name with bytes: over UDP each element is a datagram; over TCP each is written by
// itself, and the caller includes the length prefix. The query comes without one.
func (d *DNS) HandleRaw(name string, f func(query []byte, proto string) [][]byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handlers[canonical(name)] = f
}

// Questions lists what has been asked since New or ResetQuestions, in order.
func (d *DNS) Questions() []Question {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.questions)
}

// ResetQuestions empties the log.
func (d *DNS) ResetQuestions() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.questions = nil
}

func canonical(name string) string { return strings.ToLower(dns.Fqdn(name)) }

func (d *DNS) serveTCP(c net.Conn) {
	from, to := addrPort(c.RemoteAddr()), addrPort(c.LocalAddr())
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		b := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		for _, part := range d.answer(b, "tcp", from, to) {
			if _, err := c.Write(part); err != nil {
				return
			}
		}
	}
}

// answer makes what is sent back for a query, or nothing for what is not a query with one question.
func (d *DNS) answer(b []byte, proto string, from, to netip.AddrPort) [][]byte {
	q := new(dns.Msg)
	if q.Unpack(b) != nil || q.Response || len(q.Question) != 1 {
		return nil
	}
	name := canonical(q.Question[0].Name)
	d.mu.Lock()
	if name != probeName {
		d.questions = append(d.questions, Question{
			Name: q.Question[0].Name, Type: q.Question[0].Qtype, Proto: proto, Server: to, Client: from, Time: time.Now(),
		})
	}
	handler := d.handlers[name]
	d.mu.Unlock()
	if handler != nil {
		return handler(slices.Clone(b), proto)
	}
	reply, err := d.reply(q, proto).Pack()
	if err != nil {
		return nil
	}
	return framed(reply, proto)
}

// Reply makes the answer that the server itself would give, for handlers that want to change it.
func (d *DNS) Reply(q *dns.Msg) *dns.Msg { return d.reply(q, "tcp") }

func (d *DNS) reply(q *dns.Msg, proto string) *dns.Msg {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := new(dns.Msg).SetReply(q)
	r.Authoritative = true
	r.RecursionAvailable = true // forwarders and stubs expect it
	r.Compress = true
	size := plainDNSSize
	if opt := q.IsEdns0(); opt != nil {
		r.SetEdns0(ednsSize, false)
		size = max(size, int(opt.UDPSize()))
	}
	if d.truncate && proto == "udp" {
		r.Truncated = true
		return r
	}
	addrs, exists := d.addrs[canonical(q.Question[0].Name)]
	if !exists {
		r.Rcode = dns.RcodeNameError
	}
	for _, a := range addrs {
		if rr := addressRecord(q.Question[0], a, d.ttl); rr != nil {
			r.Answer = append(r.Answer, rr)
		}
	}
	if proto == "udp" {
		r.Truncate(size)
	}
	return r
}

// addressRecord is the record that answers q with a, nil if a is of the other family or q asks something else.
func addressRecord(q dns.Question, a netip.Addr, ttl uint32) dns.RR {
	h := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: ttl}
	switch {
	case q.Qclass != dns.ClassINET:
	case q.Qtype == dns.TypeA && a.Is4():
		return &dns.A{Hdr: h, A: a.AsSlice()}
	case q.Qtype == dns.TypeAAAA && !a.Is4():
		return &dns.AAAA{Hdr: h, AAAA: a.AsSlice()}
	}
	return nil
}

// framed gives a message the length prefix that TCP wants.
func framed(b []byte, proto string) [][]byte {
	if proto == "tcp" {
		b = append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
	}
	return [][]byte{b}
}
