package pattern

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		in   string
		kind Kind
		name Name
		text string
	}{
		{"Example.com.", Suffix, "\x07example\x03com\x00", "example.com"},
		{"*.example.com", Subdomains, "\x07example\x03com\x00", "*.example.com"},
		{"=example.com", Exact, "\x07example\x03com\x00", "=example.com"},
		{"com", Suffix, "\x03com\x00", "com"},
		{".", Default, "\x00", "default"},
		{"default", Default, "\x00", "default"},
		{"DEFAULT", Default, "\x00", "default"},
		{"default.", Suffix, "\x07default\x00", "default."},
		{"=default", Exact, "\x07default\x00", "=default"},
		{"*.default", Subdomains, "\x07default\x00", "*.default"},
		{"4.3.2.1.in-addr.arpa", Suffix, "\x014\x013\x012\x011\x07in-addr\x04arpa\x00", "4.3.2.1.in-addr.arpa"},
		{`\042.x`, Suffix, "\x01*\x01x\x00", `\042.x`},
		{`\061x`, Suffix, "\x02=x\x00", `\061x`},
	}
	for _, tt := range tests {
		p, err := Parse(tt.in)
		if err != nil || p != (Pattern{tt.kind, tt.name}) || p.String() != tt.text {
			t.Errorf("Parse(%q) = %v %q (%s), %v", tt.in, p.Kind, p.Name, p, err)
		}
		if again, err := Parse(p.String()); again != p || err != nil {
			t.Errorf("Parse(%q) = %v, %v; want %v", p.String(), again, err, p)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const address, prefix = "address patterns are not supported yet", "prefix patterns are not supported yet"
	tests := []struct {
		in     string
		offset int
		reason string
	}{
		{"", 0, "empty name"},
		{"=", 1, "empty name"},
		{"*.", 2, "empty name"},
		{"*", 0, "'*'"},
		{"*a.com", 0, "'*'"},
		{"a.*", 2, "'*'"},
		{"*.*.com", 2, "'*'"},
		{"=*.com", 1, "'*'"},
		{"==a", 1, "not allowed"},
		{"=.", 1, "root"},
		{"*..", 2, "root"},
		{".example.com", 0, "empty label"},
		{"*..example.com", 2, "empty label"},
		{" example.com", 0, "whitespace"},
		{"example.com ", 11, "whitespace"},
		{"https://example.com", 5, "':' is not allowed"},
		{"example.com:443", 11, "':' is not allowed"},
		{"203.0.113.7", 0, address},
		{"203.0.113.7.", 0, address},
		{"=203.0.113.7", 1, address},
		{"203.0.113.256", 0, address},
		{"2001:db8::1", 0, address},
		{"[2001:db8::1]", 0, address},
		{"203.0.113.0/24", 0, prefix},
		{"2001:db8::/32", 0, prefix},
		{"a/b", 1, "'/' is not allowed"},
	}
	for _, tt := range tests {
		_, err := Parse(tt.in)
		wantSyntax(t, tt.in, err, tt.offset, tt.reason)
	}
}

func TestMatches(t *testing.T) {
	tests := []struct {
		pattern   string
		yes, nope []string
	}{
		{"example.com", []string{"example.com", "www.example.com", "a.b.example.com"}, []string{"com", ".", "xexample.com", "example.org", `a\.example.com`}},
		{"*.example.com", []string{"www.example.com", "a.b.example.com"}, []string{"example.com", "com", "xexample.com"}},
		{"=example.com", []string{"example.com"}, []string{"www.example.com", "com"}},
		{"default", []string{".", "com", "a.b"}, nil},
		// "\x07example" read inside a label: equal bytes, but no label boundary.
		{"example", []string{"a.example"}, []string{`a\007example`}},
	}
	for _, tt := range tests {
		p, err := Parse(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range [][]string{tt.yes, tt.nope} {
			want := slices.Equal(list, tt.yes)
			for _, text := range list {
				n, err := ParseName(text)
				if err != nil {
					t.Fatal(err)
				}
				if p.Matches(n) != want {
					t.Errorf("%s matches %s: %v, want %v", p, n, !want, want)
				}
			}
		}
	}
}

// Matches agrees with the plain reading of labels.
func TestMatchesProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	hits := 0
	for range 50_000 {
		n, p := randomName(r), Pattern{Kind(r.IntN(3)), randomName(r)}
		ln, lp := n.Labels(), p.Name.Labels()
		below := len(ln) > len(lp) && slices.Equal(ln[len(ln)-len(lp):], lp)
		want := p.Kind != Subdomains && slices.Equal(ln, lp) || p.Kind != Exact && below
		if p.Matches(n) != want {
			t.Fatalf("%s matches %s: %v, want %v", p, n, !want, want)
		}
		if want {
			hits++
		}
	}
	if hits < 1000 {
		t.Errorf("only %d matches among the samples", hits)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"example.com", "*.example.com", "=Example.com.", ".", "default", "default.", "münchen.de", "a。b", "＊.x",
		"192.0.2.1", "１.２.３.４", "2001:db8::/32", `\042.x\.y`, `\000`, "a\xff", "xn--a", "ｄｅｆａｕｌｔ",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			var se *SyntaxError
			if !errors.As(err, &se) || se.Input != s || se.Offset < 0 || se.Offset > len(s) || se.Reason == "" {
				t.Fatalf("%q: error %#v", s, err)
			}
			return
		}
		if n, err := FromWire([]byte(p.Name)); n != p.Name || err != nil {
			t.Fatalf("%q: name %q is not valid wire form: %v", s, p.Name, err)
		}
		if again, err := Parse(p.String()); again != p || err != nil {
			t.Fatalf("%q: Parse(%q) = %v, %v; want %v", s, p.String(), again, err, p)
		}
	})
}
