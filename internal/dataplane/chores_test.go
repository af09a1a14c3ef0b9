package dataplane

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// choreSystem is a system that is neither pinned nor attached, with rules of these texts (pattern and target).
func choreSystem(t *testing.T, rules ...[2]string) *System {
	t.Helper()
	p := newParser(t)
	s := &System{maps: p.maps}
	check(t, s.mapState())
	t.Cleanup(func() {
		if s.chores != nil {
			s.chores.Close()
		}
	})
	set := testRules(t, rules...)
	compiled, err := set.Compile(s.key())
	check(t, err)
	patterns, err := s.newPatterns(compiled.Entries)
	check(t, err)
	defer patterns.Close()
	check(t, s.maps[learnMapRules].Put(uint32(0), patterns))
	return s
}

func testRules(t *testing.T, rules ...[2]string) *ruleset.Set {
	t.Helper()
	set := ruleset.New()
	for _, r := range rules {
		p, err := pattern.Parse(r[0])
		check(t, err)
		target, err := ruleset.ParseTarget(r[1])
		check(t, err)
		set.Add(ruleset.Rule{Pattern: p, Target: target})
	}
	return set
}

func testName(t *testing.T, text string) pattern.Name {
	t.Helper()
	n, err := pattern.ParseName(text)
	check(t, err)
	return n
}

func testAddrs(n int) []netip.Addr {
	var all []netip.Addr
	for i := range n {
		a := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		if i%2 == 1 {
			a = netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i))
		}
		all = append(all, a)
	}
	return all
}

// learntText is what is learnt, in short.
func learntText(t *testing.T, s *System) []string {
	t.Helper()
	all, err := s.Learnt()
	check(t, err)
	text := []string{}
	for _, l := range all {
		text = append(text, fmt.Sprintf("%v %v %v", l.Address, l.Name, l.Level))
	}
	return text
}

// hinted counts the hint bits that are set.
func hinted(t *testing.T, s *System, a netip.Addr) bool {
	t.Helper()
	h, err := s.mapHints()
	check(t, err)
	defer h.close()
	bit := hintBit(a.As16(), s.state.Key)
	return h.memory[bit/8]&(1<<(bit%8)) != 0
}

func TestTeach(t *testing.T) {
	s := choreSystem(t, [2]string{"ruled.test", "vpn0"})
	addrs := testAddrs(100)
	local := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("fe80::1"), netip.MustParseAddr("0.1.2.3")}
	odd := testName(t, `a\027\.b.ruled.test`)
	check(t, s.Teach(odd, append(local, addrs...), 90*time.Second))
	check(t, s.Teach(testName(t, "plain.test"), addrs[:1], time.Minute))
	check(t, s.Teach(testName(t, "nothing.test"), local, time.Minute))
	all, err := s.Learnt()
	check(t, err)
	got := map[netip.Addr]int{}
	for _, l := range all {
		got[l.Address]++
		want := 90 * time.Second
		if l.Name != odd {
			want = time.Minute
		}
		if l.Level != LevelHost || l.TTL > want || l.TTL < want-10*time.Second || l.UID != 0 || l.PID != 0 {
			t.Errorf("learnt %+v", l)
		}
	}
	want := map[netip.Addr]int{addrs[0]: 2}
	for _, a := range addrs[1:] {
		want[a] = 1
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Error(d)
	}
	for _, a := range addrs {
		if !hinted(t, s, a) {
			t.Errorf("%v is not hinted at", a)
		}
	}
	if err := s.Teach(pattern.Root, addrs, 0); err == nil {
		t.Error("the root was taught")
	}
}
