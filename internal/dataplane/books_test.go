package dataplane

import (
	"net/netip"
	"testing"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// The rule of what the kernel says decided is the first with that condition, in order of precedence; none if it leads elsewhere,
// as after a rule change.
func TestRuleOf(t *testing.T) {
	set, err := ruleset.ParseText([]byte(`
a.test vpn0
a.test block user=1000
a.test block cgroup=/x
*.a.test direct
=b.test vpn0 cgroup=/x
b.test block user=1000
test wan0
192.0.2.0/24 vpn0
192.0.2.0/24 block user=1000
192.0.0.0/16 wan0
. wan0
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &System{}
	condition := func(words ...string) uint32 {
		c, err := ruleset.ParseCondition(words, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s.conditionID(c)
	}
	targets := map[uint32]ruleset.Target{}
	for i, text := range []string{"vpn0", "block", "direct", "wan0"} {
		if targets[uint32(i+1)], err = ruleset.ParseTarget(text); err != nil {
			t.Fatal(err)
		}
	}
	const vpn, block, direct, wan = 1, 2, 3, 4
	k := &book{1, set, targets, s.conditionID}
	user, cgroup := condition("user=1000"), condition("cgroup=/x")
	m := meanings{map[uint64]pattern.Name{1: testName(t, "a.test"), 2: testName(t, "b.test"), 3: testName(t, "c.test")}, map[uint64]netip.Prefix{}}
	for i, p := range set.Prefixes() {
		m.prefixes[uint64(i+1)] = p // the shorter first
	}
	for _, c := range []struct {
		hit  learnHit
		want string
	}{
		{learnHit{Rule: 1, Target: vpn}, "a.test vpn0"},
		{learnHit{Rule: 1, Target: block, Condition: user}, "a.test block user=1000"},
		{learnHit{Rule: 1, Target: block, Condition: cgroup}, "a.test block cgroup=/x"},
		{learnHit{Rule: 1, Target: direct, How: byNameBelow}, "*.a.test direct"},
		{learnHit{Rule: 1, Target: direct}, ""},
		{learnHit{Rule: 2, Target: vpn, Condition: cgroup}, "=b.test vpn0 cgroup=/x"},
		{learnHit{Rule: 2, Target: block, Condition: user}, "b.test block user=1000"},
		{learnHit{Rule: 2, Target: wan}, "test wan0"},
		{learnHit{Rule: 2, Target: wan, How: byNameBelow}, "test wan0"},
		{learnHit{Rule: 3, Target: wan, How: byNameBelow}, "test wan0"},
		{learnHit{Rule: 2, Target: vpn, Condition: user}, ""},
		{learnHit{Rule: 9, Target: vpn}, ""},
		{learnHit{Rule: 2, Target: vpn, How: byAddress}, "192.0.2.0/24 vpn0"},
		{learnHit{Rule: 2, Target: block, How: byAddress, Condition: user}, "192.0.2.0/24 block user=1000"},
		{learnHit{Rule: 1, Target: wan, How: byAddress}, "192.0.0.0/16 wan0"},
		{learnHit{Rule: 1, Target: vpn, How: byAddress}, ""},
		{learnHit{Target: wan, How: byDefault}, "default wan0"},
		{learnHit{Target: 77, How: byDefault}, ""},
	} {
		r, ok := k.ruleOfHit(c.hit, m)
		got := ""
		if ok {
			got = r.Pattern.String() + " " + r.Target.String()
			if r.Condition != (ruleset.Condition{}) {
				got += " " + r.Condition.String()
			}
		}
		if got != c.want {
			t.Errorf("%+v: by %q, want %q", c.hit, got, c.want)
		}
	}
}
