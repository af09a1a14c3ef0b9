package pattern

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var (
	label63  = strings.Repeat("a", 63)
	longest  = label63 + "." + label63 + "." + label63 + "." + strings.Repeat("b", 61) // 255 wire bytes
	label127 = strings.TrimSuffix(strings.Repeat("x.", 127), ".")                      // 255 wire bytes
)

func TestParseName(t *testing.T) {
	tests := []struct{ in, wire, text string }{
		{".", "\x00", "."},
		{"com", "\x03com\x00", "com"},
		{"Example.COM.", "\x07example\x03com\x00", "example.com"},
		{"_dmarc.example.com", "\x06_dmarc\x07example\x03com\x00", "_dmarc.example.com"},
		{"r3---sn-x.y", "\x09r3---sn-x\x01y\x00", "r3---sn-x.y"},
		{"-a-.b", "\x03-a-\x01b\x00", "-a-.b"},
		{"XN--MNCHEN-3YA.de", "\x0exn--mnchen-3ya\x02de\x00", "xn--mnchen-3ya.de"},
		{`a\.b.c`, "\x03a.b\x01c\x00", `a\.b.c`},
		{`a\\b.c`, "\x03a\\b\x01c\x00", `a\\b.c`},
		{`\000\255\065\042.c`, "\x04\x00\xffa*\x01c\x00", `\000\255a\042.c`},
		{`a\046b`, "\x03a.b\x00", `a\.b`},
	}
	for _, tt := range tests {
		n, err := ParseName(tt.in)
		if err != nil || string(n) != tt.wire || n.String() != tt.text {
			t.Errorf("ParseName(%q) = %q (%s), %v; want %q (%s)", tt.in, n, n, err, tt.wire, tt.text)
		}
	}
	for _, in := range []string{longest, label127} {
		if n, err := ParseName(in); err != nil || len(n) != 255 || n.String() != in {
			t.Errorf("ParseName(%q) = %d bytes, %v; want 255", in, len(n), err)
		}
	}
}

// wantSyntax fails t unless err is a SyntaxError at offset whose reason holds reason.
func wantSyntax(t *testing.T, in string, err error, offset int, reason string) {
	t.Helper()
	var se *SyntaxError
	if !errors.As(err, &se) {
		t.Errorf("%q: error is %v, want a SyntaxError with %q", in, err, reason)
		return
	}
	if se.Input != in || se.Offset != offset || !strings.Contains(se.Reason, reason) {
		t.Errorf("%q: error is %v, want byte %d: %s", in, err, offset, reason)
	}
}

func TestParseNameErrors(t *testing.T) {
	tests := []struct {
		in     string
		offset int
		reason string
	}{
		{"", 0, "empty name"},
		{"..", 0, "empty label"},
		{".com", 0, "empty label"},
		{"a..b", 2, "empty label"},
		{"a.b..", 4, "empty label"},
		{"a b.c", 1, "whitespace"},
		{"a.b\n", 3, "whitespace"},
		{"a.*.c", 2, "'*'"},
		{"a/b", 1, `'/' is not allowed`},
		{"a\x00b", 1, `'\x00' is not allowed`},
		{`a\`, 1, "backslash"},
		{`a\12`, 1, "backslash"},
		{`a\b`, 1, "backslash"},
		{`a\256`, 1, "above 255"},
		{"b." + label63 + "a.c", 2, "longer than 63"},
		{longest + "b", 192, "longer than 255"},
		{label127 + ".x", 254, "longer than 255"},
		{strings.Repeat("a.", 4000), 0, "longer than 255"},
		{"b.a\xff.c", 3, "not UTF-8"},
		{"b.ü\u00a0.c", 4, "whitespace"},
	}
	for _, tt := range tests {
		_, err := ParseName(tt.in)
		wantSyntax(t, tt.in, err, tt.offset, tt.reason)
	}
}

func TestSyntaxErrorIsShort(t *testing.T) {
	_, err := ParseName(strings.Repeat("é", 1<<20))
	if err == nil || len(err.Error()) > 300 {
		t.Errorf("error of %d bytes, want some, but short", len(err.Error()))
	}
}

func TestFromWire(t *testing.T) {
	n, err := FromWire([]byte("\x03WwW\x07eX\x00mp.E\x00"))
	if err != nil || n != "\x03www\x07ex\x00mp.e\x00" {
		t.Errorf("got %q, %v", n, err)
	}
	if n, err := FromWire([]byte{0}); n != Root || err != nil {
		t.Errorf("root: got %q, %v", n, err)
	}
	tests := []struct {
		in     string
		offset int
		reason string
	}{
		{"", 0, "without the root"},
		{"\x03ww", 3, "without the root"},
		{"\x03www", 4, "without the root"},
		{"\x03www\x00x", 5, "bytes after"},
		{"\x01a\xc0\x00", 2, "compression"},
		{"\x41" + strings.Repeat("a", 65) + "\x00", 0, "longer than 63"},
		{strings.Repeat("\x01a", 128) + "\x00", 256, "longer than 255"},
	}
	for _, tt := range tests {
		_, err := FromWire([]byte(tt.in))
		wantSyntax(t, tt.in, err, tt.offset, tt.reason)
	}
}

func TestLabels(t *testing.T) {
	if got := Name("\x03w.w\x03com\x00").Labels(); !slices.Equal(got, []string{"w.w", "com"}) {
		t.Errorf("got %q", got)
	}
	if got := Root.Labels(); len(got) != 0 {
		t.Errorf("root: got %q", got)
	}
}

// No string, however wrong, makes a method panic.
func TestInvalidNames(t *testing.T) {
	for _, n := range []Name{"", "\x05a", "\x01a", "\xff", "abc", Name(strings.Repeat("\x01a", 300))} {
		_, _ = n.String(), n.Labels()
		_, _ = HashKey{}.Hash(n), HashKey{}.SuffixHashes(n)
		_ = n.AppendSortKey(nil)
		for kind := Suffix; kind <= Prefix; kind++ {
			_ = Pattern{Kind: kind, Name: n}.Matches("\x01a\x00")
		}
	}
}

func TestSortKey(t *testing.T) {
	inOrder := []string{
		"com", `\000.com`, `\000\000.com`, `\000\001.com`, `\001.com`, `\002.com`, "a.com", "b.a.com", "a-a.com", "b.com", "coma", "d",
	}
	var keys [][]byte
	for _, text := range inOrder {
		n, err := ParseName(text)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, n.AppendSortKey(nil))
	}
	for i := 1; i < len(keys); i++ {
		if bytes.Compare(keys[i-1], keys[i]) >= 0 {
			t.Errorf("%s does not come before %s", inOrder[i-1], inOrder[i])
		}
	}
}

// randomName makes valid names, with odd bytes in some labels, and often related.
func randomName(r *rand.Rand) Name {
	var wire []byte
	for range r.IntN(5) {
		size := 1 + r.IntN(3)
		wire = append(wire, byte(size))
		for range size {
			wire = append(wire, "ab\x01\x00.-\\"[r.IntN(7)])
		}
	}
	return Name(append(wire, 0))
}

// The order of keys is the order of the labels compared from the right.
func TestSortKeyProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		a, b := randomName(r), randomName(r)
		la, lb := a.Labels(), b.Labels()
		slices.Reverse(la)
		slices.Reverse(lb)
		want := slices.Compare(la, lb)
		if got := bytes.Compare(a.AppendSortKey(nil), b.AppendSortKey(nil)); got != want {
			t.Fatalf("%s and %s: order %d, want %d", a, b, got, want)
		}
	}
}

func FuzzFromWire(f *testing.F) {
	for _, s := range []string{"", "\x00", "\x03WWW\x00", "\x01\x00\x01.\x01\\\x00", "\xc0\x0c", "\x40", "\x01a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := FromWire(b)
		if err != nil {
			var se *SyntaxError
			if !errors.As(err, &se) || se.Offset < 0 || se.Offset > len(b) {
				t.Fatalf("%q: error %#v", b, err)
			}
			return
		}
		if len(n) != len(b) {
			t.Fatalf("%q: %d bytes of %d", b, len(n), len(b))
		}
		for i := range b {
			if n[i] != lower(b[i]) {
				t.Fatalf("%q: byte %d is %#x", b, i, n[i])
			}
		}
		if back, err := ParseName(n.String()); back != n || err != nil {
			t.Fatalf("ParseName(%q) = %q, %v; want %q", n.String(), back, err, n)
		}
	})
}
