package ruleset

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/pattern"
)

func ruleText(r Rule) string {
	return r.Pattern.String() + " " + r.Target.String() + r.Condition.words()
}

func TestShadowed(t *testing.T) {
	tests := []struct {
		what        string
		rules, want []string
	}{
		{"nothing", []string{"a.b x", "b y", "=c x", "d x", "10.0.0.0/8 x", "10.1.0.0/16 y", "default x"}, nil},
		{"both parts", []string{"a x", "=a y", "*.a z"}, []string{"unreachable a x by =a y"}},
		{"one part", []string{"a x", "=a y"}, nil},
		{"parts with conditions", []string{"a x", "=a y user=1", "*.a z user=1"}, nil},
		{"parts without", []string{"a x user=1", "=a y", "*.a z"}, []string{"unreachable a x user=1 by =a y"}},
		{"parts that hold for more", []string{"a x user=1 cgroup=/a", "=a y cgroup=/a", "*.a z user=1"},
			[]string{"unreachable a x user=1 cgroup=/a by =a y cgroup=/a"}},
		{"parent", []string{"a.b x", "=c.b x", "*.d.b x", "b x"},
			[]string{"redundant a.b x by b x", "redundant =c.b x by b x", "redundant *.d.b x by b x"}},
		{"grandparent", []string{"a.b.c x", "c x"}, []string{"redundant a.b.c x by c x"}},
		{"parent in between", []string{"a.b.c x", "b.c y", "c x"}, nil},
		{"subdomains of the parent", []string{"a.b x", "b y", "*.b x"}, []string{"redundant a.b x by *.b x"}},
		{"exact of the parent", []string{"a.b x", "=b x"}, nil},
		{"no parent by bytes alone", []string{"ab.c x", "b.c x"}, nil},
		{"its own name", []string{"a x", "=a x", "*.a y"}, []string{"unreachable a x by =a x", "redundant =a x by a x"}},
		{"subdomains and suffix", []string{"a x", "*.a x"}, []string{"redundant *.a x by a x"}},
		{"its own condition", []string{"a x", "a x user=1"}, []string{"redundant a x user=1 by a x"}},
		{"a condition in between", []string{"a x", "a x cgroup=/a", "a y user=1"}, nil},
		{"a condition in between that never holds then", []string{"a x", "a x user=2 cgroup=/a", "a y user=1"},
			[]string{"redundant a x user=2 cgroup=/a by a x"}},
		{"a parent's condition", []string{"a.b x user=1", "b x user=1"}, []string{"redundant a.b x user=1 by b x user=1"}},
		{"a parent's wider condition", []string{"a.b x user=1 cgroup=/c/d", "b x cgroup=/c"},
			[]string{"redundant a.b x user=1 cgroup=/c/d by b x cgroup=/c"}},
		{"a parent's narrower condition", []string{"a.b x cgroup=/c", "b x cgroup=/c/d"}, nil},
		{"the default is another stage", []string{"a x", "10.0.0.0/8 x", "default x"}, nil},
		{"prefixes", []string{"10.0.0.0/8 x", "10.1.0.0/16 x", "10.1.2.0/24 y", "10.1.2.3 y"},
			[]string{"redundant 10.1.0.0/16 x by 10.0.0.0/8 x", "redundant 10.1.2.3 y by 10.1.2.0/24 y"}},
		{"halves", []string{"10.0.0.0/8 x", "10.0.0.0/9 y", "10.128.0.0/9 z", "2001:db8::/64 x", "2001:db8::/65 y", "2001:db8:0:0:8000::/65 y"},
			[]string{"unreachable 10.0.0.0/8 x by 10.0.0.0/9 y", "unreachable 2001:db8::/64 x by 2001:db8::/65 y"}},
	}
	for _, tt := range tests {
		var got []string
		for s := range read(t, tt.rules...).Shadowed() {
			got = append(got, s.Kind.String()+" "+ruleText(s.Rule)+" by "+ruleText(s.By))
		}
		slices.Sort(got)
		slices.Sort(tt.want)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.what, diff)
		}
	}
}

// Without a rule that is shadowed all is decided as with it; one that is unreachable never decides. Of sets without
// conditions all rules are found whose lack does not show in the compiled form.
func TestShadowedProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	found := map[ShadowKind]int{}
	for round := range 600 {
		s := randomSet(t, r)
		if round%3 == 0 {
			for _, rule := range s.Rules() {
				if rule.Condition != (Condition{}) {
					s.Del(rule.Pattern, rule.Condition)
				}
			}
		}
		shadowed := map[ruleKey]bool{}
		for shadow := range s.Shadowed() {
			found[shadow.Kind]++
			shadowed[keyOf(shadow.Rule)] = true
			if target, ok := s.Get(shadow.By.Pattern, shadow.By.Condition); !ok || target != shadow.By.Target {
				t.Fatalf("%v is by a rule that is none, in\n%s", shadow, text(t, s))
			}
			checkShadow(t, r, s, shadow)
		}
		if round%3 == 0 {
			checkAllFound(t, s, shadowed)
		}
	}
	if found[Redundant] < 300 || found[Unreachable] < 10 {
		t.Errorf("only %v among the samples", found)
	}
}

func checkShadow(t *testing.T, r *rand.Rand, s *Set, shadow Shadow) {
	t.Helper()
	without := s.Clone()
	without.Del(shadow.Rule.Pattern, shadow.Rule.Condition)
	for range 30 {
		q := asked{mustName(t, randomText(r)), randomAddr(r), randomWho(r)}
		if shadow.Rule.Pattern.Name != "" && r.IntN(2) == 0 {
			q.name = shadow.Rule.Pattern.Name
		}
		for _, ask := range []func(*Set) (Rule, bool){
			func(s *Set) (Rule, bool) { return s.MatchName(q.name, q.who) },
			func(s *Set) (Rule, bool) { return s.MatchAddr(q.addr, q.who) },
		} {
			got, ok := ask(without)
			want, there := ask(s)
			if ok != there || got.Target != want.Target {
				t.Fatalf("without %v %v goes to %v, before to %v, in\n%s", shadow, q, got, want, text(t, s))
			}
			if there && shadow.Kind == Unreachable && want == shadow.Rule {
				t.Fatalf("%v decides for %v, in\n%s", shadow, q, text(t, s))
			}
		}
	}
}

func checkAllFound(t *testing.T, s *Set, shadowed map[ruleKey]bool) {
	t.Helper()
	key := pattern.HashKey{3}
	with, err := s.Compile(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range s.Rules() {
		without := s.Clone()
		without.Del(rule.Pattern, rule.Condition)
		c, err := without.Compile(key)
		if err != nil {
			t.Fatal(err)
		}
		if reflect.DeepEqual(with, c) && !shadowed[keyOf(rule)] {
			t.Fatalf("%v does nothing, in\n%s", rule, text(t, s))
		}
	}
}

func TestShadowedStops(t *testing.T) {
	s := read(t, "a.b x", "c.b x", "b x", "10.0.0.0/8 x", "10.0.0.0/9 x", "10.0.0.0/10 x")
	for stop := 1; stop <= 4; stop++ {
		n := 0
		for range s.Shadowed() {
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			t.Errorf("%d of %d", n, stop)
		}
	}
}
