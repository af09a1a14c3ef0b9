package threats

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// testOddQuestions: what a program asks that is no proper question is not noted, or its answer not believed, even by an
// answer that repeats it byte for byte.
func testOddQuestions(t *testing.T, s *spoofer) {
	name := wireName("odd.bank.example")
	for _, n := range []string{"odd.bank.example", "."} {
		s.h.DNS.HandleRaw(n, func([]byte, string) [][]byte { return nil })
	}
	long := labels(slices.Repeat([]string{strings.Repeat("x", 63)}, 5)...)
	plain := ask(1, name, dns.TypeA, dns.ClassINET)
	for _, c := range []struct {
		what      string
		query     []byte
		answer    []byte
		questions counts
		answers   counts
	}{
		{"name of 320 bytes", ask(2, long, dns.TypeA, dns.ClassINET).query(),
			ask(2, long, dns.TypeA, dns.ClassINET).answer(address(evil)), counts{"question_bad": 1}, badQuestion},
		{"class CH", ask(3, name, dns.TypeA, classCH).query(),
			ask(3, name, dns.TypeA, classCH).answer(address(evil)), counts{"questions": 1}, badQuestion},
		{"two questions", plain.message(flagsQuery, [4]uint16{2}, plain.question, plain.question),
			plain.answer(address(evil)), counts{"question_bad": 1}, unasked},
		{"a response", plain.answer(), plain.answer(address(evil)), counts{"question_bad": 1}, unasked},
		{"an update", plain.message(5<<11, [4]uint16{1}, plain.question), plain.answer(address(evil)), counts{"question_bad": 1}, unasked},
		{"11 bytes", plain.query()[:11], plain.answer(address(evil)), counts{"question_bad": 1}, unasked},
		{"nothing", nil, plain.answer(address(evil)), counts{}, unasked},
		{"the root", ask(4, []byte{0}, dns.TypeA, dns.ClassINET).query(),
			ask(4, []byte{0}, dns.TypeA, dns.ClassINET).answer(address(evil)), counts{"questions": 1}, counts{"answers": 1}},
		{"empty answer", plain.query(), nil, counts{"questions": 1}, short},
	} {
		sock, err := s.agent.Socket("udp4")
		check(t, err)
		check(t, sock.Connect(s.server))
		local, err := sock.LocalAddr()
		check(t, err)
		v := look(s.h)
		check(t, sock.Send(c.query))
		s.in.udp(s.server, port(s.client, local.Port()), c.answer)
		if _, _, err := sock.Recv(); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		moved, want := v.moved(append(ofAnswers, "question")...), c.answers
		for name, n := range c.questions {
			want = want.plus(name, n)
		}
		if moved.String() != want.String() {
			t.Errorf("%s: counters: %v, want %v", c.what, moved, want)
		}
		if got := v.learntSince(); len(got) > 0 {
			t.Errorf("%s: learnt %q", c.what, got)
		}
		check(t, sock.Close())
	}
}
