package dataplane

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// What bpf/evidence.h does with each of these sets of names is tested where packets go: e2e/history.
func TestMarkDeciding(t *testing.T) {
	const live, over = time.Second, -grace - 1
	vpn, block := ruleset.Target{Kind: ruleset.Interface}, ruleset.Target{Kind: ruleset.Block}
	ruled := func(target ruleset.Target, ttl, seen time.Duration) Standing {
		return Standing{Learnt: Learnt{TTL: ttl, Seen: seen}, Ruled: true, Target: target}
	}
	plain := func(ttl, seen time.Duration) Standing { return Standing{Learnt: Learnt{TTL: ttl, Seen: seen}} }
	for _, c := range []struct {
		what     string
		names    []Standing
		decides  int // -1: none
		conflict bool
	}{
		{"one with a rule", []Standing{ruled(vpn, live, 1)}, 0, false},
		{"one without", []Standing{plain(live, 1)}, 0, false},
		{"with a rule beats without, however late", []Standing{plain(live, 1), ruled(vpn, live, 9)}, 1, true},
		{"the latest with a rule", []Standing{ruled(vpn, live, 2), ruled(block, live, 1), ruled(vpn, live, 3)}, 1, true},
		{"one target", []Standing{ruled(vpn, live, 2), ruled(vpn, live, 1)}, 1, false},
		{"the latest without", []Standing{plain(live, 2), plain(live, 1)}, 1, false},
		{"within an hour past its TTL", []Standing{ruled(vpn, -grace, 2), plain(live, 1)}, 0, true},
		{"over is as if it were not there", []Standing{ruled(vpn, over, 2), plain(live, 9)}, 1, false},
		{"all over", []Standing{ruled(vpn, over, 2), plain(over, 1)}, -1, false},
	} {
		markDeciding(c.names)
		for i, n := range c.names {
			if n.Decides != (i == c.decides) || n.Conflict != (c.conflict && n.Live()) {
				t.Errorf("%s: name %d decides: %v, conflict: %v", c.what, i, n.Decides, n.Conflict)
			}
		}
	}
	// Each level, process, user and address for itself.
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	var all []Standing
	for _, l := range []Learnt{
		{Address: a, Level: LevelProcess, PID: 1, UID: 1000}, {Address: a, Level: LevelProcess, PID: 2, UID: 1000},
		{Address: a, Level: LevelProcess, PID: 1, UID: 1001}, {Address: a, Level: LevelUser, UID: 1000},
		{Address: a, Level: LevelHost}, {Address: b, Level: LevelHost},
	} {
		all = append(all, Standing{Learnt: l, Ruled: len(all)%2 == 0})
	}
	markDeciding(all)
	for _, s := range all {
		if !s.Decides || s.Conflict {
			t.Errorf("%+v", s)
		}
	}
}

// A name whose text was evicted is judged by the hash of the rule that matched it, as connect does.
func TestStandingsWithoutText(t *testing.T) {
	s := choreSystem(t, [2]string{"ruled.test", "block"})
	a := netip.MustParseAddr("192.0.2.1")
	check(t, s.Teach(testName(t, "www.ruled.test"), []netip.Addr{a}, time.Minute))
	check(t, s.Teach(testName(t, "plain.test"), []netip.Addr{a}, time.Minute))
	for _, from := range nameMaps {
		var hashes []uint64
		check(t, each(s.maps[from], func(hash uint64, _ learnName) { hashes = append(hashes, hash) }))
		for _, hash := range hashes {
			check(t, s.maps[from].Delete(hash))
		}
	}
	raw := rawTarget(ruleset.Target{Kind: ruleset.Block})
	check(t, s.maps[learnMapTargets].Put(uint32(1), &raw))
	all, err := s.Standings()
	check(t, err)
	got := map[bool]int{}
	for _, n := range all {
		got[n.Ruled]++
		if n.Name != "" || !n.Conflict || n.Decides != n.Ruled || n.Ruled != (n.Target.Kind == ruleset.Block) {
			t.Errorf("%+v", n)
		}
	}
	if d := cmp.Diff(map[bool]int{true: 1, false: 1}, got); d != "" {
		t.Error(d)
	}
}

// Where no name has a rule that of the address decides, then the default, which is not for private ranges; as for connect,
// which e2e/addresses tests.
func TestByAddress(t *testing.T) {
	s := choreSystem(t)
	own := netip.MustParseAddr("198.51.100.7")
	check(t, s.maps[learnMapOwn].Put(own.As16(), uint8(1)))
	set := testRules(t, [2]string{"198.51.100.0/24", "vpn0"}, [2]string{"10.0.0.0/8", "block"}, [2]string{"default", "wan0"})
	root, err := pattern.Parse("203.0.113.0/24")
	check(t, err)
	set.Add(ruleset.Rule{Pattern: root, Condition: ruleset.Condition{User: true}, Target: ruleset.Target{Kind: ruleset.Block}})
	j := &Judge{s: s, set: set, cgroups: map[uint32]string{}}
	type found struct {
		Otherwise, Conditional bool
		Pattern, Condition     string
		Target                 ruleset.TargetKind
	}
	for _, c := range []struct {
		what string
		n    Standing
		want found
	}{
		{"of the address", Standing{Learnt: Learnt{Address: netip.MustParseAddr("198.51.100.8")}, Decides: true}, found{Otherwise: true, Pattern: "198.51.100.0/24", Target: ruleset.Interface}},
		{"a private one", Standing{Learnt: Learnt{Address: netip.MustParseAddr("10.1.2.3")}, Decides: true}, found{Otherwise: true, Pattern: "10.0.0.0/8", Target: ruleset.Block}},
		{"default", Standing{Learnt: Learnt{Address: netip.MustParseAddr("192.0.2.1")}, Decides: true}, found{Otherwise: true, Pattern: "default", Target: ruleset.Interface}},
		{"root's", Standing{Learnt: Learnt{Address: netip.MustParseAddr("203.0.113.1"), Level: LevelUser}, Decides: true},
			found{true, true, "203.0.113.0/24", "user=0", ruleset.Block}},
		{"of others", Standing{Learnt: Learnt{Address: netip.MustParseAddr("203.0.113.1"), Level: LevelUser, UID: 1000}, Decides: true}, found{Otherwise: true, Pattern: "default", Target: ruleset.Interface}},
		{"private, and only the default", Standing{Learnt: Learnt{Address: netip.MustParseAddr("192.168.1.1")}, Decides: true}, found{}},
		{"loopback", Standing{Learnt: Learnt{Address: netip.MustParseAddr("127.0.0.1")}, Decides: true}, found{}},
		{"the host's own", Standing{Learnt: Learnt{Address: own}, Decides: true}, found{}},
		{"another name decides", Standing{Learnt: Learnt{Address: netip.MustParseAddr("192.0.2.1")}}, found{}},
		{"the name has a rule", Standing{Learnt: Learnt{Address: netip.MustParseAddr("192.0.2.1")}, Decides: true, Ruled: true, Pattern: "a.test"}, found{Pattern: "a.test"}},
	} {
		var err error
		c.n.Alone, err = s.LeavesAlone(c.n.Address)
		check(t, err)
		j.byAddress(&c.n)
		got := found{c.n.Otherwise, c.n.Conditional, c.n.Pattern, c.n.Condition, c.n.Target.Kind}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.what, d)
		}
	}
}
