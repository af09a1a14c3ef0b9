package answers

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/internal/lab"
)

// reply is an answer over TCP, cut into segments.
type reply struct {
	name  string
	addrs []netip.Addr
	cuts  []int // in bytes of the stream, the two of the length included
}

// makeReply makes a name with n addresses, whose answer is not cut yet.
func (w *world) makeReply(n int, qtype uint16) *reply {
	r := &reply{name: unique() + "." + ruled, addrs: w.addrs(n, qtype)}
	w.DNS.Set(r.name, r.addrs...)
	w.DNS.HandleRaw(r.name, func(query []byte, _ string) [][]byte { return split(w.framed(query), r.cuts) })
	return r
}

// framed is the lab's own answer to a query, behind its length.
func (w *world) framed(query []byte) []byte {
	q := new(dns.Msg)
	if q.Unpack(query) != nil {
		return nil
	}
	b, err := w.DNS.Reply(q).Pack()
	if err != nil {
		return nil
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

// split cuts b before each of the places.
func split(b []byte, places []int) [][]byte {
	var parts [][]byte
	from := 0
	for _, to := range append(slices.Clone(places), len(b)) {
		parts = append(parts, b[from:to])
		from = to
	}
	return parts
}

// Places in a reply: where its first record starts, where record i does, and where it all ends.
func (r *reply) head() int        { return 2 + 12 + len(r.name) + 2 + 4 }
func (r *reply) record(i int) int { return r.head() + i*(2+10+r.addrs[0].BitLen()/8) }
func (r *reply) end() int         { return r.record(len(r.addrs)) }

// complete counts the addresses that come whole in the segment in which the message starts.
func (r *reply) complete() int {
	for _, place := range append(slices.Clone(r.cuts), r.end()) {
		for i := range r.addrs {
			if place > 2 && r.record(i+1) > place {
				return i
			}
		}
		if place > 2 {
			break
		}
	}
	return len(r.addrs)
}

// TestEveryCut: an answer cut in two at every place. Learnt are the addresses that came whole in the segment in which
// the message itself starts, be its length before it; where some are not, that is counted.
func TestEveryCut(t *testing.T) {
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		t.Run(dns.TypeToString[qtype], func(t *testing.T) {
			w := newWorld(t)
			want := learnt{}
			counted := missed(w.Counters())
			for place, more := 1, true; more; place++ {
				r := w.makeReply(3, qtype)
				r.cuts = []int{place}
				more = place < r.end()-1
				complete := r.complete()
				counted = w.checkCut(t, r, qtype, complete, counted)
				for _, a := range r.addrs[:complete] {
					want[a] = r.name
				}
			}
			w.learntOnly(t, want)
		})
	}
}

// checkCut resolves and connects: to the first addresses by vpn0, to the others as if nothing was known of them. It
// takes and returns what was counted so far.
func (w *world) checkCut(t *testing.T, r *reply, qtype uint16, complete int, before uint64) uint64 {
	t.Helper()
	ans, err := w.asker.Resolve(lab.Query{Name: r.name, Type: qtype, Proto: "tcp"})
	if err != nil || !slices.Equal(ans.Addrs, r.addrs) {
		t.Fatalf("cut at %d: answer %v, %v", r.cuts, ans.Msg, err)
	}
	counted := missed(w.Counters())
	if n := counted - before; (complete == len(r.addrs)) != (n == 0) {
		t.Errorf("cut at %d: %d of %d addresses to be learnt, counted as missed %d times", r.cuts, complete, len(r.addrs), n)
	}
	for i, a := range r.addrs {
		w.arrives(t, w.asker, a, i < complete, fmt.Sprintf("cut at %d, address %d", r.cuts, i))
	}
	return counted
}

// missed sums up the counters of what came and was not, or not wholly, learnt from.
func missed(counters map[string]uint64) uint64 {
	var sum uint64
	for name, n := range counters {
		if strings.HasPrefix(name, "answer_") && name != "answer_not_home" {
			sum += n
		}
	}
	return sum
}

// TestCutCounters: which counter tells of which cut.
func TestCutCounters(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		what    string
		place   func(*reply) int
		counter string
	}{
		{"inside the header", func(*reply) int { return 9 }, "answer_short"},
		{"inside the question's name", func(*reply) int { return 2 + 12 + 9 }, "answer_bad_question"},
		{"behind the question", func(r *reply) int { return r.head() }, "answer_cut_segment"},
		{"inside a record's header", func(r *reply) int { return r.record(1) + 4 }, "answer_cut_segment"},
		{"inside an address", func(r *reply) int { return r.record(1) - 2 }, "answer_cut_segment"},
		{"between two records", func(r *reply) int { return r.record(1) }, "answer_cut_segment"},
		{"behind the length", func(*reply) int { return 2 }, "answers"},
	} {
		r := w.makeReply(3, dns.TypeA)
		r.cuts = []int{c.place(r)}
		before := w.Counters()[c.counter]
		if _, err := w.asker.Resolve(lab.Query{Name: r.name, Proto: "tcp"}); err != nil {
			t.Fatal(err)
		}
		if n := w.Counters()[c.counter] - before; n != 1 {
			t.Errorf("cut %s: %s was counted %d times", c.what, c.counter, n)
		}
	}
}

// TestCutPointer: an answer that ends behind the first byte of a pointer teaches what is before, whatever stood in the
// second one's place in the message read before it, on whichever CPU.
func TestCutPointer(t *testing.T) {
	w := newWorld(t)
	filler := unique() + "." + unruled
	w.DNS.Set(filler, w.addrs(1, dns.TypeA)...)
	w.DNS.Handle(filler, func(q *dns.Msg, _ string) *dns.Msg {
		m := w.DNS.Reply(q)
		head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: 65280, Class: dns.ClassINET, Ttl: ttl}
		m.Answer = append([]dns.RR{&dns.RFC3597{Hdr: head, Rdata: strings.Repeat("ff", 400)}}, m.Answer...)
		return m
	})
	for range 20 {
		for range 4 {
			if _, err := w.asker.Resolve(lab.Query{Name: filler, EDNS: true}); err != nil {
				t.Fatal(err)
			}
		}
		r := w.makeReply(3, dns.TypeA)
		r.cuts = []int{r.record(2) + 1}
		if _, err := w.asker.Resolve(lab.Query{Name: r.name, Proto: "tcp"}); err != nil {
			t.Fatal(err)
		}
		for i, a := range r.addrs {
			w.arrives(t, w.asker, a, i < 2, fmt.Sprintf("address %d", i))
		}
	}
}
