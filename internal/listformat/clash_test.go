package listformat

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/domain-route/domain-route/internal/pattern"
)

func TestClash(t *testing.T) {
	tests := []struct {
		format Format
		in     string
		want   []string
	}{
		{ClashDomain, "payload:\n  - '.blogger.com'\n  - '+.xbox.com'\n  - '*.*.microsoft.com'\n  - 'books.itunes.apple.com'\n",
			[]string{"*.blogger.com", "xbox.com", "=books.itunes.apple.com", "wildcard: *.*.microsoft.com"}},
		{ClashDomain, "# c\n\n.blogger.com\n+.xbox.com\n*.x.y\n// c\nbooks.itunes.apple.com", []string{"*.blogger.com", "xbox.com", "=books.itunes.apple.com", "wildcard: *.x.y"}},
		{ClashDomain, "a..b\n+.\n.\nb.\n+x.y\na.+.b\n1.2.3.4\ndefault\n=x\nDOMAIN,a", []string{"=default", "bad name: a..b", "classical rule: DOMAIN,a"}},
		{ClashDomain, "\xef\xbb\xbf# c\r\n---\r\n\r\npayload: # d\r\n- a\r\n\r\n# e\r\n- \"b\" # f\r\n-   c   #\r\n", []string{"=a", "=b", "=c"}},
		{ClashDomain, "payload: ['a', \"+.b\", 'c''d', \"\\x65\", ~, {x: y}]\nother: [&x 1, *x]\n", []string{"=a", "b", "=e", "bad name: c'd", "bad value: ~", "unknown field: other"}},
		{ClashDomain, "{payload: [a, 1e3, 2001-01-01, true, null]}", []string{"=a", "=1e3", "=2001-01-01", "=true", "bad value: null"}},
		{ClashDomain, "payload:\n- a\n  - b\n- c\n", []string{"=c", "bad name: a - b"}},
		{ClashDomain, "payload:\n- a #b\n- c: d\n- e:\n- null\n- '#f'\n- |\n  g\n", []string{"=a", "=g", "bad value: ", "bad name: #f"}},
		{ClashDomain, "payload:\n- a\n- e:\n", []string{"=a", "bad value: "}},
		{ClashClassical, "DOMAIN,a,extended-matching", []string{"=a"}},
		{ClashDomain, "payload:\n", nil}, {ClashDomain, "payload:", nil}, {ClashDomain, "payload: []", nil}, {ClashDomain, "", nil},
		{ClashClassical, "payload:\n  - DOMAIN-SUFFIX,google.com\n  - DOMAIN,ad.com\n  - DOMAIN-KEYWORD,google\n  - DOMAIN-WILDCARD,*.g.com\n  - DOMAIN-REGEX,^abc.*com\n  - IP-CIDR,127.0.0.0/8\n",
			[]string{"google.com", "=ad.com", "127.0.0.0/8", "keyword: DOMAIN-KEYWORD,google", "wildcard: DOMAIN-WILDCARD,*.g.com", "regex: DOMAIN-REGEX,^abc.*com"}},
		{ClashClassical, "# c\ndomain-suffix, Google.COM \nIP-CIDR6,2001:db8::1/32,no-resolve\nIP-CIDR,10.1.2.3/8 , No-Resolve\nIP-CIDR,1.2.3.4", []string{"google.com", "2001:db8::/32", "10.0.0.0/8", "1.2.3.4"}},
		{ClashClassical, "IP-CIDR,10.0.0.0.1/32\nIP-CIDR,10.0.0.0/8,src\nDOMAIN,a,PROXY\nDOMAIN,a.\nDOMAIN,*.a\nDOMAIN\nexample.com\nMATCH",
			[]string{"bad address: IP-CIDR,10.0.0.0.1/32", "src-ip-cidr: IP-CIDR,10.0.0.0/8,src", "unknown parameter: DOMAIN,a,PROXY", "bad name: DOMAIN,a.",
				"unknown type: example.com", "match: MATCH"}},
		{ClashClassical, "AND,((DOMAIN,baidu.com),(NETWORK,UDP))\nGEOIP,CN\nDST-PORT,80\nPROCESS-NAME,x\nSRC-IP-CIDR,10.0.0.0/8",
			[]string{"and: AND,((DOMAIN,baidu.com),(NETWORK,UDP))", "geoip: GEOIP,CN", "dst-port: DST-PORT,80", "process-name: PROCESS-NAME,x", "src-ip-cidr: SRC-IP-CIDR,10.0.0.0/8"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, say(t, tt.in, Options{Format: tt.format})); diff != "" {
			t.Errorf("%s, %q (-want +got):\n%s", tt.format, tt.in, diff)
		}
	}
}

func TestClashErrors(t *testing.T) {
	items := strings.Repeat("  - a-name-of-some-length.example.com\n", 20_000)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'z'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 8), c-1)
	}
	tests := []struct{ in, want string }{
		{"payload:\n- *.x.com\n", "not YAML: "}, {"payload:\n- &a x\n- *a\n", "line 3, column 3: aliases are not read"},
		{"payload: *a", "not YAML"}, {"---\nx: &a [b]\npayload: *a\n", "line 3, column 10: \"payload\" is a list"}, {"---\n" + bomb + "payload: *y\n", "line 27, column 10: \"payload\" is a list"},
		{"---\n" + bomb + "payload: [*y]\n", "aliases are not read"}, {"payload:\n- a\n- [\n", "not YAML"}, {"payload: x", "\"payload\" is a list"}, {"payload: {a: b}", "is a list"},
		{"---\nx: y\n", "has no \"payload\""}, {"---", "a mapping with the key"}, {"---\n" + strings.Repeat("# c\n", 200_000), "has no \"payload\""}, {"---\n- payload\n", "a mapping with the key"}, {"payload: [a]\npayload: [b]\n", "line 2: a second"},
		{"payload: [a]\n---\npayload: [b]\n", "something follows"}, {"payload:\n- a\x01b\n", "not YAML"}, {"{", "not YAML"},
		{"payload:\n" + items + "  - [x]\n", "line 20002: a payload of more than 512 KiB must have one item a line"},
		{"payload:\n" + items + "  - " + strings.Repeat("x", 1<<17), "line 20002: the line is longer than 64 KiB"},
		{"payload:\n" + items + "   - x\n", "line 20002: a payload of more"}, {"payload:\n" + items + "x: y\n", "line 20002: a payload of more"},
		{"payload: [" + strings.Repeat("[", 20_000), "not YAML"}, {"a\x00b", "a zero byte"}, {"{" + strings.Repeat("a,", 300_000), "line 1: the line is longer than 64 KiB"},
	}
	for _, tt := range tests {
		_, err := Read(strings.NewReader(tt.in), Options{Format: ClashDomain}, func(Item) error { return nil })
		var ours *Error
		if !errors.As(err, &ours) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60q: error is %v, want %s", tt.in, err, tt.want)
		}
	}
	broken := errors.New("broken")
	for _, text := range []string{"payload:\n- a\n", "a\nb\n", "payload:\n" + items} {
		for _, o := range []Options{{Format: ClashDomain}, {Format: ClashClassical}} {
			in := io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken))
			if _, err := Read(in, o, func(Item) error { return nil }); !errors.Is(err, broken) {
				t.Errorf("the reader's error came as %v", err)
			}
		}
		_, err := Read(strings.NewReader(text), Options{Format: ClashDomain}, func(Item) error { return broken })
		if err != broken { //nolint:errorlint // it must come as it is
			t.Errorf("emit's error came as %v", err)
		}
	}
}

// A payload of 20 MiB takes little memory, and so does the worst YAML that is read as a whole.
func TestClashMemory(t *testing.T) {
	big := io.MultiReader(strings.NewReader("payload:\n"), repeatText(500, strings.Repeat("  - '+.a-name-of-some-length.example.com'\n", 1000)))
	worst := "payload: [" + strings.Repeat("a,", maxYAML/2-10) + "]"
	nested := "payload: [" + strings.Repeat("[],", maxYAML/3-10) + "]"
	for _, tt := range []struct {
		in   io.Reader
		most uint64
	}{{big, 4 << 20}, {strings.NewReader(worst), 130 << 20}, {strings.NewReader(nested), 130 << 20}} {
		runtime.GC()
		var at, now runtime.MemStats
		runtime.ReadMemStats(&at)
		most, n := uint64(0), 0
		_, err := Read(tt.in, Options{Format: ClashDomain}, func(Item) error {
			if n++; n == 1000 || n%500_000 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc)
			}
			return nil
		})
		runtime.ReadMemStats(&now)
		if most = max(most, now.HeapAlloc); most > at.HeapAlloc+tt.most || err != nil {
			t.Errorf("held %d bytes, want %d at most; %v", int64(most)-int64(at.HeapAlloc), tt.most, err)
		}
	}
}

// naiveClash reads an item to formats.md §6.
type naiveClash func(o *outcome, text string, line int)

func naiveClashDomain(o *outcome, text string, line int) {
	switch {
	case strings.Contains(text, ","):
		o.skip("classical rule", line)
	case strings.Contains(text, "*"):
		o.skip("wildcard", line)
	case strings.HasSuffix(text, "."):
		o.skip("bad name", line)
	case strings.HasPrefix(text, "+."):
		o.name(pattern.Suffix, text[2:], false, line)
	case strings.HasPrefix(text, "."):
		o.name(pattern.Subdomains, text[1:], false, line)
	default:
		o.name(pattern.Exact, text, false, line)
	}
}

var (
	clashRule   = regexp.MustCompile(`(?s)^[ \t\v\f\r\n]*([^,]*?)[ \t\v\f\r\n]*(?:,[ \t\v\f\r\n]*([^,]*?)[ \t\v\f\r\n]*(,.*)?)?$`)
	clashPlain  = regexp.MustCompile(`(?is)^(,[ \t\v\f\r\n]*(no-resolve|extended-matching)?[ \t\v\f\r\n]*)*$`)
	clashSource = regexp.MustCompile(`(?is)^(,[ \t\v\f\r\n]*(no-resolve|extended-matching)?[ \t\v\f\r\n]*)*,[ \t\v\f\r\n]*src[ \t\v\f\r\n]*(,|$)`)
	clashOthers = regexp.MustCompile(`^(DOMAIN-(KEYWORD|REGEX|WILDCARD)|GEOSITE|IP-(SUFFIX|ASN)|GEOIP|SRC-(GEOIP|IP-ASN|IP-CIDR|IP-SUFFIX)|(DST|SRC|DEST|IN)-PORT|IN-(TYPE|USER|NAME)` +
		`|PROCESS-(PATH|NAME)(-(WILDCARD|REGEX))?|UID|NETWORK|DSCP|RULE-SET|AND|OR|NOT|SUB-RULE|MATCH|FINAL|URL-REGEX|USER-AGENT|PROTOCOL|IPSET|SCRIPT)$`)
)

func naiveClashClassical(o *outcome, text string, line int) {
	m := clashRule.FindStringSubmatch(text)
	typ, value := strings.ToUpper(m[1]), m[2]
	switch {
	case clashOthers.MatchString(typ):
		o.skip(strings.ToLower(strings.TrimPrefix(typ, "DOMAIN-")), line)
	case !slices.Contains([]string{"DOMAIN", "DOMAIN-SUFFIX", "IP-CIDR", "IP-CIDR6"}, typ):
		o.skip("unknown type", line)
	case clashSource.MatchString(m[3]):
		o.skip("src-ip-cidr", line)
	case !clashPlain.MatchString(m[3]):
		o.skip("unknown parameter", line)
	case strings.HasPrefix(typ, "IP"):
		o.naivePrefix(value, line)
	case strings.HasSuffix(value, "."):
		o.skip("bad name", line)
	case typ == "DOMAIN":
		o.name(pattern.Exact, value, false, line)
	default:
		o.name(pattern.Suffix, value, false, line)
	}
}

var clashYAML = regexp.MustCompile(`^(?:\x{feff})?(?:[ \t\v\f\r]*(?:#[^\n]*)?\n)*[ \t\v\f\r]*(payload:|---|\{|%YAML)`)

// naivePayload reads a provider with yaml's own reading of everything; ok is false where it must be refused.
func naivePayload(text string, item naiveClash) (out *outcome, ok bool) {
	if !clashYAML.MatchString(text) {
		out = naiveLines(text, false, func(o *outcome, _ bool, number int, line string) {
			if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "//") {
				item(o, line, number)
			}
		})
		return out, out.ErrLine == 0
	}
	var doc yaml.Node
	d := yaml.NewDecoder(strings.NewReader(text))
	if d.Decode(&doc) != nil || d.Decode(new(yaml.Node)) != io.EOF { //nolint:errorlint // as the decoder says it
		return nil, false
	}
	root, out, found := doc.Content[0], newOutcome(), 0
	if root.Kind != yaml.MappingNode {
		return nil, false
	}
	for i := 0; i < len(root.Content); i += 2 {
		list := root.Content[i+1]
		switch {
		case root.Content[i].Kind != yaml.ScalarNode || root.Content[i].Value != "payload":
			out.skip("unknown field", root.Content[i].Line)
			continue
		case list.Kind != yaml.SequenceNode && list.ShortTag() != "!!null":
			return nil, false
		}
		found++
		for _, node := range list.Content {
			value := strings.Trim(node.Value, " \t\v\f\r\n")
			switch {
			case node.Kind == yaml.AliasNode:
				return nil, false
			case node.Kind != yaml.ScalarNode, node.ShortTag() == "!!null", value == "":
				out.skip("bad value", node.Line)
			default:
				item(out, value, node.Line)
			}
		}
	}
	return out, found == 1
}

var clashItems = map[Format]naiveClash{ClashDomain: naiveClashDomain, ClashClassical: naiveClashClassical}

func differClash(t *testing.T, text string, format Format) {
	t.Helper()
	if len(text) > 60_000 || strings.HasPrefix(text, "SRS") || strings.HasPrefix(text, "MRS") {
		return
	}
	want, ok := naivePayload(text, clashItems[format])
	got := newOutcome()
	report, err := Read(strings.NewReader(text), Options{Format: format}, func(i Item) error {
		got.Items = append(got.Items, i)
		return nil
	})
	if ok != (err == nil) {
		t.Fatalf("%s, %q: error is %v, naive reading says %v", format, text, err, ok)
	}
	if !ok {
		return
	}
	for _, s := range report.Skipped {
		got.Count[s.Kind], got.Skipped[s.Kind] = s.Count, s.Lines
	}
	for kind, lines := range want.Skipped {
		want.Skipped[kind] = lines[:min(len(lines), 5)]
	}
	if diff := cmp.Diff(want, got, samePattern); diff != "" {
		t.Fatalf("%s, %q (-want +got):\n%s", format, text, diff)
	}
}

var (
	clashDomains    = []string{"NAME", "+.NAME", ".NAME", "*.NAME", "*.*.NAME", "+NAME", "+.+.NAME", "NAME.", "..NAME", "DOMAIN,NAME", "NAME NAME", "null", "1", "+.", "."}
	clashClassicals = []string{
		"DOMAIN,NAME", "DOMAIN-SUFFIX,NAME", "domain-suffix, NAME ", "DOMAIN-KEYWORD,NAME", "DOMAIN-REGEX,^NAME", "DOMAIN-WILDCARD,*.NAME", "IP-CIDR,ADDR", "IP-CIDR6,ADDR,no-resolve",
		"IP-CIDR,ADDR,src", "IP-CIDR,ADDR,no-resolve,src", "GEOIP,CN", "DST-PORT,80", "PROCESS-NAME,x y", "AND,((DOMAIN,NAME),(NETWORK,UDP))", "MATCH", "DOMAIN,NAME,PROXY", "NAME", "DOMAIN",
		"DOMAIN,", ",NAME", "IP-CIDR, ADDR , no-resolve", "DOMAIN-SUFFIX,NAME,", "FOO,NAME", "DOMAIN:NAME", "USER-AGENT,a: b", "URL-REGEX,a #b",
	}
)

// randomClash makes up a rule provider, in text or YAML, in simple forms and odd ones.
func randomClash(r *rand.Rand, items []string) string {
	item := func() string {
		text := strings.Replace(items[r.IntN(len(items))], "ADDR", prefixes[r.IntN(len(prefixes))], 1)
		for strings.Contains(text, "NAME") && len(text) < 200 {
			text = strings.Replace(text, "NAME", names[r.IntN(len(names))], 1)
		}
		return text
	}
	var b strings.Builder
	shape := r.IntN(4)
	b.WriteString([]string{"", "", "", "\ufeff", "# c\n", "\n"}[r.IntN(6)])
	if shape > 0 {
		b.WriteString([]string{"payload:\n", "payload:\n", "payload: # c\n", "---\npayload:\n", "payload:  \n", "payload:#\n", "\tpayload:\n", " payload:\n"}[r.IntN(8)])
	}
	indent := strings.Repeat(" ", r.IntN(4))
	odd := []string{"- |\n  x", "- a\n   b", "- [a]", "- a: b", "-", "- ~", "x: y", "---", "...", "- 'a''b'", `- "\x61"`, "- &a b", "- *a", "-a", " - b", "\t- b", "- !!str a", "- #", "-  c", "- {", "payload:"}
	for range r.IntN(10) {
		quote := []string{"", "'", "'", `"`}[r.IntN(4)]
		line := indent + "- " + quote + item() + quote
		switch {
		case shape == 0:
			line = item()
		case r.IntN(40) == 0:
			line = indent + odd[r.IntN(len(odd))]
		}
		if r.IntN(30) == 0 {
			line = mangle(r, line)
		}
		b.WriteString(line + []string{"", "", "", " ", " # c", "#"}[r.IntN(6)] + []string{"\n", "\n", "\r\n", "\n\n", "\n# c\n", "\n   # c\n"}[r.IntN(6)])
	}
	return b.String()
}

func TestClashAgainstNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	for range 5000 {
		differClash(t, randomClash(r, clashDomains), ClashDomain)
		differClash(t, randomClash(r, clashClassicals), ClashClassical)
	}
}

func fuzzClash(f *testing.F, format Format, items []string) {
	r := rand.New(rand.NewPCG(43, 44))
	for range 40 {
		f.Add(randomClash(r, items))
	}
	f.Add("---")
	f.Fuzz(func(t *testing.T, text string) { differClash(t, text, format) })
}

func FuzzClashDomain(f *testing.F)    { fuzzClash(f, ClashDomain, clashDomains) }
func FuzzClashClassical(f *testing.F) { fuzzClash(f, ClashClassical, clashClassicals) }

// Large lists are read line by line; what they hold is the same.
func TestClashLarge(t *testing.T) {
	var large, text bytes.Buffer
	large.WriteString("payload:\n")
	r := rand.New(rand.NewPCG(45, 46))
	for large.Len() < 2*maxYAML {
		name := []string{"", ".", "+."}[r.IntN(3)] + fmt.Sprintf("n%d.example.com", r.IntN(100_000))
		quote := []string{"", "'", `"`}[r.IntN(3)]
		fmt.Fprintf(&large, "  - %s%s%s\n", quote, name, quote)
		fmt.Fprintln(&text, name)
	}
	want := say(t, text.String(), Options{Format: ClashDomain})
	if got := say(t, large.String(), Options{Format: ClashDomain}); !slices.Equal(got, want) {
		t.Errorf("%d items, want %d", len(got), len(want))
	}
}
