package ruleset

import (
	"encoding/binary"
	"math/rand/v2"
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
	s.Add(Rule{mustPattern(t, "z"), chain(EndBlock, "unused")})
	s.Del(mustPattern(t, "z"))
	c, err := s.Compile(key)
	if err != nil {
		t.Fatal(err)
	}
	direct, wg0, wg1, wg2 := uint32(1), uint32(2), uint32(3), uint32(4)
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
	s := New(Rule{pattern.Pattern{Kind: pattern.Suffix, Name: pattern.Root}, Target{Kind: Block}})
	if _, err := s.Compile(pattern.HashKey{}); err == nil {
		t.Error("a suffix rule for the root compiles")
	}
	// Two entries of one name stand in for two names with one hash, which cannot be
	// made: 2^32 names would have to be tried.
	s = read(t, "a.b wg0", "c.d wg0")
	s.entries[1].name = s.entries[0].name
	if _, err := s.Compile(pattern.HashKey{}); err == nil || !strings.Contains(err.Error(), `["a.b" "a.b"]`) {
		t.Errorf("a collision gives %v", err)
	}
}

// The compiled form decides as the set does, by the same rule.
func TestCompiledProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	hits := 0
	for round := range 300 {
		var key pattern.HashKey
		binary.LittleEndian.PutUint64(key[:], r.Uint64())
		binary.LittleEndian.PutUint64(key[8:], r.Uint64())
		s := randomSet(t, r)
		c, err := s.Compile(key)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			n := mustName(t, randomText(r))
			if i == 0 {
				n = pattern.Root
			}
			rule, ok := s.Match(n)
			target, hash := c.Match(key.SuffixHashes(n))
			if ok != (target != 0) {
				t.Fatalf("round %d, %s: set %v %v, compiled %d", round, n, rule, ok, target)
			}
			if !ok {
				continue
			}
			hits++
			if c.Targets[target-1] != rule.Target || hash != key.Hash(rule.Pattern.Name) {
				t.Fatalf("round %d, %s: set %v, compiled %v %#x", round, n, rule, c.Targets[target-1], hash)
			}
			checkBest(t, s, n, rule)
		}
	}
	if hits < 1000 {
		t.Errorf("only %d matches among the samples", hits)
	}
}

// checkBest compares rule with the plain reading: of all that match, the most specific.
func checkBest(t *testing.T, s *Set, n pattern.Name, rule Rule) {
	t.Helper()
	rank := func(p pattern.Pattern) int {
		r := len(p.Name) * 10
		switch p.Kind {
		case pattern.Exact:
			return r + 2
		case pattern.Subdomains:
			return r + 1
		case pattern.Default:
			return 0
		}
		return r
	}
	for _, other := range s.Rules() {
		if other.Pattern.Matches(n) && rank(other.Pattern) > rank(rule.Pattern) {
			t.Fatalf("%s: %v decides, not %v", n, rule.Pattern, other.Pattern)
		}
	}
	if !rule.Pattern.Matches(n) {
		t.Fatalf("%s: %v decides but does not match", n, rule.Pattern)
	}
}
