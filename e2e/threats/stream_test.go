package threats

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// streams are row 19 over TCP: each element of what is sent is a segment of its own. No outcome (nil) means whatever
// the bytes are taken for, as long as nothing is learnt.
var streams = []struct {
	what   string
	send   func(q asked) [][]byte
	moved  counts
	learnt []netip.Addr
}{
	{"length 0, then a message", func(q asked) [][]byte {
		return [][]byte{join(be16(0), framed(q.answer(address(good))))}
	}, learntOne.plus("answer_short", 1), []netip.Addr{good}},
	{"length 0 alone, then a message", func(q asked) [][]byte {
		return [][]byte{be16(0), framed(q.answer(address(good)))}
	}, learntOne.plus("answer_short", 1), []netip.Addr{good}},
	{"length 11", func(q asked) [][]byte {
		return [][]byte{join(be16(11), q.answer(address(evil)))}
	}, nil, nil},
	{"length one less than the message", func(q asked) [][]byte {
		b := framed(q.answer(address(good), address(evil)))
		b[1]--
		return [][]byte{b}
	}, malformed, nil},
	{"length of a question alone", func(q asked) [][]byte {
		b := q.answer(address(evil))
		return [][]byte{join(be16(uint16(q.end())), b)}
	}, malformed.plus("answer_short", 1), nil}, // the record is taken for the next message
	{"length in two segments", func(q asked) [][]byte {
		b := framed(q.answer(address(good)))
		return [][]byte{b[:1], b[1:]}
	}, learntOne, []netip.Addr{good}},
	{"length in two segments, of a long message", func(q asked) [][]byte {
		b := framed(answerAll(many(40))(q))
		return [][]byte{b[:1], b[1:]}
	}, counts{"answers": 1, "learnt": 40}, many(40)},
	{"length in two segments, and the message in a third", func(q asked) [][]byte {
		b := framed(q.answer(address(good)))
		return [][]byte{b[:1], b[1:2], b[2:]}
	}, learntOne, []netip.Addr{good}},
	{"half a length, and no more", func(q asked) [][]byte {
		return [][]byte{framed(q.answer(address(evil)))[:1]}
	}, counts{}, nil},
	{"length in a segment of its own", func(q asked) [][]byte {
		b := framed(q.answer(address(good)))
		return [][]byte{b[:2], b[2:]}
	}, learntOne, []netip.Addr{good}},
	{"message longer than its segment", func(q asked) [][]byte {
		b := framed(q.answer(address(good), address(evil)))
		return [][]byte{b[:len(b)-1], b[len(b)-1:]}
	}, learntOne.plus("answer_cut_segment", 1), []netip.Addr{good}},
	{"length beyond all that comes", func(q asked) [][]byte {
		return [][]byte{join(be16(0xffff), q.answer(address(good)))}
	}, learntOne, []netip.Addr{good}},
	{"cut within the question", func(q asked) [][]byte {
		b := framed(q.answer(address(evil)))
		return [][]byte{b[:20], b[20:]}
	}, badQuestion, nil},
	{"one byte at a time", func(q asked) [][]byte {
		var parts [][]byte
		for _, c := range framed(q.answer(address(evil))) {
			parts = append(parts, []byte{c})
		}
		return parts
	}, nil, nil},
}

func testMalformedStream(t *testing.T, h *harness.Host) {
	a := h.MustAgent(lab.AgentOptions{})
	v := look(h)
	for i, c := range streams {
		t.Run(c.what, func(t *testing.T) {
			name := fmt.Sprintf("stream%d.bank.example", i)
			var total int
			h.DNS.HandleRaw(name, func(query []byte, _ string) [][]byte {
				return c.send(readQuery(query))
			})
			q := ask(uint16(i), wireName(name), dns.TypeA, dns.ClassINET)
			for _, part := range c.send(q) {
				total += len(part)
			}
			if c.moved != nil {
				expectRow(t, v, row{moved: c.moved, learnt: c.learnt}, name, func() { exchange(t, a, h, q, total) })
				return
			}
			exchange(t, a, h, q, total)
			if moved := v.moved("answers", "learnt"); len(moved) > 0 {
				t.Errorf("counters: %v", moved)
			}
			if got := v.learntSince(); len(got) > 0 {
				t.Errorf("learnt %q", got)
			}
		})
	}
}

// exchange asks over TCP and waits until all of the answer has come.
func exchange(t *testing.T, a *lab.Agent, h *harness.Host, q asked, total int) {
	t.Helper()
	s, err := a.Socket("tcp4")
	check(t, err)
	check(t, s.Connect(port(h.DNS.Addr4, lab.DNSPort)))
	check(t, s.Send(framed(q.query())))
	for got := 0; got < total; {
		b, _, err := s.Recv()
		if err != nil || len(b) == 0 {
			t.Fatalf("%d of %d bytes, then %v", got, total, err)
		}
		got += len(b)
	}
	check(t, s.Close())
}
