package ruleio

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/pattern"
)

func TestIncluded(t *testing.T) {
	one := list{path: "/etc/lists/main"}
	for name, want := range map[string]string{
		"other": "/etc/lists/other", "geolocation-!cn": "/etc/lists/geolocation-!cn",
		"": "", ".": "", "..": "", ".hidden": "", "../shadow": "", "a/b": "", "/etc/shadow": "", `a\b`: "", "a\x00b": "",
	} {
		if got, err := one.included(name); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
}

func TestCover(t *testing.T) {
	parse := func(text string) pattern.Pattern {
		p, err := pattern.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tt := range []struct {
		without string
		in, out []string
	}{
		{"a.b", []string{"a.b", "=a.b", "*.a.b", "c.a.b", "=c.a.b", "*.d.c.a.b"}, []string{"b", "*.b", "=b", "xa.b", "a.b.c", "10.0.0.0/8"}},
		{"*.a.b", []string{"*.a.b", "c.a.b", "=c.a.b", "=d.c.a.b"}, []string{"a.b", "=a.b", "b", "*.b"}},
		{"=a.b", []string{"=a.b"}, []string{"a.b", "*.a.b", "c.a.b", "=c.a.b"}},
		{"10.0.0.0/16", []string{"10.0.0.0/16", "10.0.1.0/24", "10.0.0.0"}, []string{"10.0.0.0/8", "10.1.0.0/16", "::/0", "a.b"}},
		{"default", nil, []string{"a.b", "=b", "0.0.0.0/0"}},
	} {
		c := newCover([]patternItem{{p: parse(tt.without)}})
		for _, text := range tt.out {
			if c.covers(parse(text)) || c.used[0] {
				t.Errorf("%s leaves out %s", tt.without, text)
			}
		}
		for _, text := range tt.in {
			if c.used[0] = false; !c.covers(parse(text)) || !c.used[0] {
				t.Errorf("%s does not leave out %s", tt.without, text)
			}
		}
	}
}

// The other place of a finding is where the target that lost comes from: no later list, none that leaves the pattern
// out, none with another condition, and in the list the line that counted.
func TestOtherPlace(t *testing.T) {
	f := files{"one": "a.x\nb.x\n", "two": "b.x\na.x\n", "three": "\n\nb.x\n", "four": "\n\n\nb.x\n", "adb": "||c.x^\n@@||c.x^\n"}
	l := load(t, f, "c.yaml", `rules: [{match: c.x, target: z}]
lists:
  - {file: one, format: plain, match: suffix, target: w}
  - {file: two, format: plain, match: suffix, target: w, without: [b.x]}
  - {file: two, format: plain, match: suffix, target: w, user: 5}
  - {file: three, format: plain, match: suffix, target: v}
  - {file: four, format: plain, match: suffix, target: v, user: 5}
  - {file: one, format: plain, match: suffix, target: w, without: [a.x]}
  - {file: adb, format: adblock, target: w}
`)
	var got []string
	for _, n := range l.Findings {
		if n.Kind == Overlap || n.Kind == Overridden {
			got = append(got, n.At.String()+" "+n.Text+" "+n.Other.String())
		}
	}
	want := []string{
		"three:3 b.x goes to v here, and to w in an earlier list one:2",
		"four:4 b.x user=5 goes to v here, and to w in an earlier list two:1",
		"one:2 b.x goes to w here, and to v in an earlier list three:3",
		"c.yaml:1 c.x goes to z here, not to direct as in a list adb:2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What a list excepts of its own is no quarrel with another list: neither where there is none before it, nor where there is.
func TestOwnExceptionIsNoOverlap(t *testing.T) {
	f := files{"one": "||c.x^\n@@||c.x^\n", "two": "||d.x^\n@@||d.x^\n@@||c.x^\n"}
	l := load(t, f, "c.yaml", "lists: [{file: one, format: adblock, target: w}, {file: two, format: adblock, target: w}]")
	if got := rulesOf(t, l); l.Counts[Overlap] != 0 || got != "c.x direct\nd.x direct\n" {
		t.Errorf("%v\n%s", l.Findings, got)
	}
}

func TestTooManyRules(t *testing.T) {
	f := files{"l": "a\nb\nc\nd\n"}
	const lists = "lists: [{file: l, format: plain, match: exact, target: w}]\n"
	for _, tt := range []struct{ text, want string }{
		{lists, "l:4: this makes more than 3 rules"},
		{"rules: [{match: [a, b, c, d], target: w}]", "c.yaml: this makes more than 3 rules"},
		{"rules: [{match: [a, b, c], target: w}]", ""},
		{"rules: [{match: [a, b, c, a, b, c], target: w}]", ""},
	} {
		_, err := merge(t, "c.yaml", tt.text).Load(LoadOptions{Open: f.open, most: 3})
		if (tt.want == "") != (err == nil) || err != nil && err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.text, err, tt.want)
		}
	}
}

// A rule that a file has twice is one rule, and a user is looked up once.
func TestTwice(t *testing.T) {
	asked := 0
	c := merge(t, "c.yaml", "rules: [{match: [com, com], target: w, user: anna}, {match: com, target: w, user: anna}]")
	l, err := c.Load(LoadOptions{Users: func(name string) (uint32, error) { asked++; return users(name) }})
	if err != nil || l.Rules.Len() != 1 || l.Counts[PublicSuffix] != 1 || asked != 1 {
		t.Errorf("%v: %d rules, %v, asked %d times", err, l.Rules.Len(), l.Counts, asked)
	}
}

// Addresses to which no rule applies, and their neighbours.
func TestLeftAlone(t *testing.T) {
	for text, want := range map[string]int{
		"127.0.0.1": 1, "::1": 1, "::": 1, "0.0.0.0/8": 1, "0.1.2.3": 1, "255.255.255.255": 1, "169.254.0.0/16": 1, "fe80::/10": 1, "224.0.0.0/4": 1, "ff02::/16": 1,
		"126.0.0.0/7": 0, "::/126": 0, "::2": 0, "0.0.0.0/7": 0, "1.0.0.0/8": 0, "255.255.255.254": 0, "169.255.0.0/16": 0, "fec0::/10": 0, "240.0.0.0/4": 0, "10.0.0.0/8": 0,
	} {
		l := load(t, nil, "c.yaml", `rules: [{match: "`+text+`", target: w}]`)
		if l.Counts[Unreachable] != want {
			t.Errorf("%s: %v", text, l.Findings)
		}
	}
}

// An overlap names what stands in the later list, not what that takes back itself further down.
func TestOverlapNamesWhatStands(t *testing.T) {
	f := files{"one": "a.x\nb.x\nc.x\n", "adb": "||a.x^\n||b.x^\n@@||a.x^\n||b.x^$badfilter\n", "dns": "server=/c.x/1.1.1.1\nserver=/c.x/#\n"}
	l := load(t, f, "c.yaml", "lists:\n - {file: one, "+plainSuffix+", target: w1}\n - {file: adb, format: adblock, target: w2}\n - {file: dns, format: dnsmasq, target: w2}\n")
	want := []Finding{
		{Overlap, "a.x goes to direct here, and to w1 in an earlier list", Place{"adb", 3}, Place{"one", 1}},
		{Overlap, "c.x goes to direct here, and to w1 in an earlier list", Place{"dns", 2}, Place{"one", 3}},
	}
	if diff := cmp.Diff(want, l.Findings); diff != "" || rulesOf(t, l) != "a.x direct\nb.x w1\nc.x direct\n" {
		t.Errorf("%s\n%s", diff, rulesOf(t, l))
	}
}

// What a list excepts leaves other lists' entries below that name alone.
func TestExceptionIsForItsOwnList(t *testing.T) {
	f := files{"one": "||a.x^\n", "two": "||a.x^\n||b.x^\n@@||x^\n"}
	l := load(t, f, "c.yaml", "lists: [{file: one, format: adblock, target: w1, user: 5}, {file: one, format: adblock, target: w1}, {file: two, format: adblock, target: w2, user: 5}]")
	if got, want := rulesOf(t, l), "x direct user=5\na.x w1 user=5\na.x w1\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A list that gives nothing, as a failed download does, is told of: applied, it would take all its rules away.
func TestEmptyList(t *testing.T) {
	f := files{"zero": "", "notes": "# a\n", "page": "<html>\n<p>Not found\n", "back": "||x^\n||x^$badfilter\n", "one": "a.x\nb c\n"}
	l := load(t, f, "c.yaml", `lists:
  - {file: zero, format: hosts, target: w}
  - {file: notes, format: plain, match: exact, target: w}
  - {file: page, format: plain, match: exact, target: w}
  - {file: back, format: adblock, target: w}
  - {file: one, format: plain, match: exact, target: w, without: [a.x]}
`)
	want := []Finding{
		{Empty, "the list gives no rule: nothing is in it", Place{Path: "zero"}, Place{"c.yaml", 2}},
		{Empty, "the list gives no rule: nothing is in it", Place{Path: "notes"}, Place{"c.yaml", 3}},
		{Empty, "the list gives no rule: all it has was skipped", Place{Path: "page"}, Place{"c.yaml", 4}},
		{Empty, "the list gives no rule: nothing is in it", Place{Path: "back"}, Place{"c.yaml", 5}},
	}
	if diff := cmp.Diff(want, l.Findings); diff != "" {
		t.Error(diff)
	}
}

// What --strict refuses is said; nothing else is.
func TestStrict(t *testing.T) {
	f := files{"zero": "", "one": "a.x\n"}
	for text, want := range map[string]string{
		"rules: [{match: [com, net, a.x], target: w}]":                                                        "public suffixes with a rule: 2",
		"lists: [{file: zero, format: hosts, target: w}]":                                                     "lists that give no rule: 1",
		"rules: [{match: com, target: w}]\nlists: [{file: zero, format: hosts, target: w}]":                   "public suffixes with a rule: 1, lists that give no rule: 1",
		"rules: [{match: a.x, target: w}]\nlists: [{file: one, format: plain, match: suffix, target: block}]": "",
	} {
		if l := load(t, f, "c.yaml", text); l.Strict() != want {
			t.Errorf("%s: %q, want %q", text, l.Strict(), want)
		}
	}
}

// A list's rule at the very name of an inline rule comes first if it is the more specific one: that is told, unless the
// inline rules say so themselves or nothing differs.
func TestOutranked(t *testing.T) {
	f := files{"h": "0.0.0.0 ads.x same.x said.x cond.x\n", "s": "\n*.ads.x\n*.only.x\n"}
	l := load(t, f, "c.yaml", `rules:
  - {match: [ads.x, below.x], target: wg0}
  - {match: [same.x, said.x], target: block}
  - {match: "=said.x", target: wg1}
  - {match: ["=ads.x", "*.only.x"], target: wg1, user: 7}
  - {match: cond.x, target: wg0, user: 5}
  - {match: [only.x, below.x], target: wg0, cgroup: /c}
lists:
  - {file: h, target: block}
  - {file: s, format: plain, match: suffix, target: direct, cgroup: /c}
`)
	var got []Finding
	for _, n := range l.Findings {
		if n.Kind == Outranked {
			got = append(got, n)
		}
	}
	want := []Finding{
		{Outranked, "ads.x goes to wg0 here, but =ads.x goes to block by a list, and comes first", Place{"c.yaml", 2}, Place{"h", 1}},
		{Outranked, "cond.x user=5 goes to wg0 here, but =cond.x goes to block by a list, and comes first", Place{"c.yaml", 6}, Place{"h", 1}},
		{Outranked, "only.x cgroup=/c goes to wg0 here, but *.only.x cgroup=/c goes to direct by a list, and comes first", Place{"c.yaml", 7}, Place{"s", 3}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
