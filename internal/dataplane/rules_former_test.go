package dataplane

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/pattern"
)

// Former names are found by what is left of them, and those of which nothing is left are not looked for twice.
func TestFormerNames(t *testing.T) {
	s := choreSystem(t, [2]string{"b.ruled.test", "block"}, [2]string{"a.ruled.test", "block"}, [2]string{"kept.test", "block"})
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	for _, name := range []string{"www.a.ruled.test", "b.ruled.test", "x.kept.test"} {
		check(t, s.Teach(testName(t, name), addrs, time.Minute))
	}
	compiled, err := testRules(t, [2]string{"ruled.test", "direct"}, [2]string{"kept.test", "direct"}).Compile(s.key())
	check(t, err)
	want := func(what string, want map[string]string) {
		t.Helper()
		former, err := s.formerNames(compiled)
		check(t, err)
		got := map[string]string{}
		for hash, n := range former {
			for _, name := range []string{"a.ruled.test", "b.ruled.test"} {
				if hash == s.key().Hash(testName(t, name)) {
					got[name] = strings.TrimSuffix(n.String(), ".")
				}
			}
		}
		if d := cmp.Diff(want, got); d != "" || len(former) != len(want) {
			t.Errorf("%s: %s", what, d)
		}
		for _, e := range s.formerEntries(compiled, former) {
			if e.Apex != e.Sub || compiled.Targets[e.Apex-1].String() != "direct" {
				t.Errorf("%s: %+v", what, e)
			}
		}
		if again := s.formerIn(formerText(former)); len(again) > len(former) || again[0] != "" {
			t.Errorf("%s: read back %v", what, again)
		}
		if late, err := s.recorded(staged{compiled: compiled, former: former}.has); err != nil || len(late) > 0 {
			t.Errorf("%s: %d are late, %v", what, len(late), err)
		}
	}
	want("texts", map[string]string{"a.ruled.test": "a.ruled.test", "b.ruled.test": "b.ruled.test"})
	for _, from := range nameMaps {
		var hashes []uint64
		check(t, each(s.maps[from], func(hash uint64, _ learnName) { hashes = append(hashes, hash) }))
		for _, hash := range hashes {
			check(t, s.maps[from].Delete(hash))
		}
	}
	want("nothing", map[string]string{"a.ruled.test": "", "b.ruled.test": ""})
	b := testName(t, "b.ruled.test")
	s.former = map[uint64]pattern.Name{s.key().Hash(b): b}
	want("the text of the rules", map[string]string{"a.ruled.test": "", "b.ruled.test": "b.ruled.test"})
}
