package answers

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/internal/lab"
)

// conversation is a TCP connection of the asker's to the name server.
type conversation struct {
	*lab.Socket
	unread []byte
}

func (w *world) converse(t *testing.T) *conversation {
	t.Helper()
	s, err := w.asker.Socket("tcp4")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Connect(netip.AddrPortFrom(w.DNS.Addr4, lab.DNSPort)); err != nil {
		t.Fatal(err)
	}
	return &conversation{Socket: s}
}

// question is the wire form of a question for A, behind its length.
func question(t *testing.T, name string) []byte {
	t.Helper()
	b, err := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func (c *conversation) send(t *testing.T, parts ...[]byte) {
	t.Helper()
	for _, part := range parts {
		if err := c.Send(part); err != nil {
			t.Fatal(err)
		}
	}
}

// receive waits for one whole message.
func (c *conversation) receive(t *testing.T) {
	t.Helper()
	for len(c.unread) < 2 || len(c.unread) < 2+int(binary.BigEndian.Uint16(c.unread)) {
		b, _, err := c.Recv()
		if err != nil || len(b) == 0 {
			t.Fatalf("the answer ends after %d bytes: %v", len(c.unread), err)
		}
		c.unread = append(c.unread, b...)
	}
	c.unread = c.unread[2+int(binary.BigEndian.Uint16(c.unread)):]
}

// all checks that each address of the replies is steered.
func (w *world) all(t *testing.T, replies ...*reply) {
	t.Helper()
	for i, r := range replies {
		for _, a := range r.addrs {
			w.arrives(t, w.asker, a, true, fmt.Sprintf("reply %d, cut at %d", i, r.cuts))
		}
	}
}

// TestConversation: several questions over one connection, as libc and browsers ask them. However an answer was cut,
// the next one that comes whole is learnt; so it is if the questions went together.
func TestConversation(t *testing.T) {
	w := newWorld(t)
	for what, cuts := range map[string]func(*reply) []int{
		"whole":                       func(*reply) []int { return nil },
		"length alone":                func(*reply) []int { return []int{2} },
		"half the length alone":       func(*reply) []int { return []int{1} },
		"length by halves":            func(*reply) []int { return []int{1, 2} },
		"length alone, rest in two":   func(r *reply) []int { return []int{2, r.record(1)} },
		"length alone, rest in three": func(r *reply) []int { return []int{2, 20, r.record(1)} },
		"inside the header":           func(*reply) []int { return []int{9} },
		"inside the question":         func(*reply) []int { return []int{23} },
		"between records":             func(r *reply) []int { return []int{r.record(1)} },
		"in four":                     func(r *reply) []int { return []int{r.head(), r.record(1), r.record(2)} },
		"before the last byte":        func(r *reply) []int { return []int{r.end() - 1} },
		"every byte":                  func(r *reply) []int { return upTo(r.end()) },
	} {
		for _, together := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, together %t", what, together), func(t *testing.T) {
				c, first, second, third := w.converse(t), w.makeReply(3, dns.TypeA), w.makeReply(2, dns.TypeA), w.makeReply(1, dns.TypeA)
				first.cuts = cuts(first)
				if together {
					c.send(t, append(question(t, first.name), question(t, second.name)...))
					c.receive(t)
				} else {
					c.send(t, question(t, first.name))
					c.receive(t)
					c.send(t, question(t, second.name))
				}
				c.receive(t)
				c.send(t, question(t, third.name))
				c.receive(t)
				w.all(t, second, third)
			})
		}
	}
}

func upTo(end int) []int {
	var places []int
	for i := 1; i < end; i++ {
		places = append(places, i)
	}
	return places
}

// TestQuestionParts: how the question comes in segments.
func TestQuestionParts(t *testing.T) {
	w := newWorld(t)
	r := w.makeReply(1, dns.TypeA)
	q := question(t, r.name)
	c := w.converse(t)
	c.send(t, q[:2], q[2:])
	c.receive(t)
	w.all(t, r)

	before, second := w.makeReply(1, dns.TypeA), w.makeReply(1, dns.TypeA)
	first := question(t, before.name)
	c.send(t, first[:2], append(first[2:], question(t, second.name)...))
	c.receive(t)
	c.receive(t)
	w.all(t, before, second)
}

// TestManyInOneSegment: up to eight answers in one segment are learnt, and what is more is counted.
func TestManyInOneSegment(t *testing.T) {
	w := newWorld(t)
	for _, n := range []int{2, 8, 10} {
		var replies []*reply
		var questions [][]byte
		var answers []byte
		for i := range n {
			r := w.makeReply(1, dns.TypeA)
			w.DNS.HandleRaw(r.name, func(query []byte, _ string) [][]byte {
				answers = append(answers, w.framed(query)...)
				if i < n-1 {
					return nil
				}
				return [][]byte{answers}
			})
			replies = append(replies, r)
			questions = append(questions, question(t, r.name))
		}
		before := w.Counters()["answer_cut_messages"]
		c := w.converse(t)
		c.send(t, questions...)
		for range n {
			c.receive(t)
		}
		w.all(t, replies[:min(n, 8)]...)
		if got := w.Counters()["answer_cut_messages"] - before; (got > 0) != (n > 8) {
			t.Errorf("%d answers in one segment: answer_cut_messages rose by %d", n, got)
		}
	}
}
