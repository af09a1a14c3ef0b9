package threats

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/internal/lab"
)

// stream is a DNS connection with a question outstanding. The server never answers.
type stream struct {
	outstanding
	server     netip.AddrPort
	next, ackd uint32 // the server's next sequence number, and what it has received
}

func (s *spoofer) askTCP(t *testing.T, tp *tap, server, client netip.Addr) stream {
	t.Helper()
	s.names++
	st := stream{server: port(server, lab.DNSPort)}
	st.name = evilName(s.names)
	st.asked = ask(uint16(7919*s.names), wireName(st.name), dns.TypeA, dns.ClassINET)
	s.h.DNS.HandleRaw(st.name, func([]byte, string) [][]byte { return nil })
	var err error
	st.Socket, err = s.agent.Socket("tcp" + map[bool]string{true: "4", false: "6"}[server.Is4()])
	check(t, err)
	check(t, st.Connect(st.server))
	check(t, st.Send(framed(st.query())))
	local, err := st.LocalAddr()
	check(t, err)
	st.from = port(client, local.Port())
	st.ackd, st.next = tp.segment(st.from)
	return st
}

// testSequence injects segments that are right in everything, id and question included, but their sequence numbers:
// inside the window and outside. The kernel would take none of them for the answer, but the hook sees them all.
func testSequence(t *testing.T, s *spoofer) {
	wan := s.h.Uplink("wan0")
	tp := newTap(t, s.h)
	for _, by := range []struct{ server, client netip.Addr }{{s.h.DNS.Addr4, wan.Addr4}, {s.h.DNS.Addr6, wan.Addr6}} {
		st := s.askTCP(t, tp, by.server, by.client)
		v := look(s.h)
		// Not what starts before and ends behind: of that the kernel takes the end.
		offsets := []uint32{1, 2, 100, 4000, 1 << 20, 1 << 31, ^uint32(0) - 1000}
		for _, off := range offsets {
			s.in.tcp(st.server, st.from, st.next+off, st.ackd, framed(st.right()))
		}
		// What is right is learnt: the test would see the others too.
		s.in.tcp(st.server, st.from, st.next, st.ackd, framed(st.answer(address(good))))
		eventually(t, "the true answer is learnt", func() bool { return s.h.Counters()["answers"] > v.counters["answers"] })
		want := learntOne.plus("answer_sequence", uint64(len(offsets)))
		if moved := v.moved(ofAnswers...); moved.String() != want.String() {
			t.Errorf("from %v: counters: %v, want %v", st.server, moved, want)
		}
		if got := v.learntSince(); !slices.Equal(got, []string{st.name + " " + good.String()}) {
			t.Errorf("from %v: learnt %q", st.server, got)
		}
	}
}

// testChecksum documents T3: the kernel looks at the checksum of a datagram of 76 bytes at most before the hook, at a
// longer one's after it. So a longer one is learnt although no program gets it. That takes the transaction id, the port
// and the question, as with a right checksum: it opens no door.
func testChecksum(t *testing.T, s *spoofer) {
	for _, c := range []struct {
		what  string
		extra int
		moved counts
	}{
		{"short", 0, learntOne},
		{"long", 100, learntOne.plus("answer_unasked", 1)},
	} {
		o := s.ask(true)
		v := look(s.h)
		padded := append(o.answer(address(evil)), make([]byte, c.extra)...)
		s.in.udpBadSum(s.server, o.from, padded)
		s.in.udp(s.server, o.from, o.answer(address(good)))
		if b, _, err := o.Recv(); err != nil || !slices.Equal(b, o.answer(address(good))) {
			t.Errorf("%s: the program got %x, %v; want the true answer only", c.what, b, err)
		}
		if moved := v.moved(ofAnswers...); moved.String() != c.moved.String() {
			t.Errorf("%s: counters: %v, want %v", c.what, moved, c.moved)
		}
		want := good
		if c.extra > 0 {
			want = evil
		}
		if got := v.learntSince(); !slices.Equal(got, []string{o.name + " " + want.String()}) {
			t.Errorf("%s: learnt %q", c.what, got)
		}
	}
}
