package ruleio

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// good are documents that are taken; the schema takes them, too.
var good = []string{
	"",
	"# nothing\n",
	"---\n",
	"{}\n",
	"rules:\n#  - match: a.b\n",
	"observe: [sockets, libc, tc]\n",
	"observe: [\"tc:eth0,eth1\", tc:eth2]\n",
	"cgroup: /sys/fs/cgroup/user.slice\n",
	"history: no\naudit: yes\nflush: yes\n",
	"history: true\nflush: False\n",
	"history: \"yes\"\n",
	"targets:\n  office: {chain: [wg0, wwan0], else: block}\n  lab: {mark: 0x23}\n  m: {mark: 35}\n  home: direct\n  vpn: wg0,direct\n  w: {chain: [wg0]}\n",
	"rules:\n  - match: example.com\n    target: wg0\n",
	"rules:\n  - match: [example.com, \"=exact.example\", =two.example, \"*.sub.example\", 198.51.100.0/24, 2001:db8::/32, 192.0.2.7, default, .]\n    target: {chain: [wg0], else: direct}\n",
	"rules:\n  - {match: a.b, target: direct, user: 1000, cgroup: /system.slice/foo.service}\n  - {match: a.b, target: \"mark:0x23\", user: anna}\n  - {match: a.b, target: block, user: \"0\"}\n",
	"remove: [a.b, \"*.c.d\", {match: [e.f, g.h], user: 7}, {match: i.j, cgroup: foo.slice}]\n",
	"lists:\n  - file: lists/cn.txt\n    format: plain\n    match: suffix\n    target: direct\n    without: [a.b, \"*.c\"]\n    user: 5\n",
	"lists:\n  - {file: geosite.dat, format: geosite, category: cn, attributes: [ads, \"!cn\"], target: wg0}\n  - {file: x, target: wg0}\n  - {file: x, format: v2fly, attributes: [a], target: wg0}\n",
	"\ufeffrules: []\r\nlists: []\r\n",
}

func parse(text string) (*File, error) { return Parse(Source{Path: "c.yaml", Data: []byte(text)}) }

func TestParseGood(t *testing.T) {
	for _, text := range good {
		f, err := parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if _, err := Merge([]*File{f}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// bad are documents that are refused, with the place and the reason.
var bad = []struct {
	text         string
	line, column int
	reason       string
	beyond       bool // the schema cannot know
}{
	// keys
	{"rule: []\n", 1, 1, `unknown key "rule"; did you mean "rules"?`, false},
	{"Rules: []\n", 1, 1, `did you mean "rules"?`, false},
	{"xyzzy: []\n", 1, 1, "the keys here are observe, cgroup, history, audit, flush, targets, rules, remove, lists", false},
	{"rules:\n  - match: a.b\n    taget: wg0\n", 3, 5, `unknown key "taget"; did you mean "target"?`, false},
	{"rules:\n  - match: a.b\n    target: wg0\n    format: plain\n", 4, 5, "the keys here are match, target, user, cgroup", false},
	{"rules:\n  - {match: a.b, target: wg0,direct}\n", 2, 30, "quote values that have commas", false},
	{"rules:\n  - target: wg0\n", 2, 5, `key "match" is missing`, false},
	{"rules:\n  - match: a.b\n", 2, 5, `key "target" is missing`, false},
	{"lists:\n  - target: wg0\n", 2, 5, `key "file" is missing`, false},
	{"remove:\n  - user: 5\n", 2, 5, `key "match" is missing`, false},
	{"targets:\n  a: {chian: [wg0]}\n", 2, 7, `did you mean "chain"?`, false},
	{"history: yes\nflush: no\nhistory: no\n", 3, 1, `key "history" comes twice, first on line 1`, true},
	{"targets:\n  a: wg0\n  b: wg1\n  a: wg2\n", 4, 3, `"a" comes twice`, true},
	{"? [a]\n: b\n", 1, 3, "a key is wanted here, not a list", true},
	{"1: 2\n", 1, 1, `unknown key "1"`, true},
	{"<<: {rules: []}\n", 1, 1, "unknown key", true},
	// types
	{"a.b wg0\n", 1, 1, `a mapping is wanted here, not "a.b wg0"`, false},
	{"- a\n", 1, 1, "a mapping is wanted here, not a list", false},
	{"rules: wg0\n", 1, 8, `a list is wanted here, not "wg0"`, false},
	{"rules:\n  match: a.b\n  target: wg0\n", 2, 3, "a list is wanted here, not a mapping", false},
	{"rules: [a.b]\n", 1, 9, `a mapping is wanted here, not "a.b"; its keys are match, target, user, cgroup`, false},
	{"observe: sockets\n", 1, 10, `a list is wanted here, not "sockets"`, false},
	{"observe: []\n", 1, 10, "this list is empty", false},
	{"observe:\n", 1, 9, "this list is empty", false},
	{"observe: [socket]\n", 1, 11, `"socket" is not known here; did you mean "sockets"?`, false},
	{"observe: [eth0]\n", 1, 11, "it is one of sockets, libc, tc", false},
	{"observe: [\"tc:eth0,\"]\n", 1, 11, "an interface's name is empty", false},
	{"observe: [[tc]]\n", 1, 11, "text is wanted here, not a list", false},
	{"cgroup: user.slice\n", 1, 9, "no full path", false},
	{"cgroup: [a]\n", 1, 9, "text is wanted here, not a list", false},
	{"cgroup:\n", 1, 8, "nothing is written here", false},
	{"cgroup: \"\"\n", 1, 9, "this text is empty", false},
	{"history: maybe\n", 1, 10, `yes or no is wanted here, not "maybe"`, false},
	{"audit: perhaps\n", 1, 8, `yes or no is wanted here, not "perhaps"`, false},
	{"history: 1\n", 1, 10, "yes or no is wanted here, not a number", false},
	{"history: Yes\n", 1, 10, "yes or no is wanted here", false},
	{"history: [yes]\n", 1, 10, "yes or no is wanted here, not a list", false},
	{"history:\n", 1, 9, "yes or no is wanted here, not nothing", false},
	{"targets: [a]\n", 1, 10, "a mapping of names is wanted here", false},
	// what YAML takes for something else
	{"rules:\n  - match: *.example.com\n    target: wg0\n", 2, 12, `quote it: "*.example.com"`, true},
	{"rules:\n  - match: [a.b, *.example.com]\n    target: wg0\n", 2, 18, `quote it: "*.example.com"`, true},
	{"rules:\n  - match:\n      - a.b\n      - *example.com\n    target: wg0\n", 4, 9, `quote it: "*example.com"`, true},
	{"rules: &a []\nlists: *a\n", 1, 8, "anchor", true},
	{"rules:\n  - match: 1e3\n    target: wg0\n", 2, 12, `1e3 is a number to YAML, and text is wanted here; quote it: "1e3"`, false},
	{"rules:\n  - match: 10.5\n    target: wg0\n", 2, 12, "is a number to YAML", false},
	{"rules:\n  - match: [a.b, 2001-01-01]\n    target: wg0\n", 2, 18, "is a date to YAML", true},
	{"rules:\n  - match: true\n    target: wg0\n", 2, 12, "is true or false to YAML", false},
	{"rules:\n  - match: null\n    target: wg0\n", 2, 12, `null is nothing to YAML, and text is wanted here; quote it: "null"`, false},
	{"rules:\n  - match: !x a.b\n    target: wg0\n", 2, 12, "is a tag to YAML", true},
	{"lists:\n  - {file: x, target: wg0, attributes: [!ads]}\n", 2, 41, `quote it: "!ads"`, true},
	{"rules:\n  - match: a.b\n    target: 3\n", 3, 13, "3 is a number to YAML", false},
	{"rules:\n  - match: @a.b\n    target: wg0\n", 2, 12, `quote it: "@a.b"`, true},
	{"rules:\n  - {match: ::1, target: wg0}\n", 2, 13, `":" at the beginning means something to YAML; quote it: "::1"`, true},
	{"rules:\n  - match: [a.b, ::/0]\n    target: wg0\n", 2, 18, `quote it: "::/0"`, true},
	{"rules:\n  - match: 2001:db8::\n    target: wg0\n", 2, 12, `a colon at the end means something to YAML; quote it: "2001:db8::"`, true},
	{"rules:\n  - match:\n    - ::\n    target: wg0\n", 3, 7, `quote it: "::"`, false},
	// YAML
	{"rules:\n\t- match: a.b\n", 2, 1, "a tab in the indentation", true},
	{"rules:\n  - match: \"a.b\n    target: wg0\n", 2, 12, "a quotation begins here and does not end", true},
	{"cgroup: '/a\n", 1, 9, "a quotation begins here and does not end", true},
	{"rules:\n  - match: a.b\n   target: wg0\n", 3, 13, "this is no YAML", true},
	{"rules:\n  - match: a.b\n     target: wg0\n", 3, 12, "this is no YAML: mapping values are not allowed", true},
	{"rules: [a.b\n", 1, 11, "this is no YAML", true},
	{"a: b: c\n", 1, 5, "mapping values are not allowed", true},
	{"rules: []\n---\nlists: []\n", 2, 1, "a second document begins here", true},
	{"rules: []\nlists: [\xff]\n", 2, 9, "byte 0xff is not UTF-8", true},
	{"rules: []\n# \x01\n", 2, 3, "character U+0001 is not allowed", true},
	{"rules: []\n# ö\u2028\n", 2, 4, "character U+2028 is not allowed", true},
	{"rules: []\rlists: []\n", 1, 10, "carriage return", true},
	// patterns, conditions, targets
	{"rules:\n  - match: a..b\n    target: wg0\n", 2, 12, "empty label", true},
	{"rules:\n  - match: [a.b, \"=10.0.0.1\"]\n    target: wg0\n", 2, 18, "an address takes no '='", true},
	{"rules:\n  - match: 10.1.2.3/8\n    target: wg0\n", 2, 12, "write 10.0.0.0/8", true},
	{"rules:\n  - match: []\n    target: wg0\n", 2, 12, "no pattern is written here", false},
	{"rules:\n  - match: [[a.b]]\n    target: wg0\n", 2, 13, "text is wanted here, not a list", false},
	{"rules:\n  - match: a.b\n    target:\n", 3, 12, "nothing is written here", false},
	{"rules:\n  - match: a.b\n    target: [wg0]\n", 3, 13, "text is wanted here, not a list", false},
	{"rules:\n  - match: a.b\n    target: [wg0, direct]\n", 3, 13, `not a list: write "wg0,direct" or {chain: [wg0], else: direct}`, false},
	{"rules:\n  - match: a.b\n    target: [wg0, wg1]\n", 3, 13, `not a list: write "wg0,wg1" or {chain: [wg0, wg1]}`, false},
	{"rules:\n  - match: a.b\n    target: [direct, {}]\n", 3, 13, `not a list: write "wg0,direct" or {chain: [wg0], else: direct}`, false},
	{"rules:\n  - match: a.b\n    target: lo\n", 3, 13, "nowhere but here", true},
	{"rules:\n  - {match: a.b, target: wg0, user: -1}\n", 2, 37, "a user's number", false},
	{"rules:\n  - {match: a.b, target: wg0, user: 010}\n", 2, 37, "a user's number", true},
	{"rules:\n  - {match: a.b, target: wg0, user: 4294967295}\n", 2, 37, "a user's number", false},
	{"rules:\n  - {match: a.b, target: wg0, user: 1.5}\n", 2, 37, "is a number to YAML", false},
	{"rules:\n  - {match: a.b, target: wg0, user: }\n", 2, 37, "nothing is written here", false},
	{"rules:\n  - {match: a.b, target: wg0, cgroup: /}\n", 2, 39, "every task is below the root", true},
	{"rules:\n  - {match: a.b, target: {chain: []}}\n", 2, 34, "this list is empty", false},
	{"rules:\n  - {match: a.b, target: {chain: [a, b, c, d, e]}}\n", 2, 47, `"chain" takes 4 at most`, false},
	{"rules:\n  - {match: a.b, target: {chain: [a, a]}}\n", 2, 26, "comes twice", true},
	{"rules:\n  - {match: a.b, target: {chain: [a, direct]}}\n", 2, 38, `written as "else: direct"`, true},
	{"rules:\n  - {match: a.b, target: {chain: [\"a,b\"]}}\n", 2, 35, "is not one interface", true},
	{"rules:\n  - {match: a.b, target: {chain: [a], else: drop}}\n", 2, 45, "it is one of block, direct", false},
	{"rules:\n  - {match: a.b, target: {else: block}}\n", 2, 26, `a key "chain" or "mark"`, false},
	{"rules:\n  - {match: a.b, target: {chain: [a], mark: 5}}\n", 2, 26, "a chain or a mark, not both", false},
	{"rules:\n  - {match: a.b, target: {mark: 0}}\n", 2, 33, "a mark is a number from 1", false},
	{"rules:\n  - {match: a.b, target: {mark: \"5\"}}\n", 2, 33, "a number is wanted here", false},
	{"rules:\n  - {match: a.b, target: {mark: '0x23'}}\n", 2, 33, `not "0x23"; drop the quotes`, false},
	{"rules:\n  - {match: a.b, target: {mark: wg0}}\n", 2, 33, `as 35 or 0x23, not "wg0"`, false},
	{"targets: {direct: wg0}\n", 1, 11, "has a meaning already", false},
	{"targets: {Block: wg0}\n", 1, 11, "has a meaning already", false},
	{"targets: {\"a b\": wg0}\n", 1, 11, "cannot name a target", false},
	{"targets: {3: wg0}\n", 1, 11, "quote it", true},
	{"targets: {a: }\n", 1, 14, "nothing is written here", false},
	{"targets: {a: mark:0}\n", 1, 14, "mark 0", true},
	{"targets: {a: wg0, b: a}\nrules: [{match: x, target: \"a,wg1\"}]\n", 2, 28, `"a" is a target`, true},
	{"targets: {a-very-long-office: wg0}\nrules: [{match: x, target: a-very-long-ofice}]\n", 2, 28, `did you mean the target "a-very-long-office"?`, true},
	// lists
	{"lists: [{file: x, format: plan, target: wg0}]\n", 1, 27, `did you mean "plain"?`, false},
	{"lists: [{file: x, format: plain, target: wg0}]\n", 1, 9, `needs "match: suffix"`, false},
	{"lists: [{file: x, format: plain, match: sufix, target: wg0}]\n", 1, 41, `did you mean "suffix"?`, false},
	{"lists: [{file: x, format: hosts, match: exact, target: wg0}]\n", 1, 41, "is for plain lists", false},
	{"lists: [{file: x, format: geosite, target: wg0}]\n", 1, 9, `needs "category"`, false},
	{"lists: [{file: x, format: v2fly, category: cn, target: wg0}]\n", 1, 44, "is for geosite lists", false},
	{"lists: [{file: x, format: hosts, attributes: [a], target: wg0}]\n", 1, 47, "are for v2fly and geosite lists", false},
	{"lists: [{file: x, attributes: [\"a b\"], target: wg0}]\n", 1, 32, "is no attribute", false},
	{"lists: [{file: x, without: a.b, target: wg0}]\n", 1, 28, "a list is wanted here", false},
	{"lists: [{file: \"a\\0b\", target: wg0}]\n", 1, 16, "control character", false},
}

func TestParseBad(t *testing.T) {
	for _, tt := range bad {
		f, err := parse(tt.text)
		if err == nil {
			_, err = Merge([]*File{f})
		}
		var e *Error
		if !errors.As(err, &e) || e.Path != "c.yaml" || e.Line != tt.line || e.Column != tt.column || !strings.Contains(e.Reason, tt.reason) {
			t.Errorf("%q\n got %v\nwant c.yaml:%d:%d: %s", tt.text, err, tt.line, tt.column, tt.reason)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error has more than one line: %q", tt.text, err)
		}
	}
}

func TestParseLarge(t *testing.T) {
	_, err := parse("# " + strings.Repeat("x", MaxFile))
	if want := "c.yaml: larger than 2 MiB"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNearest(t *testing.T) {
	words := []string{"match", "target", "user", "cgroup"}
	for in, want := range map[string]string{
		"match": "match", "mach": "match", "macth": "match", "tartget": "target", "usr": "user", "group": "cgroup",
		"x": "", "": "", "completely": "", strings.Repeat("x", 1000): "",
	} {
		if got := nearest(in, words); got != want {
			t.Errorf("nearest(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestError(t *testing.T) {
	cause := errors.New("cause")
	var got []string
	for _, e := range []*Error{{Path: "f", Reason: "r", Err: cause}, {Path: "f", Line: 3, Reason: "r"}, {Path: "f", Line: 3, Column: 4, Reason: "r"}} {
		got = append(got, e.Error(), fmt.Sprint(errors.Is(e, cause)))
	}
	if diff := cmp.Diff([]string{"f: r", "true", "f:3: r", "false", "f:3:4: r", "false"}, got); diff != "" {
		t.Error(diff)
	}
}
