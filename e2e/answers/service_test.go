package answers

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/internal/lab"
)

// serviceRecord is an HTTPS or SVCB record (RFC 9460) with these address hints.
func serviceRecord(q dns.Question, priority uint16, target string, hints ...netip.Addr) dns.RR {
	s := dns.SVCB{
		Hdr:      dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: ttl},
		Priority: priority, Target: target,
		Value: []dns.SVCBKeyValue{&dns.SVCBAlpn{Alpn: []string{"h3", "h2"}}, &dns.SVCBPort{Port: 443}},
	}
	v4, v6 := &dns.SVCBIPv4Hint{}, &dns.SVCBIPv6Hint{}
	for _, a := range hints {
		if a.Is4() {
			v4.Hint = append(v4.Hint, net.IP(a.AsSlice()))
		} else {
			v6.Hint = append(v6.Hint, net.IP(a.AsSlice()))
		}
	}
	if len(v4.Hint) > 0 {
		s.Value = append(s.Value, v4)
	}
	s.Value = append(s.Value, &dns.SVCBECHConfig{ECH: slices.Repeat([]byte{0xc0}, 60)})
	if len(v6.Hint) > 0 {
		s.Value = append(s.Value, v6)
	}
	if q.Qtype == dns.TypeHTTPS {
		return &dns.HTTPS{SVCB: s}
	}
	return &s
}

// TestServiceHints: a program that asks for HTTPS or SVCB alone, and connects to a hint: it is learnt under the name of the
// question, whatever name the record leads to, and the connection is steered.
func TestServiceHints(t *testing.T) {
	w := newWorld(t)
	want := learnt{}
	for _, qtype := range []uint16{dns.TypeHTTPS, dns.TypeSVCB} {
		for _, target := range []string{".", "svc.provider.example.net."} {
			for _, domain := range []string{ruled, unruled} {
				for _, way := range ways(w) {
					name := unique() + "." + domain
					addrs := append(w.addrs(2, dns.TypeA), w.addrs(2, dns.TypeAAAA)...)
					w.DNS.Handle(name, func(query *dns.Msg, _ string) *dns.Msg {
						r := w.DNS.Reply(query)
						r.Rcode = dns.RcodeSuccess
						r.Answer = []dns.RR{
							serviceRecord(query.Question[0], 1, target, addrs[0], addrs[2]),
							serviceRecord(query.Question[0], 2, target, addrs[1], addrs[3]),
						}
						return r
					})
					q := way.query
					q.Name, q.Type, q.EDNS = name, qtype, true
					if ans, err := w.asker.Resolve(q); err != nil || len(ans.Msg.Answer) != 2 {
						t.Fatalf("%s: answer %v, %v", name, ans.Msg, err)
					}
					for _, a := range addrs {
						want[a] = name
						w.arrives(t, w.asker, a, domain == ruled, fmt.Sprintf("%s, %s to %s, %s", way.name, dns.TypeToString[qtype], target, domain))
					}
				}
			}
		}
	}
	w.learntOnly(t, want)
}

// TestServiceWithout: an alias has no hints that count, other sections are not looked at, and a record that is none is
// counted and leaves the others alone.
func TestServiceWithout(t *testing.T) {
	w := newWorld(t)
	name, addrs := unique()+"."+ruled, w.addrs(4, dns.TypeA)
	w.DNS.Handle(name, func(query *dns.Msg, _ string) *dns.Msg {
		r, q := w.DNS.Reply(query), query.Question[0]
		r.Rcode = dns.RcodeSuccess
		broken := &dns.RFC3597{Hdr: dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: ttl},
			Rdata: fmt.Sprintf("0001"+"00"+"0004"+"0005"+"%x00", addrs[2].As4())} // five bytes are no IPv4 addresses
		r.Answer = []dns.RR{serviceRecord(q, 0, "alias."+ruled+".", addrs[1]), broken, serviceRecord(q, 1, ".", addrs[0])}
		r.Ns = []dns.RR{serviceRecord(q, 1, ".", addrs[3])}
		r.Extra = append(r.Extra, serviceRecord(q, 1, ".", addrs[3]))
		return r
	})
	before := w.Counters()["record_bad"]
	if _, err := w.asker.Resolve(lab.Query{Name: name, Type: dns.TypeHTTPS, EDNS: true}); err == nil {
		t.Error("package dns read the broken record: the test tests little")
	}
	for i, a := range addrs {
		w.arrives(t, w.asker, a, i == 0, fmt.Sprintf("hint %d", i))
	}
	if n := w.Counters()["record_bad"] - before; n != 1 {
		t.Errorf("%d records counted as bad", n)
	}
	w.learntOnly(t, learnt{addrs[0]: name})
}

// TestServiceCut: of an answer that goes on in a second segment those service records are learnt that came whole.
func TestServiceCut(t *testing.T) {
	w := newWorld(t)
	for _, cut := range []struct {
		at    int // bytes before the second record's end
		whole int // records
	}{{0, 2}, {1, 1}, {16, 1}, {40, 1}} {
		name, addrs := unique()+"."+ruled, w.addrs(3, dns.TypeAAAA)
		w.DNS.HandleRaw(name, func(query []byte, _ string) [][]byte {
			q := new(dns.Msg)
			if q.Unpack(query) != nil {
				return nil
			}
			r := w.DNS.Reply(q)
			r.Rcode = dns.RcodeSuccess
			r.Extra = nil
			for i := range addrs[:2] {
				r.Answer = append(r.Answer, serviceRecord(q.Question[0], uint16(i+1), ".", addrs[i]))
			}
			place, err := r.Pack()
			if err != nil {
				return nil
			}
			r.Answer = append(r.Answer, serviceRecord(q.Question[0], 3, ".", addrs[2]))
			b, err := r.Pack()
			if err != nil {
				return nil
			}
			return split(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...), []int{2 + len(place) - cut.at})
		})
		if _, err := w.asker.Resolve(lab.Query{Name: name, Type: dns.TypeHTTPS, Proto: "tcp"}); err != nil {
			t.Fatal(err)
		}
		for i, a := range addrs {
			w.arrives(t, w.asker, a, i < cut.whole, fmt.Sprintf("cut %d bytes before the end, record %d", cut.at, i))
		}
	}
}

// TestLongerThanASegment: an answer of several packets' length teaches what its first segment shows, and it is counted
// that there was more.
func TestLongerThanASegment(t *testing.T) {
	w := newWorld(t)
	r := w.makeReply(60, dns.TypeAAAA)
	r.cuts = []int{1400}
	before := w.Counters()["answer_cut_segment"]
	ans, err := w.asker.Resolve(lab.Query{Name: r.name, Type: dns.TypeAAAA, Proto: "tcp"})
	if err != nil || !slices.Equal(ans.Addrs, r.addrs) {
		t.Fatalf("answer %v, %v", ans.Msg, err)
	}
	complete := r.complete()
	if complete < 40 || complete > 55 || r.end() < 1500 {
		t.Errorf("%d of %d addresses in the first segment of %d bytes: the test tests little", complete, len(r.addrs), r.end())
	}
	for i, a := range r.addrs {
		w.arrives(t, w.asker, a, i < complete, fmt.Sprintf("address %d", i))
	}
	if n := w.Counters()["answer_cut_segment"] - before; n != 1 {
		t.Errorf("counted %d times", n)
	}
}
