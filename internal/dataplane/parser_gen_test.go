package dataplane

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/miekg/dns"
)

// maxMessage keeps a packet within what BPF_PROG_TEST_RUN takes on every kernel, a page less its own needs.
const maxMessage = 3300

// exchange is a query and what comes back for it.
type exchange struct {
	query, answer []byte
	want          []netip.Addr // of an answer that was left as it is: what it was made of
	mutations     int
}

// generator makes exchanges; the same seed gives the same ones. No two have the same question.
type generator struct {
	*rand.Rand
	made   int
	broken bool // the message has a record that is none, by design
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, seed))}
}

// chance is true with a probability of percent.
func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

func (g *generator) next() exchange {
	for {
		g.broken = false
		q, r, want := g.messages()
		query, err1 := q.Pack()
		answer, err2 := r.Pack()
		// The few that do not pack have too long a name.
		if err1 != nil || err2 != nil || len(answer) > maxMessage {
			continue
		}
		e := exchange{query: query, answer: answer, want: want}
		if g.broken {
			e.mutations = 1
		}
		if g.chance(80) {
			e.mutations = 1 + g.IntN(4)
			for range e.mutations {
				e.answer = g.mutate(e.answer)
			}
			e.answer = e.answer[:min(len(e.answer), maxMessage)]
		}
		return e
	}
}

func (g *generator) messages() (q, r *dns.Msg, want []netip.Addr) {
	g.made++
	name := "m" + strconv.Itoa(g.made) + "." + g.name()
	q = new(dns.Msg).SetQuestion(name, pick(g, dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeANY))
	r = new(dns.Msg).SetReply(q)
	r.Compress = g.chance(70)
	r.Authoritative, r.AuthenticatedData, r.Truncated = g.chance(30), g.chance(30), g.chance(5)
	if g.chance(5) {
		r.Rcode = g.IntN(16)
	}
	records := g.IntN(9)
	if g.chance(5) {
		records = g.IntN(90)
	}
	owner := name
	for i := range records {
		rr := g.record(owner)
		if c, ok := rr.(*dns.CNAME); ok {
			owner = c.Target
		}
		r.Answer = append(r.Answer, rr)
		if i < maxRecords && r.Rcode == 0 {
			want = append(want, addressesOf(rr)...)
		}
	}
	want = want[:min(len(want), maxAddrs)]
	for range g.IntN(3) {
		r.Ns = append(r.Ns, g.record(g.name()))
		r.Extra = append(r.Extra, g.record(g.name()))
	}
	if g.chance(50) {
		r.SetEdns0(1232, g.chance(50))
	}
	return q, r, want
}

// addressesOf are the addresses of a record that are worth learning, in its order.
func addressesOf(rr dns.RR) []netip.Addr {
	var raw []net.IP
	switch rr := rr.(type) {
	case *dns.A:
		raw = []net.IP{rr.A.To4()}
	case *dns.AAAA:
		raw = []net.IP{rr.AAAA.To16()}
	case *dns.HTTPS:
		raw = hintsOf(&rr.SVCB)
	case *dns.SVCB:
		raw = hintsOf(rr)
	}
	var all []netip.Addr
	for _, b := range raw {
		a, ok := netip.AddrFromSlice(b)
		if a = a.Unmap(); ok && rr.Header().Class == dns.ClassINET && !localAddr(a) {
			all = append(all, a)
		}
	}
	return all
}

// hintsOf are the address hints of a service record; an alias has none that count.
func hintsOf(s *dns.SVCB) (all []net.IP) {
	for _, v := range s.Value {
		switch v := v.(type) {
		case *dns.SVCBIPv4Hint:
			for _, ip := range v.Hint {
				all = append(all, ip.To4())
			}
		case *dns.SVCBIPv6Hint:
			all = append(all, v.Hint...)
		}
	}
	if s.Priority == 0 {
		return nil
	}
	return all
}

// service makes an HTTPS or SVCB record: mostly with few parameters and hints, sometimes with many.
func (g *generator) service(h dns.RR_Header) dns.RR {
	s := dns.SVCB{Priority: pick[uint16](g, 0, 1, 1, 2, 256), Target: pick(g, ".", g.name())}
	if g.chance(30) {
		s.Value = append(s.Value, &dns.SVCBAlpn{Alpn: []string{"h3", "h2"}[:1+g.IntN(2)]})
	}
	if g.chance(20) {
		s.Value = append(s.Value, &dns.SVCBPort{Port: uint16(g.Uint32())})
	}
	hints := pick(g, 1, 1, 2, 3, 8)
	if g.chance(3) {
		hints = 60 + g.IntN(20)
	}
	if g.chance(6) {
		g.broken = true
		length := pick(g, 0, 1, 3, 5, 6, 8, 15, 17, 32) // some are right
		s.Value = append(s.Value, &dns.SVCBLocal{KeyCode: pick(g, dns.SVCB_IPV4HINT, dns.SVCB_IPV6HINT), Data: g.bytes(length)})
	}
	if g.chance(60) {
		v := &dns.SVCBIPv4Hint{}
		for range hints {
			v.Hint = append(v.Hint, g.v4())
		}
		s.Value = append(s.Value, v)
	}
	if g.chance(10) {
		s.Value = append(s.Value, &dns.SVCBECHConfig{ECH: g.bytes(g.IntN(80))})
	}
	if g.chance(60) {
		v := &dns.SVCBIPv6Hint{}
		for range hints {
			if ip := net.IP(g.v6()); ip.To4() == nil { // package dns does not pack others
				v.Hint = append(v.Hint, ip)
			}
		}
		if len(v.Hint) > 0 {
			s.Value = append(s.Value, v)
		}
	}
	if g.chance(5) {
		for i := range 20 {
			s.Value = append(s.Value, &dns.SVCBLocal{KeyCode: dns.SVCBKey(65280 + i), Data: g.bytes(g.IntN(4))})
		}
	}
	s.Hdr = h
	if g.chance(50) {
		s.Hdr.Rrtype = dns.TypeSVCB
		return &s
	}
	s.Hdr.Rrtype = dns.TypeHTTPS
	return &dns.HTTPS{SVCB: s}
}

// name makes a name with its final dot: mostly short, sometimes as long or of as many labels as may be.
func (g *generator) name() string {
	labels, longest := 1+g.IntN(5), 12
	switch g.IntN(30) {
	case 0:
		labels, longest = 121, 1
	case 1:
		labels, longest = 3, 63
	}
	var b []byte
	for range labels {
		for range 1 + g.IntN(longest) {
			b = append(b, g.char()...)
		}
		b = append(b, '.')
	}
	return string(b)
}

func (g *generator) char() string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	if g.chance(97) {
		return plain[g.IntN(len(plain)):][:1]
	}
	c := g.IntN(256)
	return `\` + string([]byte{'0' + byte(c/100), '0' + byte(c/10%10), '0' + byte(c%10)})
}

func (g *generator) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

func (g *generator) record(owner string) dns.RR {
	h := dns.RR_Header{Name: owner, Class: dns.ClassINET, Ttl: pick(g, 0, 60, 86400, 0x7fffffff, 0x80000000, g.Uint32())}
	if g.chance(3) {
		h.Class = dns.ClassCHAOS
	}
	switch n := g.IntN(100); {
	case n < 40:
		h.Rrtype = dns.TypeA
		return &dns.A{Hdr: h, A: g.v4()}
	case n < 65:
		h.Rrtype = dns.TypeAAAA
		return &dns.AAAA{Hdr: h, AAAA: g.v6()}
	case n < 80:
		h.Rrtype = dns.TypeCNAME
		return &dns.CNAME{Hdr: h, Target: g.name()}
	case n < 85:
		h.Rrtype = dns.TypeRRSIG
		return &dns.RRSIG{Hdr: h, TypeCovered: dns.TypeA, SignerName: g.name(), Signature: "c2lnbmF0dXJlc2lnbmF0dXJl"}
	case n < 90:
		h.Rrtype = dns.TypeTXT
		return &dns.TXT{Hdr: h, Txt: []string{string(g.bytes(g.IntN(40)))}}
	case n < 97:
		return g.service(h)
	default:
		h.Rrtype = uint16(65280 + g.IntN(200)) // private use
		return &dns.RFC3597{Hdr: h, Rdata: ""}
	}
}

func (g *generator) v4() []byte {
	if g.chance(10) {
		return netip.MustParseAddr(pick(g, "127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.251", "169.254.1.1")).AsSlice()
	}
	return g.bytes(4)
}

func (g *generator) v6() []byte {
	if g.chance(15) {
		a := netip.MustParseAddr(pick(g, "::", "::1", "fe80::1", "ff02::fb", "::ffff:127.0.0.1", "::ffff:192.0.2.1", "::2", "::ffff:255.255.255.255")).As16()
		return a[:]
	}
	return g.bytes(16)
}

// mutate changes a message in one of the ways that parsers have fallen for.
func (g *generator) mutate(m []byte) []byte {
	m = slices.Clone(m)
	if len(m) < 13 {
		return append(m, g.bytes(1+g.IntN(20))...)
	}
	at := g.place(m)
	switch g.IntN(12) {
	case 0: // anything
		m[at] = byte(g.Uint32())
	case 1: // a bit
		m[at] ^= 1 << g.IntN(8)
	case 2: // a label's or a pointer's first byte
		m[at] = pick[byte](g, 0, 1, 0x3f, 0x40, 0x41, 0x7f, 0x80, 0xbf, 0xc0, 0xc1, 0xff)
	case 3: // a pointer
		m = overwrite(m, at, 0xc000|uint16(g.IntN(0x4000)))
	case 4: // one to nearby
		m = overwrite(m, at, 0xc000|uint16(max(0, at-20+g.IntN(40))))
	case 5: // a length or type
		m = overwrite(m, at, pick[uint16](g, 0, 1, 3, 4, 5, 15, 16, 17, 28, 41, 0xff, 0xffff, 0xfff4, 0x7fff, uint16(len(m)-at)))
	case 6: // a count
		m = overwrite(m, 4+2*g.IntN(4), pick[uint16](g, 0, 1, 2, 3, 63, 64, 65, 255, 256, 0xffff))
	case 7: // flags
		m[2+g.IntN(2)] = byte(g.Uint32())
	case 8: // the end
		m = m[:at]
	case 9: // less
		m = slices.Delete(m, at, min(len(m), at+1+g.IntN(16)))
	case 10: // more
		m = slices.Insert(m, at, g.bytes(1+g.IntN(16))...)
	case 11: // again
		m = slices.Insert(m, at, m[at:min(len(m), at+1+g.IntN(40))]...)
	}
	return m
}

func overwrite(m []byte, at int, n uint16) []byte {
	if at+2 > len(m) {
		m = append(m, 0)
	}
	binary.BigEndian.PutUint16(m[at:], n)
	return m
}

// place chooses where to change a message: mostly behind its question, and there mostly at the start of a record or of
// the fixed part of one.
func (g *generator) place(m []byte) int {
	end, ok := questionEnd(m)
	if !ok || end >= len(m) || g.chance(5) {
		return g.IntN(len(m))
	}
	if g.chance(40) {
		return end + g.IntN(len(m)-end)
	}
	var starts []int
	w := walkModel{msg: m, at: end, o: outcome{moved: counts{}}}
	for w.at < len(m) && len(starts) < 100 {
		fixed, v := w.skipName(w.at)
		starts = append(starts, w.at)
		if v == fine && fixed+10 <= len(m) {
			starts = append(starts, fixed+pick(g, 0, 2, 4, 8, 9, 10), fixed+g.inService(m, fixed))
		}
		if w.record() != fine {
			break
		}
	}
	return min(pick(g, starts...), len(m)-1)
}

// inService is where a service record, whose fixed part is at a place, has its priority, its name, or a parameter's key
// or length; the record's type otherwise.
func (g *generator) inService(m []byte, fixed int) int {
	if t := binary.BigEndian.Uint16(m[fixed:]); t != dns.TypeSVCB && t != dns.TypeHTTPS {
		return 0
	}
	places := []int{10, 11, 12}
	end := fixed + 10 + int(binary.BigEndian.Uint16(m[fixed+8:]))
	w := walkModel{msg: m, o: outcome{moved: counts{}}}
	at, v := w.skipName(fixed + 12)
	for v == fine && at+4 <= min(end, len(m)) {
		places = append(places, at-fixed, at+2-fixed)
		at += 4 + int(binary.BigEndian.Uint16(m[at+2:]))
	}
	return pick(g, places...)
}
