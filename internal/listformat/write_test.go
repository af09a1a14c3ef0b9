package listformat

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/pattern"
)

// written is one way to write a list, and what it cannot hold, by the word it is counted under.
type written struct {
	o     WriteOptions
	read  Options
	leave func(p pattern.Pattern) string // "" if it can be expressed
}

// only leaves all kinds but these, and names that need our escapes.
func only(kinds ...pattern.Kind) func(pattern.Pattern) string {
	return func(p pattern.Pattern) string {
		switch {
		case strings.Contains(p.Name.String(), `\`):
			return "escaped name"
		case !slices.Contains(kinds, p.Kind):
			return kindWord(p.Kind)
		}
		return ""
	}
}

var writtenLines = []written{
	{WriteOptions{Format: Plain}, Options{Format: Plain}, func(p pattern.Pattern) string {
		return map[bool]string{true: "default"}[p.Kind == pattern.Default]
	}},
	{WriteOptions{Format: Plain, Exact: true}, Options{Format: Plain, Exact: true}, func(p pattern.Pattern) string {
		return map[pattern.Kind]string{pattern.Default: "default", pattern.Suffix: "suffix"}[p.Kind]
	}},
	{WriteOptions{Format: Hosts}, Options{Format: Hosts}, func(p pattern.Pattern) string {
		if p == (pattern.Pattern{Kind: pattern.Exact, Name: "\x09localhost\x00"}) {
			return "exact"
		}
		return only(pattern.Exact)(p)
	}},
	{WriteOptions{Format: Dnsmasq, Value: "nftset=4#inet#fw4#vpn"}, Options{Format: Dnsmasq}, only(pattern.Suffix, pattern.Subdomains)},
	{WriteOptions{Format: Dnsmasq, Value: "server=192.0.2.53#53@eth0"}, Options{Format: Dnsmasq}, only(pattern.Suffix, pattern.Subdomains)},
	{WriteOptions{Format: Dnsmasq, Value: "local="}, Options{Format: Dnsmasq}, only(pattern.Suffix, pattern.Subdomains)},
	{WriteOptions{Format: Adblock}, Options{Format: Adblock}, only(pattern.Suffix)},
}

// randomPatterns are of all kinds, with names that some formats have no words for.
func randomPatterns(r *rand.Rand, n int) []pattern.Pattern {
	texts := []string{
		"default", "default.", "=default", "*.default", "=localhost", "localhost", "192.0.2.7", "192.0.2.0/24", "2001:db8::/32", `a\.b`, `=\000\255`,
		`*.\042.x`, "_x", "-", "=\\035a", "xn--mnchen-3ya.de", "=ip4", `\061x`, "*." + strings.Repeat("a.", 126) + "b",
	}
	var out []pattern.Pattern
	for range n {
		text := []string{"", "=", "*."}[r.IntN(3)] + fmt.Sprintf("n%d.example", r.IntN(1000))
		if r.IntN(3) == 0 {
			text = texts[r.IntN(len(texts))]
		}
		if p, err := pattern.Parse(text); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// What is read of what was written are the same patterns in the same order; the rest is counted, kind by kind.
func TestLinesRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, tt := range writtenLines {
		t.Run(fmt.Sprint(tt.o.Format, tt.o.Exact, tt.o.Value), func(t *testing.T) {
			for range 200 {
				roundTrip(t, tt, randomPatterns(r, 30))
			}
		})
	}
}

func roundTrip(t *testing.T, w written, patterns []pattern.Pattern) {
	t.Helper()
	var want, got []pattern.Pattern
	left := map[string]int{}
	for _, p := range patterns {
		if why := w.leave(p); why != "" {
			left[why]++
		} else {
			want = append(want, p)
		}
	}
	var text bytes.Buffer
	report, err := Write(&text, w.o, slices.Values(patterns))
	if err != nil {
		t.Fatal(err)
	}
	back, err := Read(&text, w.read, func(i Item) error {
		got = append(got, i.Pattern)
		return nil
	})
	if diff := cmp.Diff(want, got, samePattern); diff != "" || err != nil || len(back.Skipped) > 0 || report.Items != len(want) {
		t.Fatalf("%v, %v, %v (-want +got):\n%s", report, back, err, diff)
	}
	skipped := map[string]int{}
	for _, s := range report.Skipped {
		skipped[s.Kind] = s.Count
	}
	if diff := cmp.Diff(left, skipped); diff != "" {
		t.Fatalf("skipped (-want +got):\n%s", diff)
	}
}

func TestWriteText(t *testing.T) {
	var all []pattern.Pattern
	for _, text := range []string{"a.b", "=c.d", "*.e.f", "=localhost", "default", `x\.y`} {
		p, err := pattern.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	tests := []struct {
		o    WriteOptions
		want string
	}{
		{WriteOptions{Format: Plain}, "a.b\n=c.d\n*.e.f\n=localhost\nx\\.y\n"},
		{WriteOptions{Format: Plain, Exact: true}, "c.d\n*.e.f\nlocalhost\n"},
		{WriteOptions{Format: Hosts}, "0.0.0.0 c.d\n"},
		{WriteOptions{Format: Adblock}, "||a.b^\n"},
		{WriteOptions{Format: Dnsmasq, Value: "ipset=vpn,vpn6"}, "ipset=/a.b/vpn,vpn6\nipset=/*.e.f/vpn,vpn6\n"},
	}
	for _, tt := range tests {
		var b strings.Builder
		if _, err := Write(&b, tt.o, slices.Values(all)); err != nil || b.String() != tt.want {
			t.Errorf("%v: %q, %v; want %q", tt.o, b.String(), err, tt.want)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	one := slices.Values([]pattern.Pattern{{Kind: pattern.Suffix, Name: "\x01a\x00"}})
	for _, o := range []WriteOptions{
		{Format: "x"}, {Format: Dnsmasq}, {Format: Dnsmasq, Value: "server"}, {Format: Dnsmasq, Value: "conf-file=x"},
		{Format: Dnsmasq, Value: "server=1.1.1.1\nconf-file=x"}, {Format: Dnsmasq, Value: "server=/b/1.1.1.1"}, {Format: Dnsmasq, Value: "ipset="},
		{Format: Dnsmasq, Value: "server=1.1.1.1 #"},
	} {
		var b strings.Builder
		var refused *Error
		if _, err := Write(&b, o, one); !errors.As(err, &refused) || b.Len() > 0 {
			t.Errorf("%v: %v and %q, want an *Error and nothing", o, err, b.String())
		}
	}
	full := errors.New("full")
	if _, err := Write(failing{full}, WriteOptions{Format: Plain}, one); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
