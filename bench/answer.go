package main

import (
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/miekg/dns"
)

// An answerKind is a shape of answer that real servers give.
type answerKind struct {
	id, what string
	zone     string // names end in it: with a rule, or without
	aliases  int    // CNAME records before the addresses
	addrs    int
}

var answerKinds = []answerKind{
	{"one", "1 address", "steered.test", 0, 1},
	{"plain", "1 address, no rule", "plain.test", 0, 1},
	{"cdn", "3 CNAMEs, 4 addresses", "steered.test", 3, 4},
	{"forty", "40 addresses", "steered.test", 0, 40},
}

// measureAnswers asks the kernel what dns_ingress takes for an answer: it ends when the addresses are learnt.
func (b *bench) measureAnswers() error {
	s, err := b.newSteeredWorld()
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.programs.attach(); err != nil {
		return err
	}
	ingress, err := s.programs.at("ingress")
	if err != nil {
		return err
	}
	if err := b.reportOtherPackets(s, ingress); err != nil {
		return err
	}
	for i, k := range answerKinds {
		if err := b.measureAnswer(s, ingress, i, k); err != nil {
			return fmt.Errorf("%s: %w", k.what, err)
		}
	}
	return nil
}

// measureAnswer asks each round for names never asked before, then for the same again.
func (b *bench) measureAnswer(s *steeredWorld, ingress *ebpf.Program, number int, k answerKind) error {
	var first, again []float64
	for round := range b.answerRounds {
		names := make([]string, b.answers)
		for i := range names {
			names[i] = fmt.Sprintf("www%d-%d.%s.%s", round, i, k.id, k.zone)
			s.serve(names[i], k.aliases, answerAddrs(number, round*len(names)+i, k.addrs))
		}
		for _, times := range []*[]float64{&first, &again} {
			ns, err := exactly(len(names), ingress, func() error {
				done, err := s.client.do(order{Op: "ask", Addr: s.resolver(), Names: names})
				if err == nil && done.Count != k.addrs*len(names) {
					err = fmt.Errorf("%d addresses came in %d answers", done.Count, len(names))
				}
				return err
			})
			if err != nil {
				return err
			}
			*times = append(*times, ns/1000)
		}
	}
	b.report.add(
		summary(row{ID: "answer." + k.id, What: "DNS answer to learnt, " + k.what + ", new", Unit: "us", Limit: atMost(5)}, first),
		summary(row{ID: "answer." + k.id + ".again", What: "DNS answer to learnt, " + k.what + ", known", Unit: "us", Limit: atMost(5)}, again),
	)
	return nil
}

// answerAddrs are n addresses that no other name has.
func answerAddrs(kind, name, n int) []netip.Addr {
	var all []netip.Addr
	for i := range n {
		x := name*n + i
		all = append(all, netip.AddrFrom4([4]byte{20, byte(kind<<3 | x>>16), byte(x >> 8), byte(x)}))
	}
	return all
}

// serve has the name server answer with CNAMEs and then the addresses.
func (w *world) serve(name string, aliases int, addrs []netip.Addr) {
	w.DNS.Handle(name, func(q *dns.Msg, _ string) *dns.Msg {
		r := w.DNS.Reply(q)
		r.Rcode, r.Answer = dns.RcodeSuccess, nil
		owner := q.Question[0].Name
		header := func(kind uint16) dns.RR_Header {
			return dns.RR_Header{Name: owner, Rrtype: kind, Class: dns.ClassINET, Ttl: 300}
		}
		for i := range aliases {
			next := fmt.Sprintf("alias%d.edge.cdn-%s", i, q.Question[0].Name)
			r.Answer = append(r.Answer, &dns.CNAME{Hdr: header(dns.TypeCNAME), Target: next})
			owner = next
		}
		for _, a := range addrs {
			r.Answer = append(r.Answer, &dns.A{Hdr: header(dns.TypeA), A: a.AsSlice()})
		}
		return r
	})
}

// reportOtherPackets tells what the kernel's statistics say of packets that are not DNS: mostly their own cost, and so
// what they add to every other figure.
func (b *bench) reportOtherPackets(s *steeredWorld, ingress *ebpf.Program) error {
	var times []float64
	for range b.answerRounds {
		var sent int
		r, err := during(ingress, func() error {
			done, err := s.client.do(order{Op: "udp", Count: b.udpBlocks})
			sent = done.Count
			return err
		})
		if err != nil {
			return err
		}
		if r.count != uint64(sent) {
			return fmt.Errorf("dns_ingress ran %d times for %d packets", r.count, sent)
		}
		times = append(times, r.ns/1000)
	}
	b.report.add(summary(row{ID: "answer.none", What: "any other packet, in the same statistics", Unit: "us"}, times))
	return nil
}
