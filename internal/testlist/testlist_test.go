package testlist

import (
	"slices"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/internal/pattern"
)

// The lists have the shape that they promise, short or long.
func TestShape(t *testing.T) {
	for _, n := range []int{1000, 20_000, 1_000_000} {
		if n > 20_000 && testing.Short() {
			continue
		}
		names := Names(1, n)
		if len(names) != n {
			t.Fatalf("%d names, want %d", len(names), n)
		}
		all := make(map[string]bool, n)
		var lengths, labels []int
		for _, name := range names {
			all[name] = true
			lengths = append(lengths, len(name))
			labels = append(labels, strings.Count(name, ".")+1)
		}
		if len(all) != n {
			t.Errorf("%d distinct names, want %d", len(all), n)
		}
		slices.Sort(lengths)
		slices.Sort(labels)
		p50, p99, most := lengths[n/2], lengths[n*99/100], lengths[n-1]
		if p50 != 16 || p99 != 71 || most != 101 {
			t.Errorf("%d names: lengths p50 %d, p99 %d, max %d; want 16, 71, 101", n, p50, p99, most)
		}
		if labels[0] != 2 || labels[n-1] != 11 || labels[n/2] > 3 {
			t.Errorf("%d names: %d to %d labels, p50 %d; want 2 to 11, p50 at most 3", n, labels[0], labels[n-1], labels[n/2])
		}
		below := 0
		for _, name := range names {
			if hasParent(all, name) {
				below++
			}
		}
		if share := float64(below) / float64(n); share < 0.15 || share > 0.25 {
			t.Errorf("%d names: %.3f of them below another, want about a fifth", n, share)
		} else {
			t.Logf("%d names: %.3f below another, labels p50 %d, p99 %d", n, share, labels[n/2], labels[n*99/100])
		}
	}
}

func hasParent(all map[string]bool, name string) bool {
	for {
		_, rest, more := strings.Cut(name, ".")
		if !more {
			return false
		}
		if all[rest] {
			return true
		}
		name = rest
	}
}

// All names are ones that rules take, as they stand.
func TestValid(t *testing.T) {
	for _, name := range Names(2, 20_000) {
		p, err := pattern.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.String() != name {
			t.Fatalf("%s is read as %s", name, p)
		}
	}
}

// The same seed gives the same list, whose beginning does not depend on its length; another seed gives another.
func TestSame(t *testing.T) {
	long := Names(1, 2000)
	if !slices.Equal(Names(1, 500), long[:500]) {
		t.Error("the beginning of a longer list differs")
	}
	if got := Names(1, 1)[0]; got != long[0] || len(got) == 0 {
		t.Errorf("first name: %q", got)
	}
	other := Names(2, 2000)
	same := 0
	for i := range long {
		if long[i] == other[i] {
			same++
		}
	}
	if same > 20 {
		t.Errorf("%d of 2,000 names of another seed are the same", same)
	}
	l := New(1)
	if got := append(slices.Clone(l.Take(700)), l.Take(1300)...); !slices.Equal(got, long) {
		t.Error("two takes differ from one")
	}
}
