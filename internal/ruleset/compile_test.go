package ruleset

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/pattern"
)

func TestCompile(t *testing.T) {
	key := pattern.HashKey{1, 2, 3}
	s := read(t, "a.b wg1", "*.a.b wg0", "=only.x wg2", "*.below.x wg0", "=both.x wg2", "both.x wg1", "default direct")
	// A target no rule uses any more must not show.
	s.Add(rule(t, "z", chain(EndBlock, "unused")))
	s.Del(mustPattern(t, "z"), Condition{})
	c, err := s.Compile(key)
	if err != nil {
		t.Fatal(err)
	}
	direct, wg0, wg1, wg2 := Ref(1), Ref(2), Ref(3), Ref(4)
	want := Compiled{
		Entries: []Entry{
			{key.Hash(mustName(t, "a.b")), wg1, wg0},
			{key.Hash(mustName(t, "only.x")), wg2, 0},
			{key.Hash(mustName(t, "below.x")), 0, wg0},
			{key.Hash(mustName(t, "both.x")), wg2, wg1},
		},
		Targets: []Target{{Kind: Direct}, chain(EndBlock, "wg0"), chain(EndBlock, "wg1"), chain(EndBlock, "wg2")},
		Default: direct,
	}
	slices.SortFunc(want.Entries, func(a, b Entry) int { return strings.Compare(hex(a.Hash), hex(b.Hash)) })
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

// hex orders as the number does.
func hex(h uint64) string { return string(binary.BigEndian.AppendUint64(nil, h)) }

// A rule for both kinds hides a suffix's target completely; it must not be numbered.
func TestCompileHiddenTarget(t *testing.T) {
	c, err := read(t, "a.b hidden", "=a.b x", "*.a.b y").Compile(pattern.HashKey{})
	if err != nil || len(c.Targets) != 2 {
		t.Errorf("targets %v, %v", c.Targets, err)
	}
}

func TestCompileErrors(t *testing.T) {
	s := New(Rule{Pattern: pattern.Pattern{Kind: pattern.Suffix, Name: pattern.Root}, Target: Target{Kind: Block}})
	if _, err := s.Compile(pattern.HashKey{}); err == nil {
		t.Error("a suffix rule for the root compiles")
	}
	// Two entries of one name stand in for two names with one hash, which cannot be
	// made: 2^32 names would have to be tried.
	s = read(t, "a.b wg0", "c.d wg1")
	s.names.list[1].key = s.names.list[0].key
	if _, err := s.Compile(pattern.HashKey{}); err == nil || !strings.Contains(err.Error(), `["a.b" "a.b"]`) {
		t.Errorf("a collision gives %v", err)
	}
}
