package ruleset

import (
	"encoding/binary"
	"fmt"
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

// What a parent leads to anyway is left out; what is hidden by a more specific rule of the same name is not a parent's.
func TestCompilePruned(t *testing.T) {
	tests := []struct {
		what        string
		rules, kept []string
	}{
		{"below a suffix", []string{"b x", "a.b x", "*.c.b x", "=d.b x", "e.f.b x"}, []string{"b"}},
		{"below subdomains", []string{"*.b x", "a.b x"}, []string{"b"}},
		{"below an exact", []string{"=b x", "a.b x"}, []string{"b", "a.b"}},
		{"another target in between", []string{"c x", "b.c y", "a.b.c x"}, []string{"c", "b.c", "a.b.c"}},
		{"an exact one in between", []string{"c x", "=b.c y", "a.b.c x"}, []string{"c", "b.c"}},
		{"half", []string{"c x", "=b.c x", "*.b.c y"}, []string{"c", "b.c"}},
		{"not the default", []string{"default x", "a x"}, []string{"a"}},
		{"the same conditions", []string{"c x user=1", "b.c x user=1"}, []string{"c"}},
		{"implied conditions", []string{"c x user=1", "b.c y user=2", "b.c x user=1 cgroup=/a"}, []string{"c", "b.c"}},
		{"a condition that changes nothing", []string{"c x", "b.c x user=2"}, []string{"c"}},
		{"conditions that never hold both", []string{"c x user=1", "b.c y user=1"}, []string{"c", "b.c"}},
	}
	for _, tt := range tests {
		key := pattern.HashKey{4}
		s := read(t, tt.rules...)
		c, err := s.Compile(key)
		if err != nil {
			t.Fatal(err)
		}
		var got, want []uint64
		for _, e := range c.Entries {
			got = append(got, e.Hash)
		}
		for _, name := range tt.kept {
			want = append(want, key.Hash(mustName(t, name)))
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d entries, want those of %q", tt.what, len(got), tt.kept)
		}
		if s.Len() != len(tt.rules) {
			t.Errorf("%s: the set changed", tt.what)
		}
	}
	c, err := read(t, "10.0.0.0/8 x", "10.1.0.0/16 x", "10.1.2.0/24 y", "11.0.0.0/8 x", "::/0 x").Compile(pattern.HashKey{})
	var got []string
	for _, p := range c.Prefixes {
		got = append(got, p.Prefix.String())
	}
	if want := []string{"10.0.0.0/8", "10.1.2.0/24", "11.0.0.0/8", "::/0"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("prefixes %q, %v", got, err)
	}
}

// The choices of many names with the same conditions are the same, and what is less specific is in them.
func TestCompileChoices(t *testing.T) {
	s := read(t, "b p user=1", "b q", "a.b x cgroup=/c", "d.b x cgroup=/c", "e x cgroup=/c", "10.0.0.0/8 x user=2", "default y user=1")
	c, err := s.Compile(pattern.HashKey{5})
	if err != nil {
		t.Fatal(err)
	}
	p, q, x, y := Ref(1), Ref(2), Ref(3), Ref(4)
	want := []Choice{
		{Condition{User: true, UID: 1}, p, q},
		{Condition{Cgroup: "/c"}, x, ChoiceBit},
		{Condition{Cgroup: "/c"}, x, 0},
		{Condition{User: true, UID: 2}, x, 0},
		{Condition{User: true, UID: 1}, y, 0},
	}
	if diff := cmp.Diff(want, c.Choices); diff != "" {
		t.Error(diff)
	}
	if c.Default != ChoiceBit|4 || c.Prefixes[0].To != ChoiceBit|3 {
		t.Errorf("default %#x, prefix %v", c.Default, c.Prefixes)
	}
}

func TestCompileBounds(t *testing.T) {
	chained := func(n int) (s *Set) {
		s = New()
		name := "z"
		for i := range n {
			s.Add(Rule{mustPattern(t, name), Condition{User: true, UID: uint32(i)}, chain(EndBlock, "w")})
			name = "a." + name
		}
		return s
	}
	c, err := chained(MaxChoices).Compile(pattern.HashKey{})
	if err != nil || len(c.Choices) != MaxChoices {
		t.Errorf("%d choices, %v", len(c.Choices), err)
	}
	if _, err := chained(MaxChoices + 1).Compile(pattern.HashKey{}); err == nil || !strings.Contains(err.Error(), strings.Repeat("a.", MaxChoices)+"z: ") {
		t.Errorf("too long a chain: %v", err)
	}
	many := func(n int) (s *Set) {
		s = New()
		for i := range n {
			s.Add(Rule{mustPattern(t, fmt.Sprintf("n%d", i)), Condition{User: true, UID: uint32(i)}, chain(EndBlock, "w")})
		}
		return s
	}
	if c, err := many(MaxDistinctChoices).Compile(pattern.HashKey{}); err != nil || len(c.Choices) != MaxDistinctChoices {
		t.Errorf("%d choices, %v", len(c.Choices), err)
	}
	if _, err := many(MaxDistinctChoices + 1).Compile(pattern.HashKey{}); err == nil || !strings.Contains(err.Error(), "more than 4096 different") {
		t.Errorf("too many choices: %v", err)
	}
	var lines []string
	for i := range MaxChoices + 1 {
		lines = append(lines, fmt.Sprintf("a w user=%d", i))
	}
	if err := new(Set).UnmarshalText([]byte(strings.Join(lines, "\n"))); err == nil || !strings.Contains(err.Error(), "line 17: more than 16") {
		t.Errorf("too many conditions in a text: %v", err)
	}
}
