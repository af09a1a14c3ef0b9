package ruleio

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/testlist"
)

// files are a made-up file system.
type files map[string]string

func (f files) open(path string) (io.ReadCloser, error) {
	text, ok := f[path]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func users(name string) (uint32, error) {
	if name == "anna" {
		return 1000, nil
	}
	return 0, fmt.Errorf("no user %q", name)
}

// merge reads configuration files in the order given: path, text, path, text.
func merge(t testing.TB, texts ...string) *Config {
	t.Helper()
	var all []*File
	for i := 0; i < len(texts); i += 2 {
		f, err := Parse(Source{Path: texts[i], Data: []byte(texts[i+1])})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	c, err := Merge(all)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func load(t testing.TB, f files, texts ...string) *Loaded {
	t.Helper()
	l, err := merge(t, texts...).Load(LoadOptions{Open: f.open, Users: users, Thorough: true})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func rulesOf(t testing.TB, l *Loaded) string {
	t.Helper()
	text, err := l.Rules.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestMergeOptions(t *testing.T) {
	c := merge(t,
		"a.yaml", "observe: [sockets]\ncgroup: /a\nhistory: no\naudit: no\nflush: yes\ntargets: {office: wg0, lab: wg7}\nrules: [{match: x, target: office}, {match: y, target: lab}]",
		"b.yaml", "observe: [libc, \"tc:eth1\"]\nhistory: yes\naudit: yes\ntargets: {office: {chain: [wg1, wwan0], else: direct}}")
	if diff := cmp.Diff([]string{"libc", "tc:eth1"}, c.Observe); diff != "" || c.Cgroup != "/a" || !*c.History || !*c.Audit || !*c.Flush {
		t.Errorf("got %+v", c)
	}
	l, err := c.Load(LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The later file's office counts for the earlier file's rule.
	if got, want := rulesOf(t, l), "x wg1,wwan0,direct\ny wg7\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNearTarget(t *testing.T) {
	l := load(t, nil, "c.yaml", "targets: {office: wg0, wg1: wg2}\nrules:\n - {match: a, target: ofice}\n - {match: b, target: wg3}\n")
	want := []Finding{{NearTarget, `ofice is taken for an interface; did you mean the target "office"?`, Place{"c.yaml", 3}, Place{}}}
	if diff := cmp.Diff(want, l.Findings); diff != "" {
		t.Error(diff)
	}
}

// Of short names one that has two letters swapped is nearly the other; wg0 and wg1 are both meant.
func TestNearTargetTransposed(t *testing.T) {
	l := load(t, nil, "c.yaml", "targets: {vpn: wg0, wg1: wg2}\nrules:\n - {match: a, target: vnp}\n - {match: b, target: wg3}\n - {match: c, target: w}\n")
	want := []Finding{{NearTarget, `vnp is taken for an interface; did you mean the target "vpn"?`, Place{"c.yaml", 3}, Place{}}}
	if diff := cmp.Diff(want, l.Findings); diff != "" {
		t.Error(diff)
	}
}

const plainSuffix = "format: plain, match: suffix"

// The order of precedence, layer by layer.
func TestLoadOrder(t *testing.T) {
	f := files{
		"d/one": "a.x\nb.x\nc.x\nd.x\ne.x\n",
		"d/two": "b.x\nc.x\n",
		"/abs":  "d.x\n",
	}
	l := load(t, f,
		"d/1.yaml", "rules:\n - {match: c.x, target: in1}\n - {match: f.x, target: in1}\n - {match: e.x, target: in1}\nlists:\n - {file: one, "+plainSuffix+", target: list1}\n",
		"d/2.yaml", "lists:\n - {file: two, "+plainSuffix+", target: list2}\n - {file: /abs, "+plainSuffix+", target: list3}\n",
		"d/3.yaml", "remove: [e.x, d.x]\nrules:\n - {match: f.x, target: in3}\n")
	want := "a.x list1\nb.x list2\nc.x in1\nf.x in3\n"
	if got := rulesOf(t, l); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	wantFindings := []Finding{
		{Overridden, "f.x goes to in3 here, not to in1 as in an earlier file", Place{"d/3.yaml", 3}, Place{"d/1.yaml", 3}},
		{Overlap, "b.x goes to list2 here, and to list1 in an earlier list", Place{"d/two", 1}, Place{"d/one", 2}},
		{Overlap, "c.x goes to list2 here, and to list1 in an earlier list", Place{"d/two", 2}, Place{"d/one", 3}},
		{Overlap, "d.x goes to list3 here, and to list1 in an earlier list", Place{"/abs", 1}, Place{"d/one", 4}},
		{Overridden, "c.x goes to in1 here, not to list2 as in a list", Place{"d/1.yaml", 2}, Place{"d/two", 2}},
	}
	if diff := cmp.Diff(wantFindings, l.Findings); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/abs", "d/one", "d/two"}, l.Inputs); diff != "" {
		t.Error(diff)
	}
}

// What a file removes is not removed from its own lists and rules.
func TestRemove(t *testing.T) {
	f := files{"l": "a\nb\n"}
	l := load(t, f,
		"1.yaml", "rules: [{match: [c, d], target: w1}, {match: d, target: w1, user: 5}]",
		"2.yaml", "remove: [a, c, d, zz, {match: d, user: anna}]\nrules: [{match: c, target: w2}]\nlists: [{file: l, "+plainSuffix+", target: w3}]")
	if got, want := rulesOf(t, l), "a w3\nb w3\nc w2\nd w1 user=5\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	want := []Finding{
		{Unused, "a is removed here, and no earlier file has a rule of exactly this", Place{"2.yaml", 1}, Place{}},
		{Unused, "zz is removed here, and no earlier file has a rule of exactly this", Place{"2.yaml", 1}, Place{}},
		{Unused, "d is removed here, and no earlier file has a rule of exactly this", Place{"2.yaml", 1}, Place{}},
	}
	if diff := cmp.Diff(want, l.Findings); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]uint32{"anna": 1000}, l.Users); diff != "" {
		t.Error(diff)
	}
}

// cutGzip is a stream that is good at its beginning.
func cutGzip(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	w := gzip.NewWriter(&b)
	for _, n := range testlist.Names(1, 50_000) {
		_, _ = w.Write([]byte(n + "\n"))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()[:b.Len()/2]
}

func TestLoadErrors(t *testing.T) {
	f := files{"plain": "a.b\n", "bad.gz": "\x1f\x8b\x08 damaged", "empty": "", "cut.gz": cutGzip(t), "d/inc": "a.b\ninclude:nope\n", "x.srs": "SRS\x01", "hosts": "192.0.2.1 a.b\n192.0.2.1 c.d\n"}
	for _, tt := range []struct{ text, want string }{
		{"rules:\n - {match: a, target: w}\n - {match: b, target: w}\n - {match: a, target: v}\n", "c.yaml:4:12: a goes to v here, and to w on line 2"},
		{"rules:\n - {match: a, target: w, user: anna}\n - {match: a, target: v, user: 1000}\n", "c.yaml:3:12: a user=1000 goes to v here, and to w on line 2"},
		{"rules:\n - {match: a, target: w, user: otto}\n", `c.yaml:2:32: condition "user=otto": unknown user: no user "otto"`},
		{"rules:\n - {match: a, target: w, user: \"a b\"}\n", `c.yaml:2:32: condition "user=a b": unknown user`},
		{"lists: [{file: nope, target: w}]", "c.yaml:1:16: open nope: file does not exist"},
		{"lists: [{file: plain, target: w}]", `c.yaml:1:9: plain looks like a plain list: a plain list needs "match: suffix"`},
		{"lists: [{file: hosts, match: exact, target: w}]", `c.yaml:1:30: hosts looks like a hosts list: "match" is for plain lists`},
		{"lists: [{file: empty, target: w}]", `c.yaml:1:16: the format of empty cannot be told; add a key "format"`},
		{"lists: [{file: bad.gz, target: w}]", "bad.gz: gzip: the file ends too early"},
		{"lists: [{file: cut.gz, format: plain, match: exact, target: w}]", "cut.gz: "},
		{"lists: [{file: d/inc, format: v2fly, target: w}]", "d/inc:2: include:nope: open d/nope: file does not exist"},
		{"lists: [{file: x.srs, target: w}]", "x.srs: a compiled rule set of sing-box"},
	} {
		_, err := merge(t, "c.yaml", tt.text).Load(LoadOptions{Open: f.open, Users: users})
		var e *Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s\n got %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

// Without an Opener there are no lists, and without Users no names of users.
func TestLoadNil(t *testing.T) {
	for text, want := range map[string]string{
		"lists: [{file: x, target: w}]":           "c.yaml:1:16: lists cannot be read here",
		"rules: [{match: a, target: w, user: u}]": `c.yaml:1:37: condition "user=u": write the user's number, as in user=1000`,
	} {
		if _, err := merge(t, "c.yaml", text).Load(LoadOptions{}); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestLists(t *testing.T) {
	f := files{
		"h":   "192.0.2.1 a.b c.d # x\n192.0.2.1 localhost\n",
		"adb": "||one.x^\n@@||two.x^\n||two.x^\n||three.x^\n@@||three.x^\n",
		"one": "two.x\nthree.x\n",
		"w":   "a.b\nx.a.b\n=a.b\n*.c.d\nc.d\nx.c.d\n10.0.0.0/8\n10.1.0.0/16\n11.0.0.0/8\n",
	}
	l := load(t, f, "c.yaml", "lists:\n - {file: h, target: w1, user: anna, cgroup: s.slice}\n"+
		" - {file: one, "+plainSuffix+", target: w2}\n - {file: adb, format: adblock, target: w2}\n"+
		" - {file: w, "+plainSuffix+", target: w3, without: [=a.b, x.a.b, \"*.c.d\", 10.0.0.0/8, zz]}\n")
	want := "=a.b w1 user=1000 cgroup=/s.slice\na.b w3\n=c.d w1 user=1000 cgroup=/s.slice\nc.d w3\none.x w2\nthree.x direct\ntwo.x direct\n11.0.0.0/8 w3\n"
	if got := rulesOf(t, l); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	wantFindings := []Finding{
		{Overlap, "two.x goes to direct here, and to w2 in an earlier list", Place{"adb", 2}, Place{"one", 1}},
		{Overlap, "three.x goes to direct here, and to w2 in an earlier list", Place{"adb", 5}, Place{"one", 2}},
		{Unused, "zz leaves out nothing of w", Place{"c.yaml", 5}, Place{}},
	}
	if diff := cmp.Diff(wantFindings, l.Findings); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, r := range l.Lists {
		got = append(got, strings.TrimSpace(fmt.Sprintln(r.Path, r.Format, r.Guessed, r.Without, r.Items)))
	}
	if diff := cmp.Diff([]string{"h hosts true 0 2", "one plain false 0 2", "adb adblock false 0 3", "w plain false 6 9"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestInclude(t *testing.T) {
	f := files{"d/main": "include:other\ndomain:a.x\n", "d/other": "full:b.x\ncom\n"}
	l := load(t, f, "c.yaml", "lists: [{file: d/main, format: v2fly, target: w}]")
	if got, want := rulesOf(t, l), "com w\na.x w\n=b.x w\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if diff := cmp.Diff([]string{"d/main", "d/other"}, l.Inputs); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Finding{{PublicSuffix, "com is a public suffix: the rule is for everybody's names below it", Place{"d/other", 2}, Place{}}}, l.Findings); diff != "" {
		t.Error(diff)
	}
}

func TestChecks(t *testing.T) {
	f := files{"l": "www.one.x\n*.one.x\n=two.x\n*.two.x\nfive.x\n"}
	l := load(t, f, "c.yaml", `rules:
  - {match: [one.x, a.one.x, two.x], target: w}
  - {match: [three.x, 10.0.0.0/8, 10.1.0.0/16], target: w}
  - {match: [a.three.x, 10.2.0.0/16], target: w, user: 5}
  - {match: [b.three.x, three.x], target: v, user: 6}
  - {match: [a.three.x, "=b.three.x"], target: w}
  - {match: [20.0.0.0/8, 21.0.0.0/9, 21.128.0.0/9, 21.0.0.0/8, 127.1.0.0/16, "ff02::1", 0.0.0.0/0], target: v}
  - {match: [com, "*.co.uk", =net, corp, github.io, "*.github.io", x.github.io], target: w}
  - {match: five.x, target: w, user: 5}
lists: [{file: l, `+plainSuffix+`, target: w}]
`)
	place := func(line int) Place { return Place{"c.yaml", line} }
	list := func(line int) Place { return Place{"l", line} }
	want := []Finding{
		{Unreachable, "127.1.0.0/16 decides nothing: loopback, link-local, multicast, broadcast and unspecified addresses are left alone", place(7), Place{}},
		{Unreachable, "ff02::1 decides nothing: loopback, link-local, multicast, broadcast and unspecified addresses are left alone", place(7), Place{}},
		{PublicSuffix, "com is a public suffix: the rule is for everybody's names below it", place(8), Place{}},
		{PublicSuffix, "*.co.uk is a public suffix: the rule is for everybody's names below it", place(8), Place{}},
		{Redundant, "*.github.io goes to w by github.io anyway", place(8), place(8)},
		{Redundant, "x.github.io goes to w by *.github.io anyway", place(8), place(8)},
		{Redundant, "five.x user=5 goes to w by five.x anyway", place(9), list(5)},
		{Redundant, "*.one.x goes to w by one.x anyway", list(2), place(2)},
		{Redundant, "a.one.x goes to w by *.one.x anyway", place(2), list(2)},
		{Redundant, "www.one.x goes to w by *.one.x anyway", list(1), list(2)},
		{Redundant, "a.three.x user=5 goes to w by a.three.x anyway", place(4), place(6)},
		{Redundant, "b.three.x user=6 goes to v by three.x user=6 anyway", place(5), place(5)},
		{Redundant, "=two.x goes to w by two.x anyway", list(3), place(2)},
		{Unreachable, "two.x decides nothing: =two.x and *.two.x come first", place(2), list(3)},
		{Redundant, "*.two.x goes to w by two.x anyway", list(4), place(2)},
		{Redundant, "10.1.0.0/16 goes to w by 10.0.0.0/8 anyway", place(3), place(3)},
		{Redundant, "10.2.0.0/16 user=5 goes to w by 10.0.0.0/8 anyway", place(4), place(3)},
		{Redundant, "20.0.0.0/8 goes to v by 0.0.0.0/0 anyway", place(7), place(7)},
		{Unreachable, "21.0.0.0/8 decides nothing: 21.0.0.0/9 and the other half come first", place(7), place(7)},
		{Redundant, "21.0.0.0/9 goes to v by 21.0.0.0/8 anyway", place(7), place(7)},
		{Redundant, "21.128.0.0/9 goes to v by 21.0.0.0/8 anyway", place(7), place(7)},
		{Redundant, "127.1.0.0/16 goes to v by 0.0.0.0/0 anyway", place(7), place(7)},
	}
	if diff := cmp.Diff(want, l.Findings); diff != "" {
		t.Error(diff)
	}
}

// Many findings are counted, not kept.
func TestFindingsAreBounded(t *testing.T) {
	var one, two strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&one, "n%d.x\n", i)
		fmt.Fprintf(&two, "n%d.x\na.n%d.x\n", i, i)
	}
	l := load(t, files{"one": one.String(), "two": two.String()}, "c.yaml",
		"lists:\n - {file: one, "+plainSuffix+", target: w1}\n - {file: two, "+plainSuffix+", target: w2}\n")
	if diff := cmp.Diff(map[Kind]int{Overlap: 1000, Redundant: 1000}, l.Counts); diff != "" || len(l.Findings) != 2*MaxFindings {
		t.Errorf("%d findings, %s", len(l.Findings), diff)
	}
	for _, f := range l.Findings {
		if f.At.Path != "two" || f.Kind == Overlap && (f.Other.Path != "one" || f.Other.Line*2-1 != f.At.Line) {
			t.Errorf("%+v", f)
		}
	}
}

// Progress is told about every 64 KiB, and at last that all is done; what is read again for findings does not count.
func TestProgress(t *testing.T) {
	text := strings.Repeat("a.x\nb.x\nc.x\nd.x\n", 20_000)
	f := files{"one": text, "two": text}
	type step struct{ done, of int64 }
	for _, known := range []bool{true, false} {
		o := LoadOptions{Open: f.open}
		var steps []step
		o.Progress = func(done, of int64) { steps = append(steps, step{done, of}) }
		o.Size = func(path string) int64 {
			if !known && path == "two" {
				return 0
			}
			return int64(len(f[path]))
		}
		l, err := merge(t, "c.yaml", "lists:\n - {file: one, "+plainSuffix+", target: w}\n - {file: two, "+plainSuffix+", target: v}\n").Load(o)
		if err != nil {
			t.Fatal(err)
		}
		all := int64(2 * len(text))
		of := all
		if !known {
			of = 0
		}
		if last := steps[len(steps)-1]; last != (step{all, of}) || l.Counts[Overlap] == 0 || l.Findings[0].Other.Path != "one" {
			t.Errorf("at the end %v of %d; %v", last, all, l.Findings)
		}
		before := int64(0)
		for _, s := range steps {
			if s.done < before || s.done > before+2*headSize || s.of != of {
				t.Errorf("%v after %d", s, before)
			}
			before = s.done
		}
	}
}

// A million names: what the issue asks for is measured here; -bench Million -benchtime 1x.
func BenchmarkLoadMillion(b *testing.B) {
	f := files{"l": strings.Join(testlist.Names(1, 1_000_000), "\n")}
	for _, thorough := range []bool{false, true} {
		b.Run(fmt.Sprintf("thorough=%v", thorough), func(b *testing.B) {
			c := merge(b, "c.yaml", "lists: [{file: l, "+plainSuffix+", target: w}]")
			b.ReportAllocs()
			for b.Loop() {
				if l, err := c.Load(LoadOptions{Open: f.open, Thorough: thorough}); err != nil || l.Rules.Len() != 1_000_000 {
					b.Fatal(err)
				}
			}
		})
	}
}
