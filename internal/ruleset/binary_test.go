package ruleset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/domain-route/domain-route/internal/pattern"
)

func marshal(t testing.TB, s *Set) []byte {
	t.Helper()
	b, err := s.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sealed gives a body the magic and the checksum.
func sealed(body []byte) []byte {
	b := append([]byte(magic), body...)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// A set read from its binary form is the set, whatever way it was made, and goes on as one.
func TestBinaryProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for range 500 {
		s := randomSet(t, r)
		b := marshal(t, s)
		if other := marshal(t, read(t, text(t, s))); !bytes.Equal(b, other) {
			t.Fatalf("the form depends on more than the rules:\n%q\n%q", b, other)
		}
		var again Set
		again.Add(rule(t, "old", Target{Kind: Block}))
		if err := again.UnmarshalBinary(b); err != nil {
			t.Fatalf("%v: %q", err, b)
		}
		if again.Len() != s.Len() || !slices.Equal(s.Rules(), again.Rules()) {
			t.Fatalf("other rules than\n%s\nbut\n%s", text(t, s), text(t, &again))
		}
		for range 20 {
			one := randomRule(t, r)
			s.Add(one)
			again.Add(one)
			two := randomRule(t, r)
			if s.Del(two.Pattern, two.Condition) != again.Del(two.Pattern, two.Condition) {
				t.Fatalf("deletes %v otherwise", two)
			}
		}
		if got, want := text(t, &again), text(t, s); got != want {
			t.Fatalf("after changes\n%s\nwant\n%s", got, want)
		}
	}
}

func TestBinaryDamage(t *testing.T) {
	b := marshal(t, read(t, "a.b wg0", "*.c.b direct user=1", "10.0.0.0/8 block cgroup=/x", "default wg0,wg1"))
	s := read(t, "old wg0")
	refused := func(what string, b []byte) {
		t.Helper()
		if err := s.UnmarshalBinary(b); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: error is %v", what, err)
		}
		if got := text(t, s); got != "old wg0\n" {
			t.Fatalf("%s: the failed set became %q", what, got)
		}
	}
	for i := range b {
		refused("cut", b[:i])
		for bit := range 8 {
			bad := bytes.Clone(b)
			bad[i] ^= 1 << bit
			refused("flipped", bad)
		}
	}
	refused("longer", append(bytes.Clone(b), 0))
	refused("longer inside", sealed(append(bytes.Clone(b[len(magic):len(b)-4]), 0)))
}

// Bytes whose checksum is right, but which no set has.
func TestBinaryRefused(t *testing.T) {
	const target = "\x01\x05block"
	const empty = "\x00\x00\x00\x00\x00\x00" // no targets, nodes, rows, names, prefixes, default
	var s Set
	if err := s.UnmarshalBinary(sealed([]byte(empty))); err != nil || s.Len() != 0 {
		t.Fatalf("the empty set: %v", err)
	}
	good := target + "\x00" + "\x01\x02\x00\x00" + "\x02\x00\x02b\x00\x00" + "\x02\x02a\x00\x00" + "\x00" + "\x02"
	if err := s.UnmarshalBinary(sealed([]byte(good))); err != nil || text(t, &s) != "b block\na.b block\ndefault block\n" {
		t.Fatalf("%v, %q", err, text(t, &s))
	}
	tests := []struct{ what, body string }{
		{"a count beyond the end", "\xff\xff\xff\xff\x0f"},
		{"a count of 64 bits", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
		{"a number that does not end", "\xff"},
		{"a target that is none", "\x01\x013\x00\x00\x00\x00\x00"},
		{"a target that is not canonical", "\x01\x09wg0,block\x00\x00\x00\x00\x00"},
		{"a target twice", "\x02\x05block\x05block\x00\x00\x00\x00\x00"},
		{"a node without a condition", target + "\x01\x00\x00\x00\x00" + "\x00\x00\x00\x00"},
		{"a node of no user", target + "\x01\x80\x80\x80\x80\x10\x00\x00\x00" + "\x00\x00\x00\x00"},
		{"a node of no cgroup", target + "\x01\x00\x01/\x00\x00" + "\x00\x00\x00\x00"},
		{"a node that leads to itself", target + "\x01\x01\x00\x00\x01" + "\x00\x00\x00\x00"},
		{"nodes in no order", target + "\x02\x01\x00\x00\x00\x02\x00\x00\x01" + "\x00\x00\x00\x00"},
		{"a node twice", target + "\x02\x01\x00\x00\x00\x01\x00\x00\x00" + "\x00\x00\x00\x00"},
		{"a node to no target", target + "\x01\x01\x00\x01\x00" + "\x00\x00\x00\x00"},
		{"an empty row", target + "\x00" + "\x01\x00\x00\x00" + "\x00\x00\x00"},
		{"a row of no target", target + "\x00" + "\x01\x04\x00\x00" + "\x00\x00\x00"},
		{"a name that shares with none", target + "\x00" + "\x01\x02\x00\x00" + "\x01\x01\x01\x00\x00" + "\x00\x00"},
		{"the root", target + "\x00" + "\x01\x02\x00\x00" + "\x01\x00\x00\x00" + "\x00\x00"},
		{"upper case", target + "\x00" + "\x01\x02\x00\x00" + "\x01\x00\x02B\x00\x00" + "\x00\x00"},
		{"an address", target + "\x00" + "\x01\x02\x00\x00" + "\x01\x00\x021\x00\x00" + "\x00\x00"},
		{"a name twice", target + "\x00" + "\x01\x02\x00\x00" + "\x02\x00\x02b\x00\x00\x02\x00\x00" + "\x00\x00"},
		{"names in no order", target + "\x00" + "\x01\x02\x00\x00" + "\x02\x00\x02b\x00\x00\x00\x02a\x00\x00" + "\x00\x00"},
		{"a name of no row", target + "\x00" + "\x01\x02\x00\x00" + "\x01\x00\x02b\x00\x01" + "\x00\x00"},
		{"a prefix with bits beyond", target + "\x00\x00\x00" + "\x01\x04\x0a\x00\x00\x01\x08\x02" + "\x00"},
		{"a prefix too long", target + "\x00\x00\x00" + "\x01\x04\x0a\x00\x00\x00\x21\x02" + "\x00"},
		{"a prefix of no family", target + "\x00\x00\x00" + "\x01\x05\x0a\x00\x00\x00\x08\x02" + "\x00"},
		{"a prefix without a rule", target + "\x00\x00\x00" + "\x01\x04\x0a\x00\x00\x00\x08\x00" + "\x00"},
		{"a prefix of IPv4 in IPv6", target + "\x00\x00\x00" + "\x01\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x01\x02\x03\x04\x80\x01\x02" + "\x00"},
		{"prefixes in no order", target + "\x00\x00\x00" + "\x02\x04\x0b\x00\x00\x00\x08\x02\x04\x0a\x00\x00\x00\x08\x02" + "\x00"},
		{"no default", target + "\x00\x00\x00\x00"},
	}
	for _, tt := range tests {
		var s Set
		if err := s.UnmarshalBinary(sealed([]byte(tt.body))); !errors.Is(err, ErrDamaged) || s.Len() != 0 {
			t.Errorf("%s: error is %v, %d rules", tt.what, err, s.Len())
		}
	}
}

// What a few bytes say in shared beginnings of names must not take much memory: the 17th name shares nothing.
func TestBinaryShareBound(t *testing.T) {
	for _, count := range []byte{blockSize, blockSize + 1} {
		body := append([]byte("\x01\x05block\x00\x01\x02\x00\x00"), count, 0, 2, 'a', 0, 0)
		for i := range count - 1 {
			body = append(body, 2, 2, 'a'+i, 0, 0)
		}
		var s Set
		err := s.UnmarshalBinary(sealed(append(body, 0, 0)))
		if want := count <= blockSize; (err == nil) != want || want && s.Len() != int(count) {
			t.Errorf("%d names: %v", count, err)
		}
	}
}

// More conditions for one pattern than a text may have would take long to compile.
func TestBinaryManyConditions(t *testing.T) {
	for _, count := range []byte{MaxChoices, MaxChoices + 1} {
		body := append([]byte("\x01\x05block"), count)
		for i := range count {
			otherwise := byte(0)
			if i > 0 {
				otherwise = 2*(i-1) + 1
			}
			body = append(body, 100-i, 0, 0, otherwise)
		}
		var s Set
		err := s.UnmarshalBinary(sealed(append(body, 0, 0, 0, 2*(count-1)+1)))
		if want := count <= MaxChoices; (err == nil) != want || want && s.Len() != int(count) {
			t.Errorf("%d conditions: %v, %d rules", count, err, s.Len())
		}
	}
}

func FuzzUnmarshalBinary(f *testing.F) {
	for _, s := range []*Set{
		{}, read(f, "a.b wg0", "*.c.b direct user=1 cgroup=/y", "10.0.0.0/8 block cgroup=/x", "default wg0,wg1", "2001:db8::1 block"),
		read(f, "b wg0", "a.b wg1", "=b.b wg0", "a\\000.b wg0", "b wg1 user=0", "b wg2 user=1", "*.b wg2 user=1"),
	} {
		b := marshal(f, s)
		f.Add(b[len(magic) : len(b)-4])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var s Set
		if s.UnmarshalBinary(sealed(body)) != nil {
			return
		}
		// It is a set like any other: its text makes the same, and it is written as it is.
		again := read(t, text(t, &s))
		if !slices.Equal(again.Rules(), s.Rules()) || again.Len() != s.Len() || len(again.Diff(&s)) != 0 {
			t.Fatalf("%q: text makes other rules", body)
		}
		if b := marshal(t, again); !bytes.Equal(b, marshal(t, &s)) {
			t.Fatalf("%q: written otherwise", body)
		}
		if _, err := s.Compile(pattern.HashKey{1}); err != nil && s.Len() < MaxChoices {
			t.Fatal(err)
		}
	})
}
