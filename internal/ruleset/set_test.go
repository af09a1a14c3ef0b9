package ruleset

import (
	"maps"
	"math/rand/v2"
	"net/netip"
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

func rule(t testing.TB, p string, to Target) Rule {
	t.Helper()
	return Rule{Pattern: mustPattern(t, p), Target: to}
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
	if _, ok := s.MatchName(mustName(t, "a.b"), Who{}); ok || s.Len() != 0 || len(s.Rules()) != 0 || text(t, &s) != "" {
		t.Error("the zero set is not empty")
	}
	if s.Del(mustPattern(t, "a"), Condition{}) || s.Del(mustPattern(t, "default"), Condition{}) {
		t.Error("deleted from the zero set")
	}
	if c, err := s.Compile(pattern.HashKey{}); err != nil || len(c.Entries)+len(c.Targets)+int(c.Default) != 0 {
		t.Errorf("compiled to %+v, %v", c, err)
	}
	if got := s.Clone().Diff(&Set{}); len(got) != 0 {
		t.Errorf("diff %v", got)
	}
	if _, replaced := s.Add(rule(t, "a", chain(EndBlock, "x"))); replaced || s.Len() != 1 {
		t.Error("cannot add to the zero set")
	}
}

func TestAddDelGet(t *testing.T) {
	var s Set
	wg0, wg1 := chain(EndBlock, "wg0"), chain(EndBlock, "wg1")
	for _, text := range []string{"a.b", "*.a.b", "=a.b", "default"} {
		p := mustPattern(t, text)
		if old, replaced := s.Add(Rule{Pattern: p, Target: wg0}); replaced || old != (Target{}) {
			t.Errorf("%s: first add replaced %v", text, old)
		}
		if old, replaced := s.Add(Rule{Pattern: p, Target: wg1}); !replaced || old != wg0 {
			t.Errorf("%s: second add replaced %v %v", text, old, replaced)
		}
		if got, ok := s.Get(p, Condition{}); !ok || got != wg1 {
			t.Errorf("%s: get %v %v", text, got, ok)
		}
	}
	if s.Len() != 4 {
		t.Errorf("%d rules", s.Len())
	}
	for i, text := range []string{"=a.b", "a.b", "default", "*.a.b"} {
		p := mustPattern(t, text)
		if !s.Del(p, Condition{}) || s.Del(p, Condition{}) || s.Len() != 3-i {
			t.Errorf("%s: deletes wrongly, %d rules left", text, s.Len())
		}
		if _, ok := s.Get(p, Condition{}); ok {
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
	s.Add(rule(t, "default", chain(EndBlock, "dflt")))
	for _, tt := range tests {
		n := mustName(t, tt.name)
		r, ok := s.MatchName(n, Who{})
		if ok != (tt.want != "") || ok && r.Target.String() != tt.want || ok && !r.Pattern.Matches(n) {
			t.Errorf("%s: %v %v, want %q", tt.name, r, ok, tt.want)
		}
	}
}

func TestRulesOrder(t *testing.T) {
	want := []string{"=com", "com", "*.com", "a.com", "x.a.com", "a-a.com", "=b.com", "*.b.com", "net", "default"}
	var rules []Rule
	for _, text := range want {
		rules = append(rules, rule(t, text, Target{Kind: Block}))
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
	c.Add(rule(t, "a.b", chain(EndBlock, "wg1")))
	c.Add(rule(t, "c.d", chain(EndBlock, "wg2")))
	c.Del(mustPattern(t, "default"), Condition{})
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

// randomPrefix is one of few, so that they cover each other and the random addresses.
func randomPrefix(r *rand.Rand) netip.Prefix {
	a := randomAddr(r)
	p, err := a.Prefix(r.IntN(a.BitLen() + 1))
	if err != nil {
		panic(err)
	}
	return p
}

func randomAddr(r *rand.Rand) netip.Addr {
	if r.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{192, 0, byte(r.IntN(2)), byte(r.IntN(4))})
	}
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: byte(r.IntN(2)), 15: byte(r.IntN(4))})
}

func randomCondition(r *rand.Rand) Condition {
	var c Condition
	if r.IntN(2) == 0 {
		return c
	}
	if c.User = r.IntN(2) == 0; c.User {
		c.UID = uint32(r.IntN(3))
	}
	if r.IntN(2) == 0 {
		c.Cgroup = randomCgroup(r)
	}
	return c
}

func randomCgroup(r *rand.Rand) string {
	path := ""
	for range 1 + r.IntN(3) {
		path += "/" + []string{"a", "b", "ab"}[r.IntN(3)]
	}
	return path
}

func randomWho(r *rand.Rand) Who {
	w := Who{UID: uint32(r.IntN(4))}
	switch r.IntN(8) {
	case 0:
	case 1:
		w.Cgroup = "/"
	default:
		w.Cgroup = randomCgroup(r)
	}
	return w
}

func randomRule(t testing.TB, r *rand.Rand) Rule {
	targets := []Target{{Kind: Direct}, {Kind: Block}, chain(EndBlock, "w"), chain(EndDirect, "w"), chain(EndBlock, "w", "x")}
	text := []string{"", "*.", "="}[r.IntN(3)] + randomText(r)
	p := mustPattern(t, text)
	switch r.IntN(20) {
	case 0, 1:
		p = mustPattern(t, "default")
	case 2, 3, 4, 5, 6:
		p = pattern.Pattern{Kind: pattern.Prefix, Prefix: randomPrefix(r)}
	}
	return Rule{p, randomCondition(r), targets[r.IntN(len(targets))]}
}

type ruleKey struct {
	p pattern.Pattern
	c Condition
}

func keyOf(r Rule) ruleKey { return ruleKey{r.Pattern, r.Condition} }

// A set does what a plain map of rules does, through any sequence of changes.
func TestSetProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	var s Set
	model := map[ruleKey]Target{}
	before := s.Clone()
	for step := range 20_000 {
		rule := randomRule(t, r)
		want, had := model[keyOf(rule)]
		if r.IntN(2) == 0 {
			if old, replaced := s.Add(rule); old != want || replaced != had {
				t.Fatalf("step %d: add %v: replaced %v %v, want %v %v", step, rule, old, replaced, want, had)
			}
			model[keyOf(rule)] = rule.Target
		} else {
			if s.Del(rule.Pattern, rule.Condition) != had {
				t.Fatalf("step %d: del %v, had it: %v", step, rule.Pattern, had)
			}
			delete(model, keyOf(rule))
		}
		if s.Len() != len(model) {
			t.Fatalf("step %d: %d rules, want %d", step, s.Len(), len(model))
		}
		if step%100 != 0 {
			continue
		}
		got := map[ruleKey]Target{}
		for _, rule := range s.Rules() {
			got[keyOf(rule)] = rule.Target
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
			c.Del(change.Pattern, change.Condition)
		} else {
			c.Add(Rule{change.Pattern, change.Condition, change.To})
		}
	}
	if !slices.Equal(c.Rules(), b.Rules()) {
		t.Fatalf("the difference does not lead there:\n%s", cmp.Diff(text(t, b), text(t, c)))
	}
}
