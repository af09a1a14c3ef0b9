package listformat

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/internal/pattern"
)

// What is read of the lists of other programs that were written are the same patterns in the same order; the rest is
// counted, kind by kind.
func TestRoundTrip(t *testing.T) {
	v2fly := func(p pattern.Pattern) string {
		why := only(pattern.Suffix, pattern.Exact)(p)
		if name := p.Name.String(); p.Kind <= pattern.Exact && (name == "-" || strings.Contains(name, "_")) {
			return "bad name"
		}
		return why
	}
	names := []pattern.Kind{pattern.Exact, pattern.Suffix, pattern.Subdomains, pattern.Prefix, pattern.Default}
	tests := []written{
		{WriteOptions{Format: V2fly}, Options{Format: V2fly}, v2fly},
		{WriteOptions{Format: Geosite, Category: "mine"}, Options{Format: Geosite, Category: "MINE"}, only(pattern.Suffix, pattern.Exact)},
		{WriteOptions{Format: SingBox}, Options{Format: SingBox}, only(names[:4]...)},
		{WriteOptions{Format: ClashDomain}, Options{Format: ClashDomain}, only(names[:3]...)},
		{WriteOptions{Format: ClashClassical}, Options{Format: ClashClassical}, only(pattern.Exact, pattern.Suffix, pattern.Prefix)},
	}
	r := rand.New(rand.NewPCG(51, 52))
	for _, tt := range tests {
		t.Run(string(tt.o.Format), func(t *testing.T) {
			for range 300 {
				patterns := randomPatterns(r, r.IntN(30))
				if tt.o.Format == SingBox { // its lists are by kind
					class := map[pattern.Kind]int{pattern.Exact: 0, pattern.Suffix: 1, pattern.Subdomains: 1, pattern.Prefix: 2}
					slices.SortStableFunc(patterns, func(a, b pattern.Pattern) int { return cmp.Compare(class[a.Kind], class[b.Kind]) })
				}
				roundTrip(t, tt, patterns)
			}
		})
	}
}

func TestWriteContainers(t *testing.T) {
	var patterns []pattern.Pattern
	for _, text := range []string{"a.x", "=b.x", "*.c.x", "192.0.2.0/24", "2001:db8::1", "default"} {
		p, err := pattern.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		patterns = append(patterns, p)
	}
	tests := []struct {
		format  Format
		want    string
		skipped string
		none    string // what is written of no patterns
	}{
		{V2fly, "domain:a.x\nfull:b.x\n", "[subdomains address address default]", ""},
		{SingBox, "{\n  \"version\": 3,\n  \"rules\": [\n    {\n      \"domain\": [\n        \"b.x\"\n      ],\n      \"domain_suffix\": [\n        \"a.x\",\n        \".c.x\"\n      ]," +
			"\n      \"ip_cidr\": [\n        \"192.0.2.0/24\",\n        \"2001:db8::1\"\n      ]\n    }\n  ]\n}\n", "[default]", "{\n  \"version\": 3,\n  \"rules\": []\n}\n"},
		{ClashDomain, "payload:\n  - '+.a.x'\n  - 'b.x'\n  - '.c.x'\n", "[address address default]", "payload:\n"},
		{ClashClassical, "payload:\n  - DOMAIN-SUFFIX,a.x\n  - DOMAIN,b.x\n  - IP-CIDR,192.0.2.0/24\n  - IP-CIDR6,2001:db8::1/128\n", "[subdomains default]", "payload:\n"},
	}
	for _, tt := range tests {
		var text, none bytes.Buffer
		report, err := Write(&text, WriteOptions{Format: tt.format}, slices.Values(patterns))
		var skipped []string
		for _, s := range report.Skipped {
			for range s.Count {
				skipped = append(skipped, s.Kind)
			}
		}
		if text.String() != tt.want || fmt.Sprint(skipped) != tt.skipped || err != nil {
			t.Errorf("%s: %s%v, %v", tt.format, &text, skipped, err)
		}
		if _, err := Write(&none, WriteOptions{Format: tt.format}, slices.Values(patterns[:0])); err != nil || none.String() != tt.none {
			t.Errorf("%s, no patterns: %q, %v", tt.format, &none, err)
		}
	}
}
