package ruleset

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// names does what a map does, in whatever order keys come, with and without an index, and tidy or not.
func TestNamesProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	indexed, bisected := 0, 0
	for range 60 {
		var n names
		model := map[string]slot{}
		many := 1 + r.IntN(2000)
		for step := range 1 + r.IntN(3000) {
			key := fmt.Appendf(nil, "%06d\x00", step)
			if r.IntN(8) == 0 || many < 100 {
				key = fmt.Appendf(nil, "%06d\x00", r.IntN(many))
			}
			if len(key) > 3 && key[5] == '7' {
				key = append(bytes.Repeat([]byte("x"), 200), key...) // a length of two bytes
			}
			switch r.IntN(20) {
			case 0:
				n.tidy()
			case 1, 2, 3:
				if i, ok := n.find(key); ok {
					n.set(&n.list[i], 0, 0)
					delete(model, string(key))
				}
			default:
				n.set(n.entry(key), 0, slot(step+1))
				model[string(key)] = slot(step + 1)
			}
			if n.index == nil {
				bisected++
			} else {
				indexed++
			}
			if i, ok := n.find(key); model[string(key)] != 0 && (!ok || n.list[i].at[0] != model[string(key)]) {
				t.Fatalf("step %d: %q is %v %v, want %d", step, key, i, ok, model[string(key)])
			}
			if n.rules != len(model) {
				t.Fatalf("step %d: %d names, want %d", step, n.rules, len(model))
			}
		}
		n.tidy()
		var got []string
		for _, e := range n.list {
			if e.at[0] != 0 {
				got = append(got, string(n.keys.get(e.key)))
			}
		}
		if want := slices.Sorted(maps.Keys(model)); !slices.Equal(got, want) {
			t.Fatalf("got %d names, want %d", len(got), len(want))
		}
	}
	if indexed < 10_000 || bisected < 10_000 {
		t.Errorf("%d steps with an index, %d without", indexed, bisected)
	}
}

// What is deleted does not stay in memory for good.
func TestNamesForget(t *testing.T) {
	s := New()
	for i := range 100_000 {
		p := mustPattern(t, fmt.Sprintf("n%d.test", i*7919%100_003))
		s.Add(Rule{Pattern: p, Target: Target{Kind: Block}})
		s.Del(p, Condition{})
	}
	if len(s.names.list) > 1000 || len(s.names.keys.chunks) > 3 {
		t.Errorf("%d entries, %d chunks of an empty set", len(s.names.list), len(s.names.keys.chunks))
	}
	for i := range 100_000 {
		s.Add(Rule{mustPattern(t, "a"), Condition{User: true, UID: uint32(i)}, Target{Kind: Block}})
		s.Del(mustPattern(t, "a"), Condition{User: true, UID: uint32(i)})
	}
	if len(s.nodes) > 2*minSweep {
		t.Errorf("%d nodes of an empty set", len(s.nodes))
	}
}

// Names come in the order of their keys, or nearly: then no index is made.
func TestNamesWithoutIndex(t *testing.T) {
	lines := bytes.Split(listText(10_000), []byte("\n"))
	s := read(t, text(t, read(t, string(bytes.Join(lines, []byte("\n"))))))
	s.Add(rule(t, "=one.more.com", Target{Kind: Block}))
	s.Add(rule(t, "xyz", Target{Kind: Block}))
	if s.names.index != nil || s.names.sorted != len(s.names.list) {
		t.Error("an index was made for a text in order")
	}
	if other := read(t, string(bytes.Join(lines, []byte("\n")))); other.names.index == nil {
		t.Error("no index was made for a text in no order")
	}
}

func TestCloneArena(t *testing.T) {
	s := read(t, "a.b x")
	c := s.Clone()
	s.Add(rule(t, "c.s", Target{Kind: Block}))
	c.Add(rule(t, "c.c", Target{Kind: Direct}))
	if got, want := text(t, s)+text(t, c), "a.b x\nc.s block\na.b x\nc.c direct\n"; got != want {
		t.Errorf("got %q", got)
	}
}

func TestSortByHash(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	for _, n := range []int{0, 1, 100, 4095, 4096, 50_000} {
		entries := make([]Entry, n)
		for i := range entries {
			entries[i] = Entry{Hash: r.Uint64() >> r.IntN(3), Apex: Ref(i)}
		}
		want := slices.Clone(entries)
		slices.SortFunc(want, func(a, b Entry) int { return cmp.Compare(a.Hash, b.Hash) })
		if sortByHash(entries); !slices.Equal(entries, want) {
			t.Errorf("%d entries are in no order", n)
		}
	}
}

// A long list is sorted as its keys compare, whatever they have in common.
func TestSortNames(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 26))
	var n names
	var want []string
	for i := range 20_000 {
		key := fmt.Appendf(nil, "%s%d\x00", []string{"com\x00", "com\x00longer-than-lead\x00", "", "net\x00\xff", "com\x00\x01\x01"}[r.IntN(5)], i)
		n.set(n.entry(key), 0, 1)
		want = append(want, string(key))
	}
	n.tidy()
	slices.Sort(want)
	for i, e := range n.list {
		if got := string(n.keys.get(e.key)); got != want[i] {
			t.Fatalf("%d: %q, want %q", i, got, want[i])
		}
	}
}
