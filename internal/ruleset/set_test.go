package ruleset

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/pattern"
)

func mustPattern(t testing.TB, s string) pattern.Pattern {
	t.Helper()
	p, err := pattern.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustName(t testing.TB, s string) pattern.Name {
	t.Helper()
	n, err := pattern.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// read makes a set of lines.
func read(t testing.TB, lines ...string) *Set {
	t.Helper()
	var s Set
	if err := s.UnmarshalText([]byte(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	return &s
}

func text(t testing.TB, s *Set) string {
	t.Helper()
	b, err := s.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestZeroSet(t *testing.T) {
	var s Set
	if _, ok := s.Match(mustName(t, "a.b")); ok || s.Len() != 0 || len(s.Rules()) != 0 || text(t, &s) != "" {
		t.Error("the zero set is not empty")
	}
	if s.Del(mustPattern(t, "a")) || s.Del(mustPattern(t, "default")) {
		t.Error("deleted from the zero set")
	}
	if c, err := s.Compile(pattern.HashKey{}); err != nil || len(c.Entries)+len(c.Targets)+int(c.Default) != 0 {
		t.Errorf("compiled to %+v, %v", c, err)
	}
	if got := s.Clone().Diff(&Set{}); len(got) != 0 {
		t.Errorf("diff %v", got)
	}
	if _, replaced := s.Add(Rule{mustPattern(t, "a"), chain(EndBlock, "x")}); replaced || s.Len() != 1 {
		t.Error("cannot add to the zero set")
	}
}

func TestAddDelGet(t *testing.T) {
	var s Set
	wg0, wg1 := chain(EndBlock, "wg0"), chain(EndBlock, "wg1")
	for _, text := range []string{"a.b", "*.a.b", "=a.b", "default"} {
		p := mustPattern(t, text)
		if old, replaced := s.Add(Rule{p, wg0}); replaced || old != (Target{}) {
			t.Errorf("%s: first add replaced %v", text, old)
		}
		if old, replaced := s.Add(Rule{p, wg1}); !replaced || old != wg0 {
			t.Errorf("%s: second add replaced %v %v", text, old, replaced)
		}
		if got, ok := s.Get(p); !ok || got != wg1 {
			t.Errorf("%s: get %v %v", text, got, ok)
		}
	}
	if s.Len() != 4 {
		t.Errorf("%d rules", s.Len())
	}
	for i, text := range []string{"=a.b", "a.b", "default", "*.a.b"} {
		p := mustPattern(t, text)
		if !s.Del(p) || s.Del(p) || s.Len() != 3-i {
			t.Errorf("%s: deletes wrongly, %d rules left", text, s.Len())
		}
		if _, ok := s.Get(p); ok {
			t.Errorf("%s: still there", text)
		}
	}
}

func TestMatch(t *testing.T) {
	s := read(t, "example.com suffix", "*.example.com subs", "=example.com exact",
		"=deep.www.example.com exact2", "org suffix2", "*.only.net subs2", "=apex.io exact3")
	tests := []struct{ name, want string }{
		{"example.com", "exact"},
		{"www.example.com", "subs"},
		{"deep.www.example.com", "exact2"},
		{"x.deep.www.example.com", "subs"},
		{"a.b.org", "suffix2"},
		{"org", "suffix2"},
		{"only.net", ""},
		{"x.only.net", "subs2"},
		{"apex.io", "exact3"},
		{"x.apex.io", ""},
		{"com", ""},
		{".", ""},
	}
	for _, withDefault := range []bool{false, true} {
		if withDefault {
			s.Add(Rule{mustPattern(t, "default"), chain(EndBlock, "dflt")})
		}
		for _, tt := range tests {
			want := tt.want
			if want == "" && withDefault {
				want = "dflt"
			}
			r, ok := s.Match(mustName(t, tt.name))
			if ok != (want != "") || ok && r.Target.String() != want || ok && !r.Pattern.Matches(mustName(t, tt.name)) {
				t.Errorf("%s: %v %v, want %q", tt.name, r, ok, want)
			}
		}
	}
}

func TestRulesOrder(t *testing.T) {
	want := []string{"=com", "com", "*.com", "a.com", "x.a.com", "a-a.com", "=b.com", "*.b.com", "net", "default"}
	var rules []Rule
	for _, text := range want {
		rules = append(rules, Rule{mustPattern(t, text), Target{Kind: Block}})
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		r.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		var got []string
		for _, rule := range New(rules...).Rules() {
			got = append(got, rule.Pattern.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestClone(t *testing.T) {
	s := read(t, "a.b wg0", "default direct")
	before := text(t, s)
	c := s.Clone()
	c.Add(Rule{mustPattern(t, "a.b"), chain(EndBlock, "wg1")})
	c.Add(Rule{mustPattern(t, "c.d"), chain(EndBlock, "wg2")})
	c.Del(mustPattern(t, "default"))
	if got := text(t, s); got != before {
		t.Errorf("the clone's changes show:\n%s", got)
	}
	if got, want := text(t, c), "a.b wg1\nc.d wg2\n"; got != want {
		t.Errorf("clone is %q, want %q", got, want)
	}
}

func TestDiff(t *testing.T) {
	// Different orders, so that target numbers differ between the sets.
	from := read(t, "keep.x wg0", "gone.x wg1", "turn.x wg0", "=turn.x wg1", "default wg0")
	to := read(t, "turn.x wg1", "=turn.x wg1", "*.new.x wg2", "keep.x wg0", "default direct")
	var got []string
	for _, c := range from.Diff(to) {
		got = append(got, strings.Join([]string{c.Kind.String(), c.Pattern.String(), c.From.String(), c.To.String()}, " "))
	}
	want := []string{
		"removed gone.x wg1 none", "added *.new.x none wg2", "changed turn.x wg0 wg1", "changed default wg0 direct",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := from.Diff(from.Clone()); len(got) != 0 {
		t.Errorf("diff to a copy: %v", got)
	}
}

// vocabulary is small, so that random rules and names meet.
var vocabulary = []string{"a", "b", "ab", `\003a`, `a\.b`, `\001a`}

func randomText(r *rand.Rand) string {
	labels := []string{vocabulary[r.IntN(len(vocabulary))]}
	for range r.IntN(4) {
		labels = append(labels, vocabulary[r.IntN(len(vocabulary))])
	}
	return strings.Join(labels, ".")
}

func randomRule(t testing.TB, r *rand.Rand) Rule {
	targets := []Target{{Kind: Direct}, {Kind: Block}, chain(EndBlock, "w"), chain(EndDirect, "w"), chain(EndBlock, "w", "x")}
	text := []string{"", "*.", "="}[r.IntN(3)] + randomText(r)
	if r.IntN(20) == 0 {
		text = "default"
	}
	return Rule{mustPattern(t, text), targets[r.IntN(len(targets))]}
}

// A set does what a plain map of rules does, through any sequence of changes.
func TestSetProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	var s Set
	model := map[pattern.Pattern]Target{}
	before := s.Clone()
	for step := range 20_000 {
		rule := randomRule(t, r)
		want, had := model[rule.Pattern]
		if r.IntN(2) == 0 {
			if old, replaced := s.Add(rule); old != want || replaced != had {
				t.Fatalf("step %d: add %v: replaced %v %v, want %v %v", step, rule, old, replaced, want, had)
			}
			model[rule.Pattern] = rule.Target
		} else {
			if s.Del(rule.Pattern) != had {
				t.Fatalf("step %d: del %v, had it: %v", step, rule.Pattern, had)
			}
			delete(model, rule.Pattern)
		}
		if s.Len() != len(model) {
			t.Fatalf("step %d: %d rules, want %d", step, s.Len(), len(model))
		}
		if step%100 != 0 {
			continue
		}
		got := map[pattern.Pattern]Target{}
		for _, rule := range s.Rules() {
			got[rule.Pattern] = rule.Target
		}
		if !maps.Equal(got, model) {
			t.Fatalf("step %d: rules differ:\n%s", step, cmp.Diff(model, got))
		}
		checkDiff(t, before, &s)
		before = s.Clone()
		checkDiff(t, randomSet(t, r), &s)
	}
}

func randomSet(t testing.TB, r *rand.Rand) *Set {
	var s Set
	for range r.IntN(60) {
		s.Add(randomRule(t, r))
	}
	return &s
}

// checkDiff applies a's difference to b and expects b.
func checkDiff(t *testing.T, a, b *Set) {
	t.Helper()
	c := a.Clone()
	for _, change := range a.Diff(b) {
		if change.Kind == Removed {
			c.Del(change.Pattern)
		} else {
			c.Add(Rule{change.Pattern, change.To})
		}
	}
	if !slices.Equal(c.Rules(), b.Rules()) {
		t.Fatalf("the difference does not lead there:\n%s", cmp.Diff(text(t, b), text(t, c)))
	}
}
