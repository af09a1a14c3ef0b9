package listformat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/pattern"
)

func TestSingBox(t *testing.T) {
	rules := func(text string) string { return `{"version":3,"rules":[` + text + `]}` }
	tests := []struct {
		in   string
		want []string
	}{
		{`{"version": 3, "rules": []}`, nil},
		{"\xef\xbb\xbf" + `{"rules":[{"domain":["A.com"],"domain_suffix":[".cn","b.com"],"domain_keyword":["x"],"domain_regex":["^s.+"],"invert":false}],"version":1}`,
			[]string{"=a.com", "*.cn", "b.com", "keyword: x", "regex: ^s.+"}},
		{rules(`{"domain":"a.com","domain_suffix":"b","domain_keyword":"x"}`), []string{"=a.com", "b", "keyword: x"}},
		{rules(`{"domain":"a","port":80},{"domain_suffix":"b"},{"port":[443],"network":"tcp"}`), []string{"b", "port: port"}},
		{rules(`{"network":"udp","domain":["a","b"],"port":80}`), []string{"network: network"}},
		{rules(`{"domain":"a","invert":true}`), []string{"invert: invert"}},
		{rules(`{"domain":"a","port":[],"invert":false,"network":null,"network_interface_address":{}}`), []string{"=a"}},
		{rules(`{"domain":"a","port":false},{"domain":"b","network":""}`), []string{"port: port", "network: network"}},
		{rules(`{"mode":"and","rules":[{"domain":"a"},{"domain":"b"}],"type":"logical"}`), []string{"logical: type"}},
		{rules(`{"type":"default","domain":"a"},{"type":"new","domain":"b"},{"type":["logical"],"domain":"c"}`), []string{"=a", "unknown type: new"}},
		{rules(`{"Domain":"a"},{"domain":"b","nonsense":null}`), []string{"unknown field: Domain"}},
		{rules(`{},{"domain":[]}`), []string{"empty rule: "}},
		{rules(`{"domain":"a","ip_cidr":["10.0.0.0/8","192.0.2.7","2001:db8::1/32","::ffff:192.0.2.9/120","10.0.0.1/33","fe80::1%a"]}`),
			[]string{"=a", "10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "192.0.2.0/24", "bad address: 10.0.0.1/33"}},
		{rules(`{"source_ip_cidr":"10.0.0.0/8","domain":"a"}`), []string{"source_ip_cidr: source_ip_cidr"}},
		{rules(`{"domain":["a..b","*.x","1.2.3.4","=x",""," "],"domain_suffix":[".","..x","a.b."]}`), []string{"a.b", "bad name: a..b"}},
		{rules(`{"domain":["a",1e999,null,true,["b"],{"c":"d"},"e"],"domain_suffix":17}`), []string{"=a", "=e", "bad value: domain"}},
		{`{"version":4,"rules":[{"domain":"a","domain":"b"}],"$schema":{"a":[1,{}]}}`, []string{"=a", "=b", "unknown field: $schema"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, say(t, tt.in, Options{Format: SingBox})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.in, diff)
		}
	}
}

// Items and what is skipped have the lines on which they end, however the reader gives out the text.
func TestSingBoxLines(t *testing.T) {
	text := `{ "version": 3, "x":
  1, "rules": [
    {
      "domain": ["a",
        "b", "c..d"
      ], "domain_suffix":

      "e",
      "domain_keyword": ["f",
        "g"], "domain_regex": [1,
        2],
      "ip_cidr": ["192.0.2.1",
        "x"]
    }, { "domain": "h",
      "port": [
        80 ]},
    {},
    {"domain": "i", "new": 1}, {"domain": "j",
      "type": "logical"},
    {"domain": "k", "type": "a"}
  ]
}`
	want := []string{"=a 4", "=b 5", "e 8", "192.0.2.1 12",
		"unknown field [1 18]", "bad name [5]", "keyword [9 10]", "bad value [10 11]", "bad address [13]",
		"port [15]", "empty rule [17]", "logical [19]", "unknown type [20]"}
	for _, in := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n"))} {
		var got []string
		report, err := Read(in, Options{Format: SingBox}, func(i Item) error {
			got = append(got, fmt.Sprint(i.Pattern, " ", i.Line))
			return nil
		})
		for _, s := range report.Skipped {
			got = append(got, fmt.Sprint(s.Kind, " ", s.Lines))
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

func TestSingBoxErrors(t *testing.T) {
	deep := strings.Repeat(`{"a":[`, 1<<20)
	rest := `{"version":3,"rules":[{"domain":"a"},` + "\n\n"
	tests := []struct{ in, want string }{
		{"", "ends too soon"}, {" ", "ends too soon"}, {"[]", "line 1: a rule-set is a JSON object"}, {`"x"`, "a rule-set is"}, {"null", "a rule-set is"},
		{"{}", `no "version"`}, {`{"rules":[]}`, `no "version"`}, {`{"version":5}`, "line 1: version 5 is not known; 1 to 4 are"},
		{`{"version":0}`, "version 0"}, {`{"version":"3"}`, "version 3 is not known"}, {`{"version":3.0}`, "version 3.0"}, {`{"version":[]}`, "version ["},
		{`{"version":` + strings.Repeat("9", 1000) + `}`, "is not known"},
		{`{"version":3,"rules":{}}`, `"rules" is a list`}, {rest + `"a"]}`, "line 3: a rule is a JSON object"}, {rest + `null]}`, "line 3: a rule is"},
		{rest, "line 3: the JSON ends too soon"}, {rest + `{"domain":"b`, "ends too soon"}, {rest + `{]`, "line 3: not JSON"}, {rest + `{"a" "b"}`, "line 3: not JSON"},
		{rest + `{"a":1,}]}`, "not JSON"}, {`{"version":3} x`, "line 1: not JSON"}, {`{"version":3}{}`, "something follows"},
		{`{"version":3,"x":` + deep, "nested more than 100 deep"}, {`{"version":3,"rules":[` + deep, "nested more than 100 deep"},
		{rest + strings.Repeat(" ", 2<<20) + "{}]}", "a single value has more than 1 MiB"},
		{rest + `{"domain":"` + strings.Repeat("x", 2<<20) + `"}]}`, "a single value has more than 1 MiB"},
		{rest + `{"x":` + strings.Repeat("1", 2<<20) + `}]}`, "a single value has more than 1 MiB"},
		{"SRS\x01xxx", "sing-box rule-set decompile FILE"}, {"example.com\n", "not JSON"},
	}
	for _, tt := range tests {
		_, err := Read(strings.NewReader(tt.in), Options{Format: SingBox}, func(Item) error { return nil })
		var ours *Error
		if !errors.As(err, &ours) || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 200 {
			t.Errorf("%.60q: error is %v, want %s", tt.in, err, tt.want)
		}
	}
	broken := errors.New("broken")
	for n := range 40 {
		in := io.MultiReader(strings.NewReader((rest + rest)[:n]), iotest.ErrReader(broken))
		if _, err := Read(in, Options{Format: SingBox}, func(Item) error { return nil }); !errors.Is(err, broken) {
			t.Fatalf("after %d bytes the reader's error came as %v", n, err)
		}
	}
}

// repeatText is text, n times.
func repeatText(n int, text string) io.Reader {
	all := make([]io.Reader, 0, n)
	for range n {
		all = append(all, strings.NewReader(text))
	}
	return io.MultiReader(all...)
}

// A rule of many names takes little memory, as many rules take hardly any.
func TestSingBoxMemory(t *testing.T) {
	names := strings.Repeat(`"a-name-of-usual-length.example.com",`, 1000)
	rules := strings.Repeat(`{"domain_suffix":["a-name-of-usual-length.example.com"]},`, 1000)
	head := `{"version":3,"rules":[`
	tests := []struct {
		in    io.Reader
		most  uint64
		items int
	}{
		{io.MultiReader(strings.NewReader(head+`{"domain":[`), repeatText(100, names), strings.NewReader(`"z"]}]}`)), 6 << 20, 100_001},
		{io.MultiReader(strings.NewReader(head), repeatText(100, rules), strings.NewReader(`{"domain":"z"}]}`)), 1 << 20, 100_001},
	}
	for _, tt := range tests {
		runtime.GC()
		var at, now runtime.MemStats
		runtime.ReadMemStats(&at)
		most, n := uint64(0), 0
		in := &probe{tt.in, func() {
			if n++; n%10 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc)
			}
		}}
		report, err := Read(in, Options{Format: SingBox}, func(Item) error { return nil })
		if err != nil || report.Items != tt.items {
			t.Errorf("%d items, %v; want %d", report.Items, err, tt.items)
		}
		if most > at.HeapAlloc+tt.most {
			t.Errorf("held %d bytes, want %d at most", most-at.HeapAlloc, tt.most)
		} else if most == 0 {
			t.Error("nothing was measured")
		}
	}
}

// What is held comes back as it was, and there is an end to it.
func TestHeldItems(t *testing.T) {
	var held heldItems
	var want, got []Item
	for line := range 1000 {
		for _, p := range randomPatterns(rand.New(rand.NewPCG(35, 36)), 20) {
			want = append(want, Item{Pattern: p, Line: line << 20})
			if err := held.add(want[len(want)-1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop := errors.New("stop")
	if err := held.each(func(i Item) error {
		if got = append(got, i); len(got) == len(want) {
			return stop
		}
		return nil
	}); !errors.Is(err, stop) || !slices.Equal(want, got) {
		t.Errorf("%v, %d patterns of %d", err, len(got), len(want))
	}
	long := pattern.Pattern{Kind: pattern.Exact, Name: pattern.Name(strings.Repeat("\x01a", 127) + "\x00")}
	var err error
	for n := 0; err == nil && n <= maxRule; n += len(long.Name) {
		err = held.add(Item{Pattern: long})
	}
	if err == nil || !strings.Contains(err.Error(), "a rule or list has more than 128 MiB") {
		t.Errorf("error is %v", err)
	}
}

// probe calls do at every reading.
type probe struct {
	io.Reader
	do func()
}

func (p *probe) Read(b []byte) (int, error) {
	p.do()
	return p.Reader.Read(b)
}

func differSingBox(t *testing.T, text []byte) {
	t.Helper()
	if bytes.HasPrefix(text, []byte("SRS")) {
		return
	}
	want, ok := naiveSingBox(text)
	got := newOutcome()
	line := 1
	report, err := Read(bytes.NewReader(text), Options{Format: SingBox}, func(i Item) error {
		if i.Line < line || i.Line > 1+bytes.Count(text, []byte("\n")) {
			t.Errorf("%q: %s on line %d after one on %d", text, i.Pattern, i.Line, line)
		}
		line, i.Line = i.Line, 0 // the tree has no lines; TestSingBoxLines has
		got.Items = append(got.Items, i)
		return nil
	})
	if ok != (err == nil) {
		t.Fatalf("%q: error is %v, naive reading says %v", text, err, ok)
	}
	if !ok {
		return
	}
	for _, s := range report.Skipped {
		got.Count[s.Kind] = s.Count
	}
	want.Skipped = got.Skipped
	if diff := cmp.Diff(want, got, samePattern); diff != "" {
		t.Fatalf("%q (-want +got):\n%s", text, diff)
	}
}

// prefixes are addresses and prefixes, good and bad.
var prefixes = []string{"10.0.0.0/8", "10.1.2.3/8", "192.0.2.7", "2001:db8::/32", "2001:db8::1", "::ffff:1.2.3.4", "::ffff:1.2.3.4/100", "::ffff:1.2.3.4/90",
	"0.0.0.0/0", "::/0", "1.2.3.4/33", "1.2.3/8", "fe80::1%eth0", "fe80::%a/10", "x", "", "10.0.0.0/08", "1.2.3.4/", "/8"}

// randomSingBox makes up a rule-set, at times with damage.
func randomSingBox(r *rand.Rand) []byte {
	value := func(field string) any {
		switch {
		case r.IntN(20) == 0:
			return []any{nil, true, 5, map[string]int{"a": 1}, []any{}, ""}[r.IntN(6)]
		case field == "ip_cidr":
			return prefixes[r.IntN(len(prefixes))]
		case field == "domain_suffix" && r.IntN(2) == 0:
			return "." + names[r.IntN(len(names))]
		}
		return names[r.IntN(len(names))]
	}
	var b bytes.Buffer
	b.WriteString(`{"version": ` + []string{"1", "2", "3", "3", "4", "4", "5"}[r.IntN(7)] + `, "rules": [`)
	for i := range r.IntN(6) {
		rule := map[string]any{}
		for range r.IntN(4) {
			field := []string{"domain", "domain_suffix", "domain_keyword", "domain_regex", "ip_cidr"}[r.IntN(5)]
			list := make([]any, r.IntN(4))
			for j := range list {
				list[j] = value(field)
			}
			if rule[field] = list; r.IntN(3) == 0 {
				rule[field] = value(field)
			}
		}
		if r.IntN(3) == 0 {
			field := []string{"port", "network", "invert", "type", "rules", "wifi_ssid", "network_interface_address", "x"}[r.IntN(8)]
			rule[field] = []any{nil, false, true, []int{}, []int{80}, "", "logical", "default", map[string]int{}, map[string]any{"a": nil}}[r.IntN(10)]
		}
		text, _ := json.MarshalIndent(rule, "", strings.Repeat(" ", r.IntN(3)))
		b.WriteString([]string{"", ","}[min(i, 1)])
		b.Write(text)
	}
	b.WriteString("]}\n")
	if text := b.String(); r.IntN(10) == 0 {
		return []byte(mangle(r, text))
	} else if r.IntN(20) == 0 {
		return []byte(text[:r.IntN(len(text))])
	}
	return b.Bytes()
}

func TestSingBoxAgainstNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	for range 5000 {
		differSingBox(t, randomSingBox(r))
	}
}

func FuzzSingBox(f *testing.F) {
	r := rand.New(rand.NewPCG(33, 34))
	for range 30 {
		f.Add(randomSingBox(r))
	}
	f.Add([]byte(`{"version":3,"rules":[{"type":"logical","mode":"and","rules":[{"domain":"a"}]},{"domain":"a","domain":["b"]}],"version":4}`))
	f.Fuzz(func(t *testing.T, text []byte) { differSingBox(t, text) })
}
