package dataplane

import (
	"errors"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/pattern"
)

// textsKept are the names whose text is in any map.
func textsKept(t *testing.T, s *System) map[pattern.Name]bool {
	t.Helper()
	kept := map[pattern.Name]bool{}
	for _, from := range nameMaps {
		names, err := s.names(from)
		check(t, err)
		for _, n := range names {
			kept[n] = true
		}
	}
	return kept
}

// elements counts the elements of all maps of evidence, with names or without.
func elements(t *testing.T, s *System) int {
	t.Helper()
	n := 0
	for _, from := range evidenceMaps {
		check(t, each(s.maps[from], func(learnScope, learnLearntSet) { n++ }))
	}
	return n
}

// The programs know a map by its number, we by its place in the list.
func TestChoreMaps(t *testing.T) {
	text, err := os.ReadFile("../../bpf/chores.h")
	check(t, err)
	m := regexp.MustCompile(`enum chore_map \{([^}]*)\}`).FindSubmatch(text)
	if m == nil {
		t.Fatal("no enum chore_map")
	}
	if d := cmp.Diff(evidenceMaps, strings.Split(strings.ToLower(strings.Join(strings.Fields(string(m[1])), "")), ",")); d != "" {
		t.Error(d)
	}
	s := choreSystem(t)
	for number, from := range evidenceMaps {
		l := learnLearnt{Name: 7, Seen: 1}
		scope := learnScope{Pid: uint32(number), Addr: netip.MustParseAddr("192.0.2.1").As16()}
		check(t, s.maps[from].Put(scope, &learnLearntSet{Names: [4]learnLearnt{l}}))
		done, err := s.forgetOne(order{Map: uint32(number), Name: 7, Until: 1, PID: scope.Pid, Addr: scope.Addr})
		if !done || err != nil || elements(t, s) != 0 {
			t.Errorf("%s: forgot: %v, %v", from, done, err)
		}
	}
}

func TestForget(t *testing.T) {
	s := choreSystem(t, [2]string{"ruled.test", "vpn0"})
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, name := range []string{"a.ruled.test", "b.ruled.test", "a.plain.test", "b.plain.test"} {
		check(t, s.Teach(testName(t, name), []netip.Addr{a, b}, time.Minute))
	}
	n, err := s.Forget(func(l Learnt) bool { return l.Address == a && l.Name == testName(t, "a.ruled.test") })
	if n != 1 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
	if len(textsKept(t, s)) != 4 {
		t.Errorf("a text went that %v still has", b)
	}
	n, err = s.Forget(func(l Learnt) bool { return pattern.Pattern{Name: testName(t, "plain.test")}.Matches(l.Name) })
	if n != 4 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
	want := []string{
		"192.0.2.1 b.ruled.test host",
		"2001:db8::1 b.ruled.test host", "2001:db8::1 a.ruled.test host",
	}
	if d := cmp.Diff(want, learntText(t, s)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[pattern.Name]bool{testName(t, "a.ruled.test"): true, testName(t, "b.ruled.test"): true}, textsKept(t, s)); d != "" {
		t.Error(d)
	}
	if n := elements(t, s); n != 2 {
		t.Errorf("%d sets are left, with %v", n, want)
	}
	if n, err := s.Forget(func(Learnt) bool { return false }); n != 0 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
}

// A text whose evidence is gone for another reason, such as an eviction, goes with the next forgetting of anything.
func TestForgetOrphans(t *testing.T) {
	s := choreSystem(t)
	a := netip.MustParseAddr("192.0.2.1")
	check(t, s.Teach(testName(t, "plain.test"), []netip.Addr{a}, time.Minute))
	check(t, s.maps[learnMapHostPlain].Delete(learnScope{Addr: a.As16()}))
	if len(textsKept(t, s)) != 1 {
		t.Error("there is no text to begin with")
	}
	if n, err := s.Forget(func(Learnt) bool { return false }); n != 0 || err != nil || len(textsKept(t, s)) != 0 {
		t.Errorf("forgot %d, %v; left %v", n, err, textsKept(t, s))
	}
}

func TestForgetAll(t *testing.T) {
	s := choreSystem(t, [2]string{"ruled.test", "vpn0"})
	addrs := testAddrs(80)
	check(t, s.Teach(testName(t, "ruled.test"), addrs, time.Minute))
	check(t, s.Teach(testName(t, "plain.test"), addrs[:3], time.Minute))
	n, err := s.ForgetAll()
	if n != 83 || err != nil {
		t.Errorf("forgot %d, %v", n, err)
	}
	if n := elements(t, s); n != 0 {
		t.Errorf("%d sets are left", n)
	}
	if kept := textsKept(t, s); len(kept) > 0 {
		t.Errorf("the texts of %v are left", kept)
	}
	h, err := s.mapHints()
	check(t, err)
	defer h.close()
	for i, b := range h.memory {
		if b != 0 {
			t.Fatalf("hint byte %d is %#x", i, b)
		}
	}
}

// What is learnt after a forgetting began stays, also in a set of which something else goes.
func TestForgetNotWhatIsNewer(t *testing.T) {
	s := choreSystem(t, [2]string{"ruled.test", "vpn0"})
	a := netip.MustParseAddr("192.0.2.1")
	check(t, s.Teach(testName(t, "ruled.test"), []netip.Addr{a}, time.Minute))
	var old Learnt
	learnt, err := s.Learnt()
	check(t, err)
	old = learnt[0]
	until := bootTime()
	check(t, s.Teach(testName(t, "ruled.test"), []netip.Addr{a}, time.Minute))
	done, err := s.forgetOne(order{Name: old.hash, Map: 2, Until: until, Addr: a.As16()})
	if done || err != nil || len(learntText(t, s)) != 1 {
		t.Errorf("forgot %v, %v; left %v", done, err, learntText(t, s))
	}
	done, err = s.forgetOne(order{Name: old.hash, Map: 2, Until: bootTime(), Addr: a.As16()})
	if !done || err != nil || elements(t, s) != 0 {
		t.Errorf("forgot %v, %v; left %v", done, err, learntText(t, s))
	}
}

// One CPU learns while another forgets what was learnt before: whatever was just learnt is there, in a set that a look-up
// finds, also where its set was emptied and removed in the same moment.
func TestForgetWhileLearning(t *testing.T) {
	p := newPair(t)
	s := &System{maps: p.maps}
	check(t, s.mapState())
	_, err := s.choresFor()
	check(t, err)
	t.Cleanup(func() { s.chores.Close() })
	a := netip.MustParseAddr("192.0.2.77")
	l, hash := p.lesson(0, 0, a), p.key.Hash(p.names[0])
	var learning atomic.Uint64 // when the present round began; 0: no more
	learning.Store(bootTime())
	rounds, forgot, missing := 0, 0, 0
	p.both(func(thread int) error {
		if thread == 1 {
			for {
				before := learning.Load()
				if before == 0 {
					return nil
				}
				done, err := s.forgetOne(order{Name: hash, Map: 2, Until: before, Addr: a.As16()})
				if err != nil {
					return err
				}
				if done {
					forgot++
				}
			}
		}
		defer learning.Store(0)
		for until := time.Now().Add(crowdTime); time.Now().Before(until); rounds++ {
			learning.Store(bootTime())
			if err := errors.Join(p.ask(l), p.answer(l)); err != nil {
				return err
			}
			if set, err := p.lookup(a); err != nil || set.Names[0].Name != hash {
				missing++
			}
		}
		return nil
	})
	lost := p.counters()[learnCounterCOUNT_LEARNT_LOST]
	t.Logf("%d rounds, forgot %d, %d lost", rounds, forgot, lost)
	if uint64(missing) > lost || lost > uint64(rounds/1000) {
		t.Errorf("of %d names just learnt %d were missing, %d counted as lost", rounds, missing, lost)
	}
	if forgot < 50 {
		t.Errorf("forgot only %d times: it tests too little", forgot)
	}
}
