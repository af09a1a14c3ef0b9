package threats

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// questionLife is how long an answer may take, see QUESTION_LIFE in bpf/questions.h.
const questionLife = 10 * time.Second

// spoofer is a program's socket with a question outstanding, and somebody on the internet who knows all about it but
// what a test says. The lab's server never answers.
type spoofer struct {
	t      *testing.T
	h      *harness.Host
	in     *injector
	agent  *lab.Agent
	late   outstanding
	asked  time.Time // when late was
	names  int
	server netip.AddrPort
	client netip.Addr
}

// outstanding is a question that waits, and the socket it was sent from.
type outstanding struct {
	asked
	*lab.Socket
	name string
	from netip.AddrPort
}

func newSpoofer(t *testing.T, h *harness.Host) *spoofer {
	s := &spoofer{t: t, h: h, in: newInjector(t, h), agent: h.MustAgent(lab.AgentOptions{})}
	s.server, s.client = port(h.DNS.Addr4, lab.DNSPort), h.Uplink("wan0").Addr4
	s.late, s.asked = s.ask(true), time.Now()
	return s
}

// ask sends a question for a new name; unconnected sockets take datagrams from anyone.
func (s *spoofer) ask(connect bool) outstanding {
	s.t.Helper()
	s.names++
	o := outstanding{name: evilName(s.names)}
	o.asked = ask(uint16(7919*s.names), wireName(o.name), dns.TypeA, dns.ClassINET)
	s.h.DNS.HandleRaw(o.name, func([]byte, string) [][]byte { return nil })
	kind := "udp4"
	if s.server.Addr().Is6() {
		kind = "udp6"
	}
	var err error
	o.Socket, err = s.agent.Socket(kind)
	check(s.t, err)
	if connect {
		check(s.t, o.Connect(s.server))
		check(s.t, o.Send(o.query()))
	} else {
		_, err = o.SendTo(o.query(), s.server)
		check(s.t, err)
	}
	local, err := o.LocalAddr()
	check(s.t, err)
	o.from = port(s.client, local.Port())
	return o
}

// silent opens a socket that asks nothing.
func (s *spoofer) silent(o outstanding) netip.AddrPort {
	s.t.Helper()
	kind := "udp4"
	if s.server.Addr().Is6() {
		kind = "udp6"
	}
	sock, err := s.agent.Socket(kind)
	check(s.t, err)
	check(s.t, sock.Bind(port(o.from.Addr(), 0)))
	local, err := sock.LocalAddr()
	check(s.t, err)
	return local
}

// forgery is one way to guess wrong: what is sent before the true answer, and what that counts.
type forgery struct {
	what        string
	unconnected bool
	forge       func(s *spoofer, o outstanding)
	moved       counts
}

// with is the question with something else in place of one of its parts.
func (o outstanding) with(change func(q *asked)) []byte {
	q := asked{slices.Clone(o.id), slices.Clone(o.question)}
	change(&q)
	return q.answer(address(evil))
}

func (o outstanding) right() []byte { return o.answer(address(evil)) }

// wrong sends a forgery of the message; all else is right.
func wrong(change func(q *asked)) func(s *spoofer, o outstanding) {
	return func(s *spoofer, o outstanding) { s.in.udp(s.server, o.from, o.with(change)) }
}

func setType(t uint16) func(q *asked) {
	return func(q *asked) { copy(q.question[len(q.question)-4:], be16(t)) }
}

var forgeries = []forgery{
	{"transaction id off by one", false, wrong(func(q *asked) { q.id[1] ^= 1 }), unasked},
	{"transaction id with its bytes swapped", false, wrong(func(q *asked) { slices.Reverse(q.id) }), unasked},
	{"another name", false, wrong(func(q *asked) { q.question[1] = 'z' }), unasked},
	{"name in another case", false, wrong(func(q *asked) { copy(q.question, bytes.ToUpper(q.question[:3])) }), unasked},
	{"a longer name", false, wrong(func(q *asked) { q.question = append([]byte("\x01a"), q.question...) }), unasked},
	{"the parent's name", false, wrong(func(q *asked) { q.question = q.question[q.question[0]+1:] }), unasked},
	{"type AAAA", false, wrong(setType(dns.TypeAAAA)), unasked},
	{"type ANY", false, wrong(setType(dns.TypeANY)), unasked},
	{"class CH", false, wrong(func(q *asked) { q.question[len(q.question)-1] = classCH }), unasked},
	{"another server", true, func(s *spoofer, o outstanding) {
		s.in.udp(port(s.server.Addr().Next(), lab.DNSPort), o.from, o.right())
	}, unasked},
	// Neither asked nor DNS: the hook does not look at it.
	{"another port of the server", true, func(s *spoofer, o outstanding) {
		s.in.udp(port(s.server.Addr(), 5353), o.from, o.right())
	}, counts{}},
	{"to another socket that asks", false, func(s *spoofer, o outstanding) {
		s.in.udp(s.server, s.ask(false).from, o.right())
	}, unasked},
	{"to a socket that asks nothing", false, func(s *spoofer, o outstanding) {
		s.in.udp(s.server, s.silent(o), o.right())
	}, counts{"answer_not_home": 1}},
	{"to a port nobody has", false, func(s *spoofer, o outstanding) {
		s.in.udp(s.server, port(o.from.Addr(), 1), o.right())
	}, counts{}},
}

// forgeries runs all of them over both families.
func (s *spoofer) forgeries(t *testing.T) {
	wan := s.h.Uplink("wan0")
	for _, by := range []struct{ server, client netip.Addr }{{s.h.DNS.Addr4, wan.Addr4}, {s.h.DNS.Addr6, wan.Addr6}} {
		s.server, s.client = port(by.server, lab.DNSPort), by.client
		for _, f := range forgeries {
			t.Run(f.what+" from "+by.server.String(), func(t *testing.T) { s.forged(t, f) })
		}
	}
	s.server, s.client = port(s.h.DNS.Addr4, lab.DNSPort), wan.Addr4
}

// forged sends what is wrong and then what is right: only the latter is learnt. Packets of one sender keep their order,
// so the wrong one has been seen when the right one has.
func (s *spoofer) forged(t *testing.T, f forgery) {
	o := s.ask(!f.unconnected)
	v := look(s.h)
	f.forge(s, o)
	s.in.udp(s.server, o.from, o.answer(address(good)))
	eventually(t, "the true answer is learnt", func() bool { return s.h.Counters()["answers"] > v.counters["answers"] })
	want := learntOne
	for name, n := range f.moved {
		want = want.plus(name, n)
	}
	if moved := v.moved(ofAnswers...); moved.String() != want.String() {
		t.Errorf("counters: %v, want %v", moved, want)
	}
	if got := v.learntSince(); !slices.Equal(got, []string{o.name + " " + good.String()}) {
		t.Errorf("learnt %q", got)
	}
}

// everyID guesses all transaction ids but the right one, more than the socket's queue holds, and then that one.
func (s *spoofer) everyID(t *testing.T) {
	o := s.ask(true)
	v := look(s.h)
	for id := range 1 << 16 {
		if b := be16(uint16(id)); !bytes.Equal(b, o.id) {
			s.in.udp(s.server, o.from, o.with(func(q *asked) { q.id = b }))
		}
	}
	s.in.udp(s.server, o.from, o.answer(address(good)))
	want := learntOne.plus("answer_unasked", 1<<16-1)
	eventually(t, "all answers are seen", func() bool { return s.h.Counters()["answers"] > v.counters["answers"] })
	if moved := v.moved(ofAnswers...); moved.String() != want.String() {
		t.Errorf("counters: %v, want %v", moved, want)
	}
	if got := v.learntSince(); !slices.Equal(got, []string{o.name + " " + good.String()}) {
		t.Errorf("learnt %q", got)
	}
}

// twoAnswers: the first that is right in everything counts, nothing after it.
func (s *spoofer) twoAnswers(t *testing.T) {
	o := s.ask(true)
	v := look(s.h)
	s.in.udp(s.server, o.from, o.answer(address(good)))
	s.in.udp(s.server, o.from, o.right())
	eventually(t, "the second answer is seen", func() bool { return s.h.Counters()["answer_unasked"] > v.counters["answer_unasked"] })
	if moved, want := v.moved(ofAnswers...), learntOne.plus("answer_unasked", 1); moved.String() != want.String() {
		t.Errorf("counters: %v, want %v", moved, want)
	}
	if got := v.learntSince(); !slices.Equal(got, []string{o.name + " " + good.String()}) {
		t.Errorf("learnt %q", got)
	}
}

// tooLate answers what was asked at the start of all this, when the question's life is over.
func (s *spoofer) tooLate(t *testing.T) {
	v := look(s.h)
	time.Sleep(time.Until(s.asked.Add(questionLife + 100*time.Millisecond))) // what is tested is that this time has passed
	s.in.udp(port(s.h.DNS.Addr4, lab.DNSPort), s.late.from, s.late.right())
	eventually(t, "the late answer is seen", func() bool { return s.h.Counters()["answer_late"] > v.counters["answer_late"] })
	if got := v.learntSince(); len(got) > 0 {
		t.Errorf("learnt %q", got)
	}
	if moved := v.moved(ofAnswers...); moved.String() != "answer_late" {
		t.Errorf("counters: %v", moved)
	}
}
