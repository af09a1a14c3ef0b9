package listformat

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/pattern"
)

// files are what a list may include.
type files map[string]string

func (f files) open(name string) (io.ReadCloser, error) {
	text, ok := f[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func TestV2fly(t *testing.T) {
	others := files{
		"a": "a1.x\na2.x @p\nfull:a3.x @p @q\nkeyword:k @q\nbad/line\n", "b": "b1.x @p\ninclude:a @-q\n",
		"self": "s.x\ninclude:self\n", "x": "x1.x\ninclude:y @p\n", "y": "y1.x @p\ny2.x\ninclude:x @q\n",
	}
	tests := []struct {
		in, attrs string
		want      []string
	}{
		{"Google.com # c\n\n#x\n domain:a.b @x &y\nFULL:c.d\tfull:\nfull:e.f@x", "", []string{"google.com", "a.b", "bad line: FULL:c.d\tfull:", "bad name: e.f@x"}},
		{"chrome\nfull:localhost\nkeyword:go\nregexp:^a:b$\nregexp:x#y", "", []string{"chrome", "=localhost", "keyword: keyword:go", "regexp: regexp:^a:b$"}},
		{"a_b.c\n-a.b\na-.b\na..b\na.b.\nmünchen.de\n1.2.3.4\n*.x\n=x\ndefault", "", []string{"default.", "bad name: a_b.c"}},
		{"ip:1.2.3.4\na.b @\na.b @x=1\na.b &\na.b b\ninclude:../x\ninclude:a &b\ninclude:\n:x", "", []string{"bad line: ip:1.2.3.4"}},
		{"domain:a.b:@x,@y\nfull:c.d:@x\nregexp:a:@y\nregexp:e:@x\ndomain:f:x\ndomain:g", "y", []string{"a.b", "regexp: regexp:a:@y", "bad line: domain:f:x"}},
		{"regexp:(:@z$|x):@y\nregexp::@y$", "y", []string{"regexp: regexp:(:@z$|x):@y"}},
		{"a @x\nb @X @y\nc\nd @!cn", "x !y", []string{"a"}},
		{"a @x\nc\nd @!cn @x\ne @cn", "!!cn", []string{"a", "c", "e"}},
		{"a @x\nc\nd @!cn @x\ne @cn", "@!cn", []string{"d"}},
		{"a @x\nc\nd @!cn @x\ne @cn", "@-!cn @x", []string{"a"}},
		{"include:A", "", []string{"a1.x", "a2.x", "=a3.x", "keyword: a:4: keyword:k @q", "bad name: a:5: bad/line"}},
		{"include:a @p", "", []string{"a2.x", "=a3.x"}},
		{"include:a @p @q", "", []string{"=a3.x"}},
		{"include:a @-p", "", []string{"a1.x", "keyword: a:4: keyword:k @q", "bad name: a:5: bad/line"}},
		{"include:b @p", "", []string{"b1.x", "a2.x"}},
		{"include:b", "q", nil},
		{"include:a @p\ninclude:a @p\nx\ninclude:a @p", "", []string{"a2.x", "=a3.x", "x"}},
		{"include:self", "", []string{"s.x", "circular include: self:2: self"}},
		{"include:x", "", []string{"x1.x", "y1.x", "circular include: y:3: x"}},
	}
	for _, tt := range tests {
		got := say(t, tt.in, Options{Format: V2fly, Attrs: strings.Fields(tt.attrs), Include: others.open})
		if diff := gocmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q, %q (-want +got):\n%s", tt.in, tt.attrs, diff)
		}
	}
}

// Items and what is skipped say where they stand.
func TestV2flyPlaces(t *testing.T) {
	o := Options{Format: V2fly, Include: files{"a": "#\n\na.x\ninclude:b\n", "b": "b.x\nkeyword:k\n"}.open}
	var places []string
	report, err := Read(strings.NewReader("x\n\ninclude:a\nkeyword:l"), o, func(i Item) error {
		places = append(places, fmt.Sprintf("%s:%d:%s", i.File, i.Line, i.Pattern))
		return nil
	})
	if diff := gocmp.Diff([]string{":1:x", "a:3:a.x", "b:1:b.x"}, places); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	want := []Skipped{{Kind: "keyword", Count: 2, Lines: []int{3, 4}, First: "b:2: keyword:k"}}
	if diff := gocmp.Diff(want, report.Skipped); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// wanted is n attributes that entries must not have.
func wanted(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " @-w%d", i)
	}
	return b.String()
}

func TestV2flyErrors(t *testing.T) {
	long := strings.Repeat("x", maxLine+1)
	others := files{"a": "x\ninclude:none", "zero": "x\n\x00", "long": "a\nb\n" + long, "outer": "\ninclude:long"}
	for i := range maxDepth + 1 {
		others[fmt.Sprint("deep", i)] = fmt.Sprint("include:deep", i+1)
	}
	var wide strings.Builder
	for i := range maxIncludes + 1 {
		fmt.Fprintf(&wide, "include:e @a%d\n", i)
	}
	others["e"] = ""
	others["big"] = strings.Repeat("#"+strings.Repeat("x", 60_000)+"\n", 1000)
	big := ""
	for i := range 10 {
		big += fmt.Sprintf("include:big @a%d\n", i)
	}
	tests := []struct{ in, want string }{
		{"\ninclude:none", "line 2: include:none: file does not exist"},
		{"include:a", "line 1: a:2: include:none: file does not exist"},
		{"x\ninclude:zero", "line 2: include:zero: line 2, column 1: a zero byte"},
		{"x\ninclude:outer", "line 2: outer:2: include:long: line 3: the line is longer"},
		{"include:e" + wanted(maxWanted+1), "line 1: include:e: more than 100 attributes"},
		{"include:deep0", "more than 32 deep"},
		{wide.String(), "line 10001: include:e: more than 10000 files"},
		{big, "have more than 512 MiB"},
	}
	for _, tt := range tests {
		_, err := Read(strings.NewReader(tt.in), Options{Format: V2fly, Include: others.open}, func(Item) error { return nil })
		var ours *Error
		if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.As(err, &ours) || ours.Line == 0 {
			t.Errorf("%.40q: error is %v, want %s", tt.in, err, tt.want)
		}
		if strings.Contains(tt.want, "not exist") && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%.40q: the cause is lost", tt.in)
		}
	}
	if _, err := Read(strings.NewReader("include:e"+wanted(maxWanted)+wanted(maxWanted)), Options{Format: V2fly, Include: others.open}, nil); err != nil {
		t.Error(err)
	}
	_, err := Read(strings.NewReader("include:a"), Options{Format: V2fly}, func(Item) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "nothing can be included here") {
		t.Errorf("without Include: error is %v", err)
	}
	stop := errors.New("stop")
	_, err = Read(strings.NewReader("include:x"), Options{Format: V2fly, Include: files{"x": "y"}.open}, func(Item) error { return stop })
	if err != stop { //nolint:errorlint // it must come as it is
		t.Errorf("the error of emit came as %v", err)
	}
}

// naiveV2fly reads a list and those it includes to formats.md §1.
type naiveV2fly struct {
	files   files // "" the list itself
	items   map[Item]bool
	counts  map[string]int
	failed  bool
	cycles  bool
	read    map[string]bool // by name and filter
	badSeen map[string]bool
}

var (
	v2flyValue  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	v2flyExport = regexp.MustCompile(`(?s)^(.*):(@[A-Za-z0-9!-]+(?:,@[A-Za-z0-9!-]+)*)$`)
	v2flyMark   = regexp.MustCompile(`^[@&][A-Za-z0-9!-]+$`)
	v2flySite   = regexp.MustCompile(`^[A-Za-z0-9!-]+$`)
)

// list reads one file; with and without are what its entries must and must not have, stack the files open.
func (n *naiveV2fly) list(name string, with, without, stack []string) {
	slices.Sort(with)
	slices.Sort(without)
	with, without = slices.Compact(with), slices.Compact(without)
	key := fmt.Sprintf("%q", [][]string{{name}, with, without})
	if n.read[key] {
		return
	}
	n.read[key] = true
	text, ok := n.files[name]
	n.failed = n.failed || !ok || strings.Contains(text, "\x00")
	for i, line := range strings.Split(strings.TrimPrefix(text, "\xef\xbb\xbf"), "\n") {
		n.failed = n.failed || len(strings.TrimRight(line, "\r")) > 65536
		line, _, _ = strings.Cut(line, "#")
		words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\v\f\r", r) })
		if len(words) == 0 {
			continue
		}
		kind, value, attrs, ok := naiveEntry(words)
		switch {
		case !ok:
			if at := fmt.Sprint(name, ":", i); !n.badSeen[at] {
				n.badSeen[at] = true
				n.counts["bad line"]++
			}
		case kind == "include":
			n.include(strings.ToLower(value), attrs, with, without, stack)
		case slices.ContainsFunc(with, func(a string) bool { return !slices.Contains(attrs, a) }):
		case slices.ContainsFunc(without, func(a string) bool { return slices.Contains(attrs, a) }):
		case kind == "keyword" || kind == "regexp":
			n.counts[kind]++
		case !v2flyValue.MatchString(value) || len(value) > 253 || onlyDigit.MatchString(value):
			n.counts["bad name"]++
		default:
			host, _ := naiveName(value)
			p := pattern.Pattern{Kind: map[string]pattern.Kind{"domain": pattern.Suffix, "full": pattern.Exact}[kind], Name: host}
			n.items[Item{Pattern: p, File: name, Line: i + 1}] = true
		}
	}
}

func (n *naiveV2fly) include(name string, attrs, with, without, stack []string) {
	with, without = slices.Clone(with), slices.Clone(without)
	for _, a := range attrs {
		if strings.HasPrefix(a, "-") {
			without = append(without, a[1:])
		} else {
			with = append(with, a)
		}
	}
	if slices.Contains(stack, name) {
		n.cycles = true
	}
	n.list(name, with, without, append(slices.Clone(stack), name))
}

// naiveEntry reads the words of a line.
func naiveEntry(words []string) (kind, value string, attrs []string, ok bool) {
	kind, value, typed := strings.Cut(words[0], ":")
	if !typed {
		kind, value = "domain", words[0]
	}
	kind = strings.ToLower(kind)
	if m := v2flyExport.FindStringSubmatch(value); m != nil && kind != "include" {
		value = m[1]
		for attr := range strings.SplitSeq(m[2], ",") {
			attrs = append(attrs, strings.ToLower(attr[1:]))
		}
	}
	for _, w := range words[1:] {
		if !v2flyMark.MatchString(w) || kind == "include" && w[0] == '&' {
			return "", "", nil, false
		}
		if w[0] == '@' {
			attrs = append(attrs, strings.ToLower(w[1:]))
		}
	}
	switch kind {
	case "domain", "full", "keyword":
		ok = !strings.Contains(value, ":")
	case "include":
		ok = v2flySite.MatchString(value)
	case "regexp":
		ok = true
	}
	if kind == "domain" || kind == "full" {
		if !strings.ContainsFunc(value, func(r rune) bool { return r > 127 }) {
			value = strings.ToLower(value)
		}
	}
	return kind, value, attrs, ok && value != ""
}

// differV2fly fails t if the reader and the naive reading make different things of these files.
func differV2fly(t *testing.T, all files, attrs []string) {
	t.Helper()
	n := naiveV2fly{files: all, items: map[Item]bool{}, counts: map[string]int{}, read: map[string]bool{}, badSeen: map[string]bool{}}
	var with, without []string
	for _, a := range attrs {
		if strings.HasPrefix(a, "!") {
			without = append(without, strings.ToLower(a[1:]))
		} else {
			with = append(with, strings.ToLower(a))
		}
	}
	n.list("", with, without, nil)
	items, counts := map[Item]bool{}, map[string]int{}
	report, err := Read(strings.NewReader(all[""]), Options{Format: V2fly, Attrs: attrs, Include: all.open}, func(i Item) error {
		items[i] = true
		return nil
	})
	if n.failed || err != nil {
		if !n.failed || err == nil {
			t.Fatalf("%q, %q: error is %v, want one: %v", all, attrs, err, n.failed)
		}
		return
	}
	for _, s := range report.Skipped {
		counts[s.Kind] = s.Count
	}
	if n.cycles { // how often they are read on the way around is the reader's business
		n.counts, counts = nil, nil
	}
	order := func(a, b Item) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Pattern.Name, b.Pattern.Name))
	}
	if diff := gocmp.Diff(slices.SortedFunc(maps.Keys(n.items), order), slices.SortedFunc(maps.Keys(items), order), samePattern); diff != "" {
		t.Fatalf("%q, %q: items (-want +got):\n%s", all, attrs, diff)
	}
	if diff := gocmp.Diff(n.counts, counts); diff != "" {
		t.Fatalf("%q, %q: counts (-want +got):\n%s", all, attrs, diff)
	}
}

var v2flyLines = []string{
	"NAME", "domain:NAME", "full:NAME", "FULL:NAME @a", "NAME @a @b", "NAME @A &list", "NAME @!cn", "keyword:NAME", "keyword:x @a", "regexp:^NAME$",
	"regexp:(a:b)+:@b", "regexp:a b", "include:a", "include:b", "include:a @a", "include:b @-a", "include:A @a @b", "include:b @!cn", "include:c", "include:a &list",
	"domain:NAME:@a,@b", "full:NAME:@a", "domain:NAME:@a @b", "domain:NAME:@", "domain:NAME:a", "# NAME", "NAME # @a", "NAME#", "NAME @a# @b", "NAME @", "NAME a",
	"NAME @a=1", "domain:", ":NAME", "ip:NAME", "include:", "include:../a", "NAME\t@a", "NAME @b &x &y", "domain:domain:NAME", "full:NAME:@a,b", "NAME &x @a",
}

func randomV2fly(r *rand.Rand) files {
	lines := slices.DeleteFunc(slices.Clone(v2flyLines), func(s string) bool { return s == "include:c" && r.IntN(4) > 0 })
	return files{"": randomList(r, lines), "a": randomList(r, lines), "b": randomList(r, lines)}
}

func TestV2flyAgainstNaive(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 1000 {
		attrs := [][]string{nil, nil, {"a"}, {"!a"}, {"B", "!a"}, {"!!cn"}}[r.IntN(6)]
		differV2fly(t, randomV2fly(r), attrs)
	}
}

func FuzzV2fly(f *testing.F) {
	r := rand.New(rand.NewPCG(13, 14))
	for range 20 {
		all := randomV2fly(r)
		f.Add(all[""], all["a"], all["b"], []string{"", "a", "!a", "b"}[r.IntN(4)])
	}
	f.Fuzz(func(t *testing.T, list, a, b, attr string) {
		if strings.HasPrefix(attr, "@") {
			return
		}
		var attrs []string
		if attr != "" {
			attrs = []string{attr}
		}
		differV2fly(t, files{"": list, "a": a, "b": b}, attrs)
	})
}
