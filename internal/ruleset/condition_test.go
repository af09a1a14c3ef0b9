package ruleset

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// users is a host with one user.
func users(name string) (uint32, error) {
	switch name {
	case "alice":
		return 1000, nil
	case "nouid":
		return noUID, nil
	}
	return 0, errors.New("no entry")
}

func TestParseCondition(t *testing.T) {
	tests := []struct {
		in   string
		want Condition
		text string
	}{
		{"", Condition{}, ""},
		{"user=0", Condition{User: true}, "user=0"},
		{"user=4294967294", Condition{User: true, UID: 4294967294}, "user=4294967294"},
		{"user=alice", Condition{User: true, UID: 1000}, "user=1000"},
		{"cgroup=/a.slice/b.service", Condition{Cgroup: "/a.slice/b.service"}, "cgroup=/a.slice/b.service"},
		{"cgroup=a/b/ user=7", Condition{User: true, UID: 7, Cgroup: "/a/b"}, "user=7 cgroup=/a/b"},
		{"cgroup=/sys/fs/cgroup/a", Condition{Cgroup: "/a"}, "cgroup=/a"},
		{"cgroup=/sys/fs/cgroup/unified/a/b", Condition{Cgroup: "/a/b"}, "cgroup=/a/b"},
		{"cgroup=/sys/fs/cgroups/a", Condition{Cgroup: "/sys/fs/cgroups/a"}, "cgroup=/sys/fs/cgroups/a"},
		{"cgroup=/sys/fs/cgroup/unifieds", Condition{Cgroup: "/unifieds"}, "cgroup=/unifieds"},
		{`cgroup=/a/dev-disk-by\x2dlabel.swap`, Condition{Cgroup: `/a/dev-disk-by\x2dlabel.swap`}, `cgroup=/a/dev-disk-by\x2dlabel.swap`},
		{"cgroup=/a/#b=c", Condition{Cgroup: "/a/#b=c"}, "cgroup=/a/#b=c"},
		{"cgroup=/...", Condition{Cgroup: "/..."}, "cgroup=/..."},
		{"cgroup=/ö", Condition{Cgroup: "/ö"}, "cgroup=/ö"},
	}
	for _, tt := range tests {
		got, err := ParseCondition(strings.Fields(tt.in), users)
		if err != nil || got != tt.want || got.String() != tt.text {
			t.Errorf("%q: %+v (%s), %v", tt.in, got, got, err)
		}
		if again, err := ParseCondition(strings.Fields(got.String()), nil); again != got || err != nil {
			t.Errorf("%q: read back %+v, %v", got, again, err)
		}
	}
}

func TestParseConditionErrors(t *testing.T) {
	tests := []struct{ in, word, reason string }{
		{"user=", "user=", "missing"},
		{"user=bob", "user=bob", "unknown user: no entry"},
		{"user=nouid", "user=nouid", "no user has this number"},
		{"user=4294967295", "user=4294967295", "no user has this number"},
		{"user=99999999999999999999", "user=99999999999999999999", "no user has this number"},
		{"user=010", "user=010", "leading zero"},
		{"user=-1", "user=-1", "unknown user"},
		{"user=1 user=2", "user=2", "one user= only"},
		{"user=0 user=0", "user=0", "one user= only"},
		{"cgroup=/a cgroup=/b", "cgroup=/b", "one cgroup= only"},
		{"uid=1000", "uid=1000", "the word is user, as in user=1000"},
		{"User=1000", "User=1000", "lower case"},
		{"unit=foo.service", "unit=foo.service", "the word is cgroup, as in cgroup=/system.slice/foo.service"},
		{"gid=5", "gid=5", `no condition "gid"; there are user= and cgroup=`},
		{"user", "user", "a condition is user=UID or cgroup=PATH"},
		{"cgroup=", "cgroup=", "missing"},
		{"cgroup=/", "cgroup=/", "leave the condition out"},
		{"cgroup=/sys/fs/cgroup", "cgroup=/sys/fs/cgroup", "leave the condition out"},
		{"cgroup=/sys/fs/cgroup/unified/", "cgroup=/sys/fs/cgroup/unified/", "leave the condition out"},
		{"cgroup=/a//b", "cgroup=/a//b", "empty name"},
		{"cgroup=//", "cgroup=//", "leave the condition out"},
		{"cgroup=/a/../b", "cgroup=/a/../b", `has a ".."`},
		{"cgroup=./a", "cgroup=./a", `has a "."`},
		{"cgroup=/" + strings.Repeat("x", 256), "cgroup=/" + strings.Repeat("x", 256), "longer than 255"},
		{"cgroup=" + strings.Repeat("/x", 33), "cgroup=" + strings.Repeat("/x", 33), "more than 32 names"},
		{"cgroup=" + strings.Repeat("/xx", 1366), "cgroup=" + strings.Repeat("/xx", 1366), "longer than 4095"},
		{"cgroup=/a\xff", "cgroup=/a\xff", "not UTF-8"},
		{"cgroup=/a\x01", "cgroup=/a\x01", "does not print"},
		{"cgroup=/a\u202e", "cgroup=/a\u202e", "does not print"},
	}
	for _, tt := range tests {
		got, err := ParseCondition(strings.Fields(tt.in), users)
		var ce *ConditionError
		if !errors.As(err, &ce) || ce.Input != tt.word || !strings.Contains(ce.Reason, tt.reason) || got != (Condition{}) {
			t.Errorf("%.60q: %+v, %v; want %q", tt.in, got, err, tt.reason)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Errorf("%.60q: error text has %d bytes", tt.in, len(err.Error()))
		}
	}
	for _, space := range []string{"cgroup=/a b", "cgroup=/a\nb", "cgroup=/a\u2003b"} {
		if _, err := ParseCondition([]string{space}, users); err == nil || !strings.Contains(err.Error(), "whitespace") {
			t.Errorf("%q: %v", space, err)
		}
	}
	if _, err := ParseCondition([]string{"user=alice"}, nil); err == nil || !strings.Contains(err.Error(), "write the user's number") {
		t.Errorf("a name without users: %v", err)
	}
}

func TestHolds(t *testing.T) {
	both := Condition{User: true, UID: 5, Cgroup: "/a/b"}
	tests := []struct {
		c    Condition
		w    Who
		want bool
	}{
		{Condition{}, Who{}, true},
		{Condition{User: true}, Who{UID: 0}, true},
		{Condition{User: true}, Who{UID: 1}, false},
		{both, Who{5, "/a/b"}, true},
		{both, Who{5, "/a/b/c"}, true},
		{both, Who{5, "/a/bc"}, false},
		{both, Who{5, "/a"}, false},
		{both, Who{5, "/"}, false},
		{both, Who{5, ""}, false},
		{both, Who{6, "/a/b"}, false},
	}
	for _, tt := range tests {
		if got := tt.c.Holds(tt.w); got != tt.want {
			t.Errorf("%v for %v: %v", tt.c, tt.w, got)
		}
	}
}

// Conditions have one order; those that can hold both stand as the more specific before the other; implies and exclude
// are what all tasks say.
func TestConditionProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(19, 20))
	for range 20_000 {
		a, b, c, w := randomCondition(r), randomCondition(r), randomCondition(r), randomWho(r)
		if a.Holds(w) != naiveHolds(a, w) {
			t.Fatalf("%v holds for %v: %v", a, w, a.Holds(w))
		}
		if a.compare(b) != -b.compare(a) || (a.compare(b) == 0) != (a == b) {
			t.Fatalf("%v and %v: %d, %d", a, b, a.compare(b), b.compare(a))
		}
		if a.compare(b) < 0 && b.compare(c) < 0 && a.compare(c) >= 0 {
			t.Fatalf("%v, %v, %v are in no order", a, b, c)
		}
		if a.implies(b) && a.Holds(w) && !b.Holds(w) {
			t.Fatalf("%v implies %v, but not for %v", a, b, w)
		}
		if exclude(a, b) && a.Holds(w) && b.Holds(w) {
			t.Fatalf("%v excludes %v, but not for %v", a, b, w)
		}
		if a.Holds(w) && b.Holds(w) && a != b && (a.compare(b) < 0) != (naiveRank(Rule{Condition: a}) > naiveRank(Rule{Condition: b})) {
			t.Fatalf("%v and %v both hold for %v, in the wrong order", a, b, w)
		}
	}
}

func TestMatchConditions(t *testing.T) {
	s := read(t, "a both user=1 cgroup=/x", "a deep cgroup=/x/y", "a shallow cgroup=/x", "a user user=1", "a any",
		"b.a up user=1", "=b.a exact cgroup=/x", "=c.b.a only user=1", "z zz user=1",
		"10.0.0.0/8 net", "10.1.0.0/16 netuser user=1", "default dflt user=1")
	tests := []struct {
		name string
		w    Who
		want string
	}{
		{"a", Who{1, "/x/y"}, "both"},
		{"a", Who{2, "/x/y/z"}, "deep"},
		{"a", Who{2, "/x/z"}, "shallow"},
		{"a", Who{1, "/xx"}, "user"},
		{"a", Who{2, ""}, "any"},
		{"b.a", Who{1, "/x"}, "exact"},
		{"b.a", Who{1, ""}, "up"},
		{"b.a", Who{2, ""}, "any"},
		{"c.b.a", Who{1, "/x"}, "only"},
		{"c.b.a", Who{2, "/x"}, "shallow"},
		{"z", Who{2, ""}, ""},
	}
	for _, tt := range tests {
		r, ok := s.MatchName(mustName(t, tt.name), tt.w)
		if got := r.Target.String(); ok != (tt.want != "") || ok && got != tt.want || ok && !r.Condition.Holds(tt.w) {
			t.Errorf("%s for %v: %v %v, want %q", tt.name, tt.w, r, ok, tt.want)
		}
	}
	if !s.Mentions(mustName(t, "y.z")) || s.Mentions(mustName(t, "y")) {
		t.Error("mentions wrongly")
	}
	a := mustPattern(t, "10.1.2.3").Prefix.Addr()
	if r, ok := s.MatchAddr(a, Who{UID: 1}); !ok || r.Target.String() != "netuser" || r.Pattern.String() != "10.1.0.0/16" {
		t.Errorf("%v %v", r, ok)
	}
	if r, ok := s.MatchAddr(a, Who{}); !ok || r.Target.String() != "net" {
		t.Errorf("%v %v", r, ok)
	}
	if _, ok := s.Default(Who{}); ok {
		t.Error("the default holds for others")
	}
	if r, ok := s.Default(Who{UID: 1}); !ok || r.Target.String() != "dflt" {
		t.Errorf("%v %v", r, ok)
	}
}

func TestConditionText(t *testing.T) {
	in := "10.0.0.0/8 wg0 cgroup=/a user=3\na wg0\t user=2  # why\na wg1 cgroup=a/b user=2\na wg2 user=1\na wg3 cgroup=/a\r\n" +
		"2001:db8::/32 direct\n10.0.0.0/8 wg1\n10.0.0.0/16 wg1\ndefault block user=1"
	want := "a wg1 user=2 cgroup=/a/b\na wg3 cgroup=/a\na wg2 user=1\na wg0 user=2\n10.0.0.0/8 wg0 user=3 cgroup=/a\n10.0.0.0/8 wg1\n" +
		"10.0.0.0/16 wg1\n2001:db8::/32 direct\ndefault block user=1\n"
	if got := text(t, read(t, in)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	s, err := ParseText([]byte("a wg0 user=alice"), users)
	if err != nil || text(t, s) != "a wg0 user=1000\n" {
		t.Errorf("%v, %v", s, err)
	}
	for in, reason := range map[string]string{
		"a wg0 user=alice":              "write the user's number",
		"a wg0 user=1\na wg1 user=1":    "line 2: a user=1 goes to wg1 here, to wg0 further up",
		"a wg0 user=1\nb wg0 user=1 x":  "line 2: condition \"x\": a condition is",
		"a wg0 x user=1":                `unexpected "x" after the target`,
		"a user=1":                      "is a condition; the target comes before it",
		"a wg0 #user=1\na wg0\na wg1 #": "goes to wg1 here",
	} {
		err := new(Set).UnmarshalText([]byte(in))
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: error is %v, want %s", in, err, reason)
		}
	}
}

func TestDiffConditions(t *testing.T) {
	from := read(t, "a x user=1", "a x user=2", "a x", "10.0.0.0/8 x", "10.1.0.0/16 x", "default x user=1")
	to := read(t, "a x user=1 cgroup=/a", "a y user=2", "a x", "10.0.0.0/8 y", "::/0 x", "default x user=1")
	var got []string
	for _, c := range from.Diff(to) {
		got = append(got, c.Kind.String()+" "+c.Pattern.String()+" "+c.Condition.String()+" "+c.From.String()+" "+c.To.String())
	}
	want := []string{
		"added a user=1 cgroup=/a none x", "removed a user=1 x none", "changed a user=2 x y", "changed 10.0.0.0/8  x y",
		"removed 10.1.0.0/16  x none", "added ::/0  none x",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
