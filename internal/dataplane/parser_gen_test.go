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
	made int
}

func newGenerator(seed uint64) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, seed))}
}

// chance is true with a probability of percent.
func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

func (g *generator) next() exchange {
	for {
		q, r, want := g.messages()
		query, err1 := q.Pack()
		answer, err2 := r.Pack()
		// The few that do not pack have too long a name.
		if err1 != nil || err2 != nil || len(answer) > maxMessage {
			continue
		}
		e := exchange{query: query, answer: answer, want: want}
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
	q = new(dns.Msg).SetQuestion(name, pick(g, dns.TypeA, dns.TypeAAAA, dns.TypeANY))
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
		if a, ok := addressOf(rr); ok && i < maxRecords && r.Rcode == 0 {
			want = append(want, a)
		}
	}
	for range g.IntN(3) {
		r.Ns = append(r.Ns, g.record(g.name()))
		r.Extra = append(r.Extra, g.record(g.name()))
	}
	if g.chance(50) {
		r.SetEdns0(1232, g.chance(50))
	}
	return q, r, want
}

// addressOf is the address of a record that has one worth learning.
func addressOf(rr dns.RR) (netip.Addr, bool) {
	var b []byte
	switch rr := rr.(type) {
	case *dns.A:
		b = rr.A.To4()
	case *dns.AAAA:
		b = rr.AAAA.To16()
	}
	a, ok := netip.AddrFromSlice(b)
	a = a.Unmap()
	return a, ok && rr.Header().Class == dns.ClassINET && !localAddr(a)
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
	case n < 95:
		h.Rrtype = dns.TypeHTTPS
		hint := &dns.SVCBIPv4Hint{Hint: []net.IP{g.v4()}}
		return &dns.HTTPS{SVCB: dns.SVCB{Hdr: h, Priority: 1, Target: ".", Value: []dns.SVCBKeyValue{hint}}}
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
			starts = append(starts, fixed+pick(g, 0, 2, 4, 8, 9, 10))
		}
		if w.record() != fine {
			break
		}
	}
	return min(pick(g, starts...), len(m)-1)
}
