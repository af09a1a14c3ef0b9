package threats

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// unusual is an answer that looks odd and must be learnt: a parser that refuses too much fails here.
type unusual struct {
	what   string
	name   string
	answer func(q asked) []byte
	learnt []netip.Addr
	moved  counts
}

func many(n int) []netip.Addr {
	var list []netip.Addr
	for i := range n {
		list = append(list, netip.AddrFrom4([4]byte{198, 18, 1, byte(i)}))
	}
	return list
}

func answerAll(list []netip.Addr) func(q asked) []byte {
	return func(q asked) []byte {
		var records [][]byte
		for _, a := range list {
			records = append(records, address(a))
		}
		return q.answer(records...)
	}
}

func unusualAnswers() []unusual {
	one := []netip.Addr{good}
	return []unusual{
		{"uncompressed chain of 6 aliases", "chain.bank.example", func(q asked) []byte {
			owner, records := q.name(), [][]byte{}
			for i := range 6 {
				next := wireName(fmt.Sprintf("alias%d.provider%d.example", i, i))
				records = append(records, record(owner, dns.TypeCNAME, 60, next))
				owner = next
			}
			return q.answer(append(records, record(owner, dns.TypeA, 60, good.AsSlice()))...)
		}, one, learntOne},
		{"name of 127 labels", strings.Repeat("a.", 126) + "a", answerAll(one), one, learntOne},
		{"owner of 127 labels", "owner.bank.example", func(q asked) []byte {
			return q.answer(record(labels(slices.Repeat([]string{"b"}, 127)...), dns.TypeA, 60, good.AsSlice()))
		}, one, learntOne},
		{"name of 255 bytes", strings.Repeat(strings.Repeat("x", 49)+".", 4) + strings.Repeat("y", 40) + ".bank.example",
			answerAll(one), one, learntOne},
		{"mixed case", "MiXed.BaNk.eXamPle", answerAll(one), one, learntOne},
		{"40 addresses", "forty.bank.example", answerAll(many(40)), many(40), counts{"answers": 1, "learnt": 40}},
		{"signature of 300 bytes before the address", "signed.bank.example", func(q asked) []byte {
			return q.answer(record(toQuestion, dns.TypeRRSIG, 60, bytes.Repeat([]byte{0xc0}, 300)), address(good))
		}, one, learntOne},
		{"truncated, with an address", "truncated.bank.example", withGood(flagsResponse | 0x0200), one, learntOne},
		{"authenticated data, checking disabled", "secure.bank.example", withGood(flagsResponse | 0x0030), one, learntOne},
		{"bytes behind the message", "longer.bank.example", func(q asked) []byte {
			return append(q.answer(address(good)), bytes.Repeat([]byte{0xff}, 64)...)
		}, one, learntOne},
		{"broken authority section", "authority.bank.example", func(q asked) []byte {
			return q.message(flagsResponse, [4]uint16{1, 1, 1, 0}, q.question, address(good), pointer(0x3fff))
		}, one, learntOne},
	}
}

func withGood(flags uint16) func(q asked) []byte {
	return func(q asked) []byte {
		return q.message(flags, [4]uint16{1, 1}, q.question, address(good))
	}
}

func testUnusual(t *testing.T, h *harness.Host) {
	h.Must("rule", "add", "a.a", "vpn0")
	a := h.MustAgent(lab.AgentOptions{})
	v := look(h)
	for _, u := range unusualAnswers() {
		t.Run(u.what, func(t *testing.T) {
			for _, proto := range []string{"tcp", "udp"} {
				h.DNS.HandleRaw(u.name, func(query []byte, proto string) [][]byte {
					b := u.answer(readQuery(query))
					if proto == "tcp" {
						b = framed(b)
					}
					return [][]byte{b}
				})
				r := row{moved: u.moved}
				if proto == "tcp" { // the second time there is nothing new
					r.learnt = u.learnt
				}
				expectRow(t, v, r, strings.ToLower(u.name), func() {
					_, err := a.Resolve(lab.Query{Name: u.name, Proto: proto, Server: port(h.DNS.Addr6, lab.DNSPort)})
					if errors.Is(err, lab.ErrTimeout) {
						t.Error("the answer did not arrive")
					}
				})
			}
		})
	}
	for _, l := range h.Learnt() {
		if l.Target != "vpn0" {
			t.Errorf("%s has rule %q and target %q", l.Name, l.Rule, l.Target)
		}
	}
}

// A datagram of 6,000 bytes comes in fragments and is put together before the hook.
func testHuge(t *testing.T, h *harness.Host) {
	a := h.MustAgent(lab.AgentOptions{})
	v := look(h)
	text := record(toQuestion, dns.TypeTXT, 60, bytes.Repeat([]byte{0xc0}, 5000))
	for _, c := range []struct {
		name   string
		answer func(q asked) []byte
		learnt []netip.Addr
		moved  counts
	}{
		{"cut-bytes.bank.example", func(q asked) []byte { return q.answer(address(good), text, address(evil)) },
			[]netip.Addr{good}, learntOne.plus("answer_cut_bytes", 1)},
		{"cut-records.bank.example", answerAll(many(100)), many(64),
			counts{"answers": 1, "learnt": 64, "answer_cut_records": 1}},
	} {
		h.DNS.HandleRaw(c.name, func(query []byte, _ string) [][]byte { return [][]byte{c.answer(readQuery(query))} })
		expectRow(t, v, row{moved: c.moved, learnt: c.learnt}, c.name, func() {
			if _, err := a.Resolve(lab.Query{Name: c.name}); errors.Is(err, lab.ErrTimeout) {
				t.Error("the answer did not arrive")
			}
		})
	}
}
