package lab

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestDNSAnswers(t *testing.T) {
	l := newLab(t, Options{})
	a := newAgent(t, l, AgentOptions{})
	v4, v6 := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8:1::7")
	longest := strings.Repeat(strings.Repeat("x", 63)+".", 3) + strings.Repeat("y", 61) + "." // 255 bytes on the wire
	l.DNS.Set("Both.example", v4, v6)
	l.DNS.Set("four.example.", v4)
	l.DNS.Set(longest, v4)
	for _, c := range []struct {
		name  string
		typ   uint16
		want  []netip.Addr
		rcode int
	}{
		{"bOtH.eXample", dns.TypeA, []netip.Addr{v4}, 0},
		{"bOtH.eXample", dns.TypeAAAA, []netip.Addr{v6}, 0},
		{"four.example", dns.TypeAAAA, nil, 0},
		{"four.example", dns.TypeTXT, nil, 0},
		{longest, dns.TypeA, []netip.Addr{v4}, 0},
		{"none.example", dns.TypeA, nil, dns.RcodeNameError},
	} {
		for _, server := range []netip.Addr{l.DNS.Addr4, l.DNS.Addr6} {
			for _, q := range []Query{{}, {Unconnected: true}, {Proto: "tcp"}, {EDNS: true, Device: "vpn0"}} {
				q.Name, q.Type, q.Server = c.name, c.typ, port(server, DNSPort)
				ans, err := a.Resolve(q)
				if err != nil || !slices.Equal(ans.Addrs, c.want) || ans.Rcode != c.rcode || ans.Truncated {
					t.Errorf("%+v: %+v, %v", q, ans, err)
					continue
				}
				if ans.Msg.Question[0].Name != dns.Fqdn(c.name) || (ans.Msg.IsEdns0() != nil) != q.EDNS {
					t.Errorf("%+v: message %v", q, ans.Msg)
				}
			}
		}
	}
	qs := l.DNS.Questions()
	if len(qs) != 6*2*4 || qs[0].Name != "bOtH.eXample." || qs[2].Proto != "tcp" || qs[3].Client.Addr() != l.Uplink("vpn0").Addr4 {
		t.Errorf("questions %+v", qs)
	}
}

func TestDNSTruncates(t *testing.T) {
	l := newLab(t, Options{})
	a := newAgent(t, l, AgentOptions{})
	var many []netip.Addr
	for i := range 100 {
		many = append(many, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	l.DNS.Set("many.example", many...)
	l.DNS.Set("one.example", many[1])
	ans, err := a.Resolve(Query{Name: "many.example"})
	if err != nil || !ans.Truncated || len(ans.Addrs) == 0 || len(ans.Addrs) == 100 {
		t.Errorf("too long for UDP: %v, %v", ans, err)
	}
	l.DNS.Truncate(true)
	ans, err = a.Resolve(Query{Name: "one.example"})
	if err != nil || !ans.Truncated || len(ans.Addrs) != 0 {
		t.Errorf("truncated: %v, %v", ans, err)
	}
	ans, err = a.Resolve(Query{Name: "many.example", Proto: "tcp"})
	if err != nil || ans.Truncated || !slices.Equal(ans.Addrs, many) {
		t.Errorf("by TCP: %v, %v", ans, err)
	}
}

func TestDNSHandlers(t *testing.T) {
	l := newLab(t, Options{})
	a := newAgent(t, l, AgentOptions{})
	forged := netip.MustParseAddr("192.0.2.66")
	l.DNS.SetTTL(7)
	l.DNS.Set("Handled.example", forged)
	l.DNS.Handle("handled.EXAMPLE", func(q *dns.Msg, proto string) *dns.Msg {
		r := l.DNS.Reply(q)
		r.Rcode = dns.RcodeServerFailure
		return r
	})
	ans, err := a.Resolve(Query{Name: "handled.example"})
	if err != nil || ans.Rcode != dns.RcodeServerFailure || !slices.Equal(ans.Addrs, []netip.Addr{forged}) || ans.Msg.Answer[0].Header().Ttl != 7 {
		t.Errorf("handled: %+v, %v", ans, err)
	}
	l.DNS.HandleRaw("raw.example", func(query []byte, proto string) [][]byte {
		r := append(slices.Clone(query), 0xee)
		r[2] |= 0x80
		if proto == "udp" {
			return [][]byte{[]byte("no DNS"), r}
		}
		b := append(binary.BigEndian.AppendUint16(nil, uint16(len(r))), r...)
		return [][]byte{b[:1], b[1:20], b[20:]}
	})
	q := new(dns.Msg).SetQuestion("rAw.example.", dns.TypeA)
	b, err := q.Pack()
	check(t, err)
	s, err := a.Socket("udp4")
	check(t, err)
	check(t, s.Connect(port(l.DNS.Addr4, DNSPort)))
	check(t, s.Send(b))
	first, _, err := s.Recv()
	if err != nil || string(first) != "no DNS" {
		t.Errorf("first datagram %q, %v", first, err)
	}
	second, _, err := s.Recv()
	if err != nil || !bytes.HasSuffix(second, []byte{0xee}) || !bytes.Equal(second[12:len(b)], b[12:]) {
		t.Errorf("second datagram %x, %v", second, err)
	}
	ans, err = a.Resolve(Query{Name: "raw.example", Proto: "tcp"})
	if err != nil || ans.Msg.Question[0].Name != "raw.example." {
		t.Errorf("TCP in parts: %+v, %v", ans, err)
	}
}
