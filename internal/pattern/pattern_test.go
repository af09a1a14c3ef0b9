package pattern

import (
	"errors"
	"math/rand/v2"
	"net/netip"
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
		if err != nil || p != (Pattern{Kind: tt.kind, Name: tt.name}) || p.String() != tt.text {
			t.Errorf("Parse(%q) = %v %q (%s), %v", tt.in, p.Kind, p.Name, p, err)
		}
		if again, err := Parse(p.String()); again != p || err != nil {
			t.Errorf("Parse(%q) = %v, %v; want %v", p.String(), again, err, p)
		}
	}
}

func TestParseErrors(t *testing.T) {
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
		{".example.com", 0, "empty label: write example.com, or *.example.com for"},
		{"..example.com", 0, "empty label"},
		{"*..example.com", 2, "empty label"},
		{" example.com", 0, "whitespace"},
		{"example.com ", 11, "whitespace"},
		{"https://example.com", 5, "not a URL; write example.com"},
		{"http://u:p@example.com:80/x?y#z", 4, "not a URL; write example.com"},
		{"http://[2001:db8::1]:80/", 4, "not a URL; write 2001:db8::1"},
		{"http://a..b/", 4, "not a URL"},
		{"example.com:443", 11, "without a port; write example.com"},
		{"example.com/x", 11, "without a path; write example.com"},
		{"203.0.113.7.", 0, "write it without brackets and dots around: 203.0.113.7"},
		{"=203.0.113.7", 1, "no '=' or '*.'; write 203.0.113.7"},
		{"*.2001:db8::/32", 2, "no '=' or '*.'; write 2001:db8::/32"},
		{"203.0.113.256", 0, "looks like an address, but is none"},
		{"1", 0, "looks like an address, but is none"},
		{"[2001:db8::1]", 0, "write it without brackets and dots around: 2001:db8::1"},
		{"[2001:db8::1]:53", 0, "without a port; write 2001:db8::1"},
		{"192.0.2.1:53", 0, "without a port; write 192.0.2.1"},
		{"203.0.113.5/24", 0, "beyond the prefix's length; write 203.0.113.0/24"},
		{"2001:db8::1/32", 0, "beyond the prefix's length; write 2001:db8::/32"},
		{"::ffff:203.0.113.5/120", 0, "beyond the prefix's length; write 203.0.113.0/24"},
		{"::ffff:0.0.0.0/95", 0, "at least 96 bits"},
		{"203.0.113.0/33", 0, "from 0 to 32"},
		{"2001:db8::/129", 0, "from 0 to 128"},
		{"203.0.113.0/255.255.255.0", 0, "from 0 to 32"},
		{"203.0.113.0/", 0, "from 0 to 32"},
		{"10/8", 0, "no whole address"},
		{"[2001:db8::]/32", 0, "no whole address"},
		{"fe80::1%eth0", 0, "without a zone; write fe80::1"},
		{"fe80::%eth0/64", 0, "without a zone; write fe80::"},
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

func TestParsePrefix(t *testing.T) {
	tests := []struct{ in, prefix, text string }{
		{"203.0.113.0/24", "203.0.113.0/24", "203.0.113.0/24"},
		{"192.0.2.7", "192.0.2.7/32", "192.0.2.7"},
		{"192.0.2.7/32", "192.0.2.7/32", "192.0.2.7"},
		{"0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0"},
		{"2001:DB8:0::/32", "2001:db8::/32", "2001:db8::/32"},
		{"2001:db8::1/128", "2001:db8::1/128", "2001:db8::1"},
		{"::/0", "::/0", "::/0"},
		{"::ffff:192.0.2.7", "192.0.2.7/32", "192.0.2.7"},
		{"::ffff:192.0.2.0/120", "192.0.2.0/24", "192.0.2.0/24"},
	}
	for _, tt := range tests {
		p, err := Parse(tt.in)
		if want := (Pattern{Kind: Prefix, Prefix: netip.MustParsePrefix(tt.prefix)}); p != want || err != nil || p.String() != tt.text {
			t.Errorf("Parse(%q) = %s %v, %v; want %s", tt.in, p, p.Prefix, err, tt.text)
		}
		if again, err := Parse(p.String()); again != p || err != nil {
			t.Errorf("Parse(%q) = %v, %v; want %v", p.String(), again, err, p)
		}
	}
}

func TestContains(t *testing.T) {
	tests := []struct {
		pattern, addr string
		want          bool
	}{
		{"192.0.2.0/24", "192.0.2.200", true},
		{"192.0.2.0/24", "::ffff:192.0.2.200", true},
		{"192.0.2.0/24", "192.0.3.0", false},
		{"192.0.2.0/24", "2001:db8::", false},
		{"0.0.0.0/0", "::ffff:1.2.3.4", true},
		{"::/0", "::ffff:1.2.3.4", false},
		{"::/0", "1.2.3.4", false},
		{"2001:db8::/32", "2001:db8::1", true},
		{"fe80::/10", "fe80::1%eth0", true},
		{"default", "192.0.2.1", false},
		{"example.com", "192.0.2.1", false},
	}
	for _, tt := range tests {
		p, err := Parse(tt.pattern)
		if err != nil || p.Contains(netip.MustParseAddr(tt.addr)) != tt.want {
			t.Errorf("%s contains %s: want %v (%v)", tt.pattern, tt.addr, tt.want, err)
		}
	}
	if (Pattern{Kind: Prefix, Prefix: netip.MustParsePrefix("0.0.0.0/0")}).Contains(netip.Addr{}) {
		t.Error("contains the zero address")
	}
}

// Matches agrees with the plain reading of labels.
func TestMatchesProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	hits := 0
	for range 50_000 {
		n, p := randomName(r), Pattern{Kind: Kind(r.IntN(3)), Name: randomName(r)}
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
		"192.0.2.1", "１.２.３.４", "2001:db8::/32", "192.0.2.7/24", "::ffff:1.2.3.4/96", "http://[::1]:1/x", ".a", "1.2.3.4:5", "fe80::1%x", `\042.x\.y`, `\000`, "a\xff", "xn--a", "ｄｅｆａｕｌｔ",
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
		if p.Kind == Prefix {
			if p.Name != "" || p.Prefix != p.Prefix.Masked() || p.Prefix.Addr().Is4In6() || !p.Contains(p.Prefix.Addr()) {
				t.Fatalf("%q: prefix %v", s, p)
			}
		} else if n, err := FromWire([]byte(p.Name)); n != p.Name || err != nil {
			t.Fatalf("%q: name %q is not valid wire form: %v", s, p.Name, err)
		}
		if again, err := Parse(p.String()); again != p || err != nil {
			t.Fatalf("%q: Parse(%q) = %v, %v; want %v", s, p.String(), again, err, p)
		}
	})
}
