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

// What the answers below hold. Nothing is served there: only what is learnt counts.
var (
	good = netip.MustParseAddr("192.0.2.1")
	evil = netip.MustParseAddr("192.0.2.66")
)

// Outcomes: the counters that an answer moves.
var (
	malformed   = counts{"answer_malformed": 1}
	badQuestion = counts{"answer_bad_question": 1}
	badHeader   = counts{"answer_bad_header": 1}
	unasked     = counts{"answer_unasked": 1}
	badRcode    = counts{"answer_rcode": 1}
	short       = counts{"answer_short": 1}
	empty       = counts{"answer_empty": 1}
	learntOne   = counts{"answers": 1, "learnt": 1}
)

// plus adds to an outcome.
func (c counts) plus(name string, n uint64) counts {
	sum := counts{name: n}
	for k, v := range c {
		sum[k] += v
	}
	return sum
}

// row is one answer to a question for a name of its own, under a rule.
type row struct {
	what   string
	answer func(q asked) []byte
	moved  counts
	learnt []netip.Addr
}

// malformedRows is the list "Malformed answers" of the threat model. Every row that must not be learnt holds an address
// that would be, if the defence in its counter's name were not there.
func malformedRows() []row {
	return slices.Concat(questionRows, ownerRows, lengthRows(), countRows, headerRows, sectionRows, shortRows, ttlRows)
}

// Rows 1, 5, 6, 7 and 17 in the question: only the bytes that were sent are the question.
var questionRows = []row{
	{"1 question is a pointer to itself", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{1, 1}, pointer(12), be16(dns.TypeA), be16(dns.ClassINET), address(evil))
	}, badQuestion, nil},
	{"5 label of 0x41 bytes in the question", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{1, 1}, []byte{0x41}, bytes.Repeat([]byte("x"), 0x41), q.question, address(evil))
	}, badQuestion, nil},
	{"6 question's label goes past the end", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{1, 1}, []byte{63}, []byte("short"))
	}, badQuestion, nil},
	{"6 question's name has no end", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{1, 1}, bytes.TrimSuffix(q.name(), []byte{0}))
	}, badQuestion, nil},
	{"6 question ends with its name", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{1, 1}, q.name())
	}, badQuestion, nil},
	{"7 question of 320 bytes", func(q asked) []byte {
		long := labels(slices.Repeat([]string{strings.Repeat("x", 63)}, 5)...)
		return q.message(flagsResponse, [4]uint16{1, 1}, long, q.question[len(q.name()):], address(evil))
	}, badQuestion, nil},
	{"17 question of class CH", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{1, 1}, q.name(), be16(dns.TypeA), be16(classCH), address(evil))
	}, unasked, nil},
}

// ownedBy is an answer whose record has this owner name.
func ownedBy(owner func(q asked) []byte) func(q asked) []byte {
	return func(q asked) []byte {
		return q.answer(address(good), record(owner(q), dns.TypeA, 60, evil.AsSlice()))
	}
}

// second is where the second record of such an answer starts.
func second(q asked) int { return q.end() + len(address(good)) }

// Rows 2 to 7 in an owner name. A good record stands before, and is not believed either.
var ownerRows = []row{
	{"2 loop of two pointers", func(q asked) []byte {
		return q.answer(
			record(pointer(q.end()+16), dns.TypeA, 60, good.AsSlice()),
			record(pointer(q.end()), dns.TypeA, 60, evil.AsSlice()))
	}, malformed, nil},
	{"3 label and pointer back to it", ownedBy(func(q asked) []byte {
		return join([]byte("\x01a"), pointer(second(q)))
	}), malformed, nil},
	{"4 pointer to itself", ownedBy(func(q asked) []byte { return pointer(second(q)) }), malformed, nil},
	{"4 pointer forward", ownedBy(func(q asked) []byte { return pointer(second(q) + 2) }), malformed, nil},
	{"4 pointer out of the message", ownedBy(func(asked) []byte { return pointer(0x3fff) }), malformed, nil},
	{"4 pointer to the header", ownedBy(func(asked) []byte { return pointer(0) }), malformed, nil},
	{"4 pointer to the header's last byte", ownedBy(func(asked) []byte { return pointer(11) }), malformed, nil},
	{"4 half a pointer at the end", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{1, 2}, q.question, address(evil), []byte{0xc0})
	}, malformed, nil},
	{"5 label of 0x41 bytes", ownedBy(func(asked) []byte {
		return labels(strings.Repeat("x", 0x41))
	}), malformed, nil},
	{"5 label of 0xbf bytes", ownedBy(func(asked) []byte {
		return labels(strings.Repeat("x", 0xbf))
	}), malformed, nil},
	{"6 label goes past the end", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{1, 2}, q.question, address(evil), []byte("\x3fshort"))
	}, malformed, nil},
	{"6 no end", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{1, 2}, q.question, address(evil), []byte("\x05short"))
	}, malformed, nil},
	{"7 owner of 320 bytes", ownedBy(func(asked) []byte {
		return labels(slices.Repeat([]string{strings.Repeat("x", 63)}, 5)...)
	}), malformed, nil},
}

// Rows 10 and 11: lengths of record data.
func lengthRows() []row {
	odd := func(typ uint16, n int) func(q asked) []byte {
		return func(q asked) []byte {
			return q.answer(record(toQuestion, typ, 60, bytes.Repeat([]byte{192}, n)), address(good))
		}
	}
	lying := func(length uint16) func(q asked) []byte {
		return func(q asked) []byte {
			return q.answer(address(good), rawRecord(toQuestion, dns.TypeA, dns.ClassINET, 60, length, evil.AsSlice()))
		}
	}
	skipped := learntOne.plus("record_bad", 1)
	return []row{
		{"10 A of 5 bytes, then a good one", odd(dns.TypeA, 5), skipped, []netip.Addr{good}},
		{"10 A of 3 bytes, then a good one", odd(dns.TypeA, 3), skipped, []netip.Addr{good}},
		{"10 A of 0 bytes, then a good one", odd(dns.TypeA, 0), skipped, []netip.Addr{good}},
		{"10 A of 16 bytes, then a good one", odd(dns.TypeA, 16), skipped, []netip.Addr{good}},
		{"10 AAAA of 4 bytes, then a good one", odd(dns.TypeAAAA, 4), skipped, []netip.Addr{good}},
		{"10 AAAA of 17 bytes, then a good one", odd(dns.TypeAAAA, 17), skipped, []netip.Addr{good}},
		{"11 length goes past the end by one", lying(5), malformed, nil},
		{"11 length 0xffff", lying(0xffff), malformed, nil},
		{"11 length 0xfff4, which wraps in 16 bits", lying(0xfff4), malformed, nil},
		{"11 message ends within a record's fixed part", func(q asked) []byte {
			return q.message(flagsResponse, [4]uint16{1, 2}, q.question, address(evil), address(evil)[:11])
		}, malformed, nil},
	}
}

// Rows 12 to 14.
var countRows = []row{
	{"12 65535 answers announced, one there", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{1, 65535}, q.question, address(evil))
	}, malformed, nil},
	{"12 65535 answers announced, 70 there", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{1, 65535}, q.question, bytes.Repeat(address(good), 70))
	}, counts{"answers": 1, "learnt": 64, "answer_cut_records": 1}, []netip.Addr{good}},
	{"13 no question announced, but one there", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{0, 1}, q.question, address(evil))
	}, badHeader, nil},
	{"13 no question, the answer looks like it", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{0, 1}, record(q.name(), dns.TypeA, 60, evil.AsSlice()))
	}, badHeader, nil},
	{"13 no question, the answer's owner is a pointer", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{0, 1}, address(evil))
	}, badQuestion, nil},
	{"14 two questions", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{2, 1}, q.question, q.question, address(evil))
	}, badHeader, nil},
	{"14 257 questions", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{257, 1}, q.question, address(evil))
	}, badHeader, nil},
}

// withFlags is a well-formed answer but for its flags.
func withFlags(flags uint16) func(q asked) []byte {
	return func(q asked) []byte {
		return q.message(flags, [4]uint16{1, 1}, q.question, address(evil))
	}
}

// Rows 15 and 16.
var headerRows = []row{
	{"15 not a response", withFlags(flagsQuery), badHeader, nil},
	{"15 opcode UPDATE", withFlags(flagsResponse | 5<<11), badHeader, nil},
	{"15 opcode IQUERY", withFlags(flagsResponse | 1<<11), badHeader, nil},
	{"16 SERVFAIL with an address", withFlags(flagsResponse | dns.RcodeServerFailure), badRcode, nil},
	{"16 NXDOMAIN with an address", withFlags(flagsResponse | dns.RcodeNameError), badRcode, nil},
	{"16 REFUSED with an address", withFlags(flagsResponse | dns.RcodeRefused), badRcode, nil},
}

// Rows 17, 18 and 20: what is in which section.
var sectionRows = []row{
	{"17 record of class CH", func(q asked) []byte {
		return q.answer(rawRecord(toQuestion, dns.TypeA, classCH, 60, 4, evil.AsSlice()))
	}, empty, nil},
	{"18 address in the additional section only", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{1, 0, 0, 1}, q.question, address(evil))
	}, empty, nil},
	{"18 address in the authority section only", func(q asked) []byte {
		return q.message(flagsResponse, [4]uint16{1, 0, 1, 0}, q.question, address(evil))
	}, empty, nil},
	{"18 alias answered, address in the additional section", func(q asked) []byte {
		alias := record(toQuestion, dns.TypeCNAME, 60, wireName("alias.example"))
		return q.message(flagsResponse, [4]uint16{1, 1, 0, 1}, q.question, alias,
			record(wireName("alias.example"), dns.TypeA, 60, evil.AsSlice()))
	}, empty, nil},
	// Owner names are never read: the address counts for the name that was asked, and the server that was asked
	// could have said so openly. What matters is that no name of its choice gets an entry.
	{"18 address of an unrelated owner", func(q asked) []byte {
		return q.answer(record(wireName("unrelated.bank.example"), dns.TypeA, 60, good.AsSlice()))
	}, learntOne, []netip.Addr{good}},
	{"4 pointer back into the middle of a name", ownedBy(func(asked) []byte { return pointer(14) }),
		counts{"answers": 1, "learnt": 2}, []netip.Addr{good, evil}},
	{"20 loop of aliases", func(q asked) []byte {
		return q.answer(record(toQuestion, dns.TypeCNAME, 60, toQuestion))
	}, empty, nil},
	{"20 OPT among the answers", func(q asked) []byte {
		return q.answer(rawRecord([]byte{0}, dns.TypeOPT, 1232, 0, 4, []byte{0, 10, 0, 0}), address(good))
	}, learntOne, []netip.Addr{good}},
}

// Row 19, as far as it goes for a datagram and a framed message alike.
var shortRows = []row{
	{"19 one byte", func(q asked) []byte { return q.id[:1] }, short, nil},
	{"19 11 bytes", func(q asked) []byte { return q.answer()[:11] }, short, nil},
	{"19 a header alone", func(q asked) []byte { return q.answer()[:12] }, short, nil},
	{"19 a header and 4 bytes", func(q asked) []byte { return q.answer()[:16] }, short, nil},
}

// Row 20: times to live.
var ttlRows = []row{
	{"20 TTL 0", withTTL(0), learntOne, []netip.Addr{good}},
	{"20 TTL 0xffffffff", withTTL(0xffffffff), learntOne, []netip.Addr{good}},
	{"20 TTL 0x7fffffff", withTTL(0x7fffffff), learntOne, []netip.Addr{good}},
}

func withTTL(ttl uint32) func(q asked) []byte {
	return func(q asked) []byte { return q.answer(record(toQuestion, dns.TypeA, ttl, good.AsSlice())) }
}

func testMalformed(t *testing.T, h *harness.Host) {
	a := h.MustAgent(lab.AgentOptions{})
	v := look(h)
	for i, r := range malformedRows() {
		for _, tr := range []struct {
			proto  string
			server netip.Addr
		}{{"udp", h.DNS.Addr4}, {"tcp", h.DNS.Addr6}} {
			t.Run(r.what+" by "+tr.proto, func(t *testing.T) {
				name := fmt.Sprintf("%s%d.bank.example", tr.proto, i)
				h.DNS.HandleRaw(name, func(query []byte, proto string) [][]byte {
					b := r.answer(readQuery(query))
					if proto == "tcp" {
						b = framed(b)
					}
					return [][]byte{b}
				})
				expectRow(t, v, r, name, func() {
					_, err := a.Resolve(lab.Query{Name: name, Server: port(tr.server, lab.DNSPort), Proto: tr.proto})
					if errors.Is(err, lab.ErrTimeout) {
						t.Error("the answer did not arrive")
					}
				})
			})
		}
	}
	checkTTLs(t, h)
}

// expectRow gets one answer and compares everything learnt and counted. An answer that a program has received was
// seen before: the hook runs before the socket's queue.
func expectRow(t *testing.T, v *view, r row, name string, get func()) {
	t.Helper()
	get()
	if moved := v.moved(ofAnswers...); moved.String() != r.moved.String() {
		t.Errorf("counters: %v, want %v", moved, r.moved)
	}
	var want []string
	for _, a := range r.learnt {
		want = append(want, name+" "+a.String())
	}
	slices.Sort(want)
	if got := v.learntSince(); !slices.Equal(got, want) {
		t.Errorf("learnt %q, want %q", got, want)
	}
}

// checkTTLs looks at what rows 20 left: times are bounded by a week, and those with the highest bit are 0 (RFC 2181).
func checkTTLs(t *testing.T, h *harness.Host) {
	const week = 7 * 24 * 3600
	byTTL := map[string]int{}
	for _, l := range h.Learnt() {
		byTTL[l.Name] = l.TTL
		if l.TTL > week {
			t.Errorf("%s: TTL of %d s", l.Name, l.TTL)
		}
	}
	rows := malformedRows()
	for i, r := range rows {
		if ttl := byTTL[fmt.Sprintf("udp%d.bank.example", i)]; strings.HasPrefix(r.what, "20 TTL 0x7") != (ttl > week-60) {
			t.Errorf("%s: TTL of %d s", r.what, ttl)
		}
	}
}
