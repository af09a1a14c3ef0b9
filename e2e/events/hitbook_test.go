package events

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/lab"
)

// wantBook waits until a book that is kept has what Hits has, and that is what is wanted: a new rule may be missing for a moment.
func wantBook(t *testing.T, b *dataplane.HitBook, want map[string]uint64) {
	t.Helper()
	wantHits(t, want)
	var d string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		s, err := dataplane.Peek()
		if err != nil {
			t.Fatal(err)
		}
		all, err := b.Read(s)
		s.Close()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]uint64{}
		for _, h := range all {
			got[ruleText(h.Rule)] += h.Count
		}
		if d = cmp.Diff(want, got); d == "" {
			return
		}
	}
	t.Errorf("what the book has (-want +got):\n%s", d)
}

// A book that is kept goes along with new rules, with others in their place, and with another start, whose generations begin
// anew and of which it saw nothing.
func TestHitBook(t *testing.T) {
	h := harness.Started(t)
	c := caller{t, h, h.MustAgent(lab.AgentOptions{})}
	var b dataplane.HitBook
	wantBook(t, &b, map[string]uint64{})
	apply(t, h, "example.com vpn0\nother.example block\n198.51.100.0/27 direct\n")
	c.connect("example.com", 2)
	wantBook(t, &b, map[string]uint64{"example.com vpn0": 2})
	c.connect("other.example", 1) // a rule's first, in the same generation
	c.connect("plain.example", 3)
	wantBook(t, &b, map[string]uint64{"example.com vpn0": 2, "other.example block": 1, "198.51.100.0/27 direct": 3})
	apply(t, h, "example.com block\nother.example block\n")
	c.connect("other.example", 1)
	c.connect("example.com", 4)
	wantBook(t, &b, map[string]uint64{"example.com block": 4, "other.example block": 2})
	h.Must("stop")
	h.Must("start", "--cgroup", h.Cgroup)
	apply(t, h, "www.example.org direct\n")
	apply(t, h, "www.example.org direct\nexample.com vpn0\n") // of the generation that the book has
	c.connect("example.com", 1)
	c.connect("www.example.org", 5)
	wantBook(t, &b, map[string]uint64{"example.com vpn0": 1, "www.example.org direct": 5})
}
