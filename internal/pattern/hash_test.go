package pattern

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/dchest/siphash"
)

// Reference vector of the SipHash paper's authors: key 00..0f, input 00 01 .. 0e.
func TestSipHashVector(t *testing.T) {
	key, in := make([]byte, 16), make([]byte, 15)
	for i := range key {
		key[i] = byte(i)
	}
	for i := range in {
		in[i] = byte(i)
	}
	k0, k1 := binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])
	if got := siphash.Hash(k0, k1, in); got != 0xa129ca6149be45e5 {
		t.Errorf("got %#x", got)
	}
}

// The chain, built with the library's streaming form, which takes the key as bytes.
func TestHashChain(t *testing.T) {
	var key HashKey
	for i := range key {
		key[i] = byte(i)
	}
	std := func(h uint64, label string) uint64 {
		d := siphash.New(key[:])
		_ = binary.Write(d, binary.LittleEndian, h)
		_, _ = d.Write([]byte(label))
		return d.Sum64()
	}
	com := std(0, "com")
	example := std(com, "example")
	www := std(example, "www")
	n, err := ParseName("www.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := key.SuffixHashes(n), []uint64{0, com, example, www}; !slices.Equal(got, want) {
		t.Errorf("got %#x, want %#x", got, want)
	}
	if got := key.Hash(n); got != www {
		t.Errorf("got %#x, want %#x", got, www)
	}
	if key.Hash(Root) != 0 || !slices.Equal(key.SuffixHashes(Root), []uint64{0}) {
		t.Errorf("root: %#x, %#x", key.Hash(Root), key.SuffixHashes(Root))
	}
	// From an implementation of our own in another language; for the C side to compare.
	if known := uint64(0xbcfbf72a70600d15); www != known {
		t.Errorf("got %#x, want %#x", www, known)
	}
}

func TestSuffixHashesProperty(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		key := HashKey{byte(r.Uint32()), 15: byte(r.Uint32())}
		n := randomName(r)
		hashes := key.SuffixHashes(n)
		if len(hashes) != len(n.Labels())+1 {
			t.Fatalf("%s: %d hashes", n, len(hashes))
		}
		for i := len(hashes) - 1; i >= 0; i-- {
			if hashes[i] != key.Hash(n) || (hashes[i] == 0) != (i == 0) {
				t.Fatalf("%s: suffix hash %#x, hash %#x", n, hashes[i], key.Hash(n))
			}
			n, _ = n.Parent()
		}
	}
}

func TestHashAllocates(t *testing.T) {
	n := Name("\x03www\x07example\x03com\x00")
	if got := testing.AllocsPerRun(100, func() { HashKey{}.Hash(n) }); got != 0 {
		t.Errorf("%v allocations, want none", got)
	}
}
