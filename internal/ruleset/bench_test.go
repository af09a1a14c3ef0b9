package ruleset

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/domain-route/domain-route/internal/pattern"
)

const million = 1_000_000

// listText makes n rules shaped like the public lists: mostly second-level names
// below com, some deeper, three targets.
func listText(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	tops := []string{"com", "com", "com", "com", "net", "org", "co.uk", "de", "ru", "xn--p1ai"}
	targets := []string{"wg0", "wg0,wwan0", "direct"}
	var out []byte
	for i := range n {
		if r.IntN(10) == 0 {
			out = append(out, "*."...)
		}
		if r.IntN(3) == 0 {
			out = fmt.Appendf(out, "%x.", r.Uint32N(1<<16))
		}
		out = fmt.Appendf(out, "%x-%d.%s %s\n", r.Uint32(), i, tops[r.IntN(len(tops))], targets[r.IntN(3)])
	}
	return out
}

// BenchmarkMillion is the whole way of a big list; the parts are for finding out
// where time goes.
func BenchmarkMillion(b *testing.B) {
	text := listText(million)
	var key pattern.HashKey
	var read Set
	if err := read.UnmarshalText(text); err != nil {
		b.Fatal(err)
	}
	if read.Len() != million {
		b.Fatalf("%d rules read, want %d", read.Len(), million)
	}
	rules := read.Rules()

	add := func() *Set { return New(rules...) }
	compile := func(s *Set) {
		if c, err := s.Compile(key); err != nil || len(c.Entries) != million {
			b.Fatalf("compiled %d entries: %v", len(c.Entries), err)
		}
	}
	marshal := func(s *Set) []byte {
		out, _ := s.MarshalText()
		return out
	}
	unmarshal := func(text []byte) {
		var s Set
		if err := s.UnmarshalText(text); err != nil || s.Len() != million {
			b.Fatalf("%d rules: %v", s.Len(), err)
		}
	}
	sorted := marshal(&read)
	binary, _ := read.MarshalBinary()
	b.Logf("%d bytes of text, %d binary", len(text), len(binary))
	parts := []struct {
		name string
		run  func()
	}{
		{"all", func() { s := add(); compile(s); unmarshal(marshal(s)) }},
		{"add", func() { add() }},
		{"compile", func() { compile(&read) }},
		{"marshal", func() { marshal(&read) }},
		{"unmarshal", func() { unmarshal(text) }},
		{"unmarshalSorted", func() { unmarshal(sorted) }},
		{"marshalBinary", func() { _, _ = read.MarshalBinary() }},
		{"unmarshalBinary", func() {
			var s Set
			if err := s.UnmarshalBinary(binary); err != nil || s.Len() != million {
				b.Fatal(err)
			}
		}},
		{"clone", func() { read.Clone() }},
		{"diff", func() { read.Diff(&read) }},
	}
	for _, p := range parts {
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.run()
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	var s Set
	if err := s.UnmarshalText(listText(100_000)); err != nil {
		b.Fatal(err)
	}
	n, err := pattern.ParseName("a.b.www.example.com")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.MatchName(n, Who{})
	}
}
