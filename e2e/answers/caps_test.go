package answers

import (
	"fmt"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/internal/lab"
)

// TestCaps: an answer beyond what is walked teaches what is before the end of the walk, and the cut is counted.
func TestCaps(t *testing.T) {
	const manySignatures = 13 // of 300 bytes and a header of 12 each: 4,056 bytes
	for _, c := range []struct {
		what    string
		addrs   int
		change  func(r *dns.Msg)
		learnt  int
		counter string
	}{
		{"64 addresses", 64, func(*dns.Msg) {}, 64, ""},
		{"70 addresses", 70, func(*dns.Msg) {}, 64, "answer_cut_records"},
		{"an address behind 4 KiB", 2, func(r *dns.Msg) {
			between := slices.Repeat([]dns.RR{signature(r.Answer[0])}, manySignatures)
			r.Answer = append(append(r.Answer[:1:1], between...), r.Answer[1])
		}, 1, "answer_cut_bytes"},
		{"an address before the end of 4 KiB", 2, func(r *dns.Msg) {
			between := slices.Repeat([]dns.RR{signature(r.Answer[0])}, manySignatures-1)
			r.Answer = append(append(r.Answer[:1:1], between...), r.Answer[1])
		}, 2, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newWorld(t)
			f := form{addrs: c.addrs, change: c.change, edns: true}
			want := learnt{}
			for _, q := range []lab.Query{{}, {Unconnected: true}} {
				before := missed(w.Counters())
				name, addrs := f.resolve(t, w, q, dns.TypeA, ruled)
				for i, a := range addrs {
					w.arrives(t, w.asker, a, i < c.learnt, fmt.Sprintf("address %d", i))
					if i < c.learnt {
						want[a] = name
					}
				}
				after := w.Counters()
				if c.counter != "" && after[c.counter] == 0 || (missed(after) == before) != (c.counter == "") {
					t.Errorf("counters %v, want only %q among those of answers missed", after, c.counter)
				}
			}
			w.learntOnly(t, want)
		})
	}
}
