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
