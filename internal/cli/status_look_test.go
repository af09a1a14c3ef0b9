package cli

import (
	"fmt"
	"testing"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// Rules lead to the first interface that exists, or fail at one that does not; where they end in direct, they lead to none.
func TestUplinksOf(t *testing.T) {
	var targets []ruleset.TargetRules
	hits := map[ruleset.Target]uint64{}
	for i, text := range []string{"gone0", "gone0,gone1", "gone1,direct", "gone1,block", "direct", "block", "mark:5"} {
		target, err := ruleset.ParseTarget(text)
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, ruleset.TargetRules{Target: target, Rules: 1 << i})
		hits[target] = 1 << (10 + i)
	}
	all, err := uplinksOf(targets, hits, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, u := range all {
		got += fmt.Sprintln(u.Name, u.rules, u.leads, u.hits)
	}
	if want := fmt.Sprintln("gone0", 1|2, 1|2, 1<<10|1<<11) + fmt.Sprintln("gone1", 2|4|8, 8, 1<<13); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

// What has no series of its own is summed up of what was read with the others: the sum read a moment earlier may be less, and a
// counter must not fall.
func TestOtherHits(t *testing.T) {
	o := overview{sums: dataplane.HitSums{Sum: 20}, hits: []dataplane.Hit{{Count: 15}, {Count: 9}, {Count: 7}}}
	for series, want := range map[int]uint64{1: 16, 2: 7, 3: 0, 9: 0} {
		if s := o.snapshot(series); len(s.Hits) != min(series, 3) || s.OtherHits != want {
			t.Errorf("%d series: %d, others %d, want %d", series, len(s.Hits), s.OtherHits, want)
		}
	}
	o.hits = nil // which are not read for none
	if s := o.snapshot(0); s.OtherHits != 20 {
		t.Errorf("without series: %d", s.OtherHits)
	}
}
