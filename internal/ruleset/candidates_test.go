package ruleset

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/domain-route/domain-route/internal/pattern"
)

// Candidates are all rules that match, the most specific first, as the plain reading of all rules has it; and each says
// whether it holds.
func TestCandidatesProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	seen, unmet := 0, 0
	for range 200 {
		s := randomSet(t, r)
		rules := s.Rules()
		for range 50 {
			q := asked{mustName(t, randomText(r)), randomAddr(r), randomWho(r)}
			check := func(stage string, got []Candidate, matches func(pattern.Pattern) bool) {
				t.Helper()
				var want []Rule
				for _, rule := range rules {
					if matches(rule.Pattern) {
						want = append(want, rule)
					}
				}
				if len(got) != len(want) {
					t.Fatalf("%s of %v: %v, want the rules %v", stage, q, got, want)
				}
				for i, c := range got {
					if !slices.Contains(want, c.Rule) || c.Holds() != naiveHolds(c.Condition, q.who) {
						t.Fatalf("%s of %v: %v, want the rules %v", stage, q, got, want)
					}
					if i > 0 && naiveRank(got[i-1].Rule) < naiveRank(c.Rule) {
						t.Fatalf("%s of %v: %v before %v", stage, q, got[i-1], c)
					}
					for _, later := range got[i+1:] {
						if Precedence(later.Rule, c.Rule) != NoOrder {
							t.Fatalf("%v comes before %v, and that for %q", c.Rule, later.Rule, Precedence(later.Rule, c.Rule))
						}
						if Precedence(c.Rule, later.Rule) == NoOrder && !exclude(c.Condition, later.Condition) {
							t.Fatalf("%v comes before %v for no reason", c.Rule, later.Rule)
						}
					}
					seen++
					if !c.Holds() {
						unmet++
					}
				}
				first := slices.IndexFunc(got, Candidate.Holds)
				best, ok := naive(rules, q.who, matches)
				if ok != (first >= 0) || ok && got[first].Rule != best {
					t.Fatalf("%s of %v: %v, of which %v decides", stage, q, got, best)
				}
			}
			check("name", s.Candidates(q.name, q.who), func(p pattern.Pattern) bool { return p.Kind != pattern.Default && p.Matches(q.name) })
			if q.addr.IsValid() {
				check("address", s.CandidatesAddr(q.addr, q.who), func(p pattern.Pattern) bool { return p.Contains(q.addr) })
			}
			check("default", s.CandidatesDefault(q.who), func(p pattern.Pattern) bool { return p.Kind == pattern.Default })
		}
	}
	if seen < 10_000 || unmet < 2_000 {
		t.Errorf("only %d candidates, %d whose condition does not hold: this proves little", seen, unmet)
	}
}

func TestPrecedence(t *testing.T) {
	for _, c := range []struct {
		first, second string
		want          Reason
	}{
		{"=a.test vpn0", "a.test vpn0", ExactFirst},
		{"=a.test vpn0", "test vpn0", ExactFirst},
		{"a.test vpn0", "test vpn0", LongerSuffix},
		{"*.a.test vpn0", "*.test vpn0", LongerSuffix},
		{"*.a.test vpn0", "a.test vpn0", SubdomainsFirst},
		{"192.0.2.0/24 vpn0", "192.0.0.0/16 vpn0", LongerPrefix},
		{"test vpn0", "192.0.0.0/16 vpn0", NameFirst},
		{"192.0.2.0/24 vpn0", "default vpn0", BeforeDefault},
		{"test vpn0", "default vpn0", BeforeDefault},
		{"a.test vpn0 user=7", "a.test vpn0", ConditionFirst},
		{"a.test vpn0 cgroup=/a", "a.test vpn0", ConditionFirst},
		{"a.test vpn0 cgroup=/a", "a.test vpn0 user=7", CgroupFirst},
		{"a.test vpn0 user=7 cgroup=/a", "a.test vpn0 cgroup=/a", BothFirst},
		{"a.test vpn0 user=7 cgroup=/a", "a.test vpn0 user=7", BothFirst},
		{"a.test vpn0 cgroup=/a/b", "a.test vpn0 cgroup=/a", DeeperFirst},
		{"a.test vpn0 user=7", "a.test vpn0 user=8", NoOrder},
		{"default vpn0 user=7", "default vpn0", ConditionFirst},
		{"a.test vpn0", "test vpn0 user=7", LongerSuffix},
	} {
		var s Set
		if err := s.UnmarshalText([]byte(c.first + "\n" + c.second + "\n")); err != nil {
			t.Fatal(err)
		}
		one, two := New(), New()
		_ = one.UnmarshalText([]byte(c.first + "\n"))
		_ = two.UnmarshalText([]byte(c.second + "\n"))
		a, b := one.Rules()[0], two.Rules()[0]
		if got := Precedence(a, b); got != c.want {
			t.Errorf("%s before %s: %q, want %q", c.first, c.second, got, c.want)
		}
		if got := Precedence(b, a); got != NoOrder {
			t.Errorf("%s before %s: %q", c.second, c.first, got)
		}
	}
}
