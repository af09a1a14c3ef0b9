package pattern

import (
	"encoding/binary"

	"github.com/dchest/siphash"
)

// HashKey is a SipHash key: k0 is the first 8 bytes, k1 the last 8, little endian.
// It must be random and secret, or others can make names collide.
type HashKey [16]byte

// Hash returns the hash of n, the same as the kernel side computes. It starts with 0
// for the root; then for each label from right to left
//
//	h = SipHash-2-4(key, le64(h) || label bytes without the length byte)
//
// where a result of 0 is replaced by 1, so that 0 is the root alone.
func (k HashKey) Hash(n Name) uint64 {
	var at [maxLabels]uint8
	h := k.hasher()
	for i := n.starts(&at) - 1; i >= 0; i-- {
		h.add(n.label(at[i]))
	}
	return h.sum
}

// SuffixHashes returns the hashes of all suffixes of n: the root's (0) first, the
// full name's last.
func (k HashKey) SuffixHashes(n Name) []uint64 {
	var at [maxLabels]uint8
	count := n.starts(&at)
	out := make([]uint64, 1, count+1)
	h := k.hasher()
	for i := count - 1; i >= 0; i-- {
		h.add(n.label(at[i]))
		out = append(out, h.sum)
	}
	return out
}

func (k HashKey) hasher() hasher {
	return hasher{k0: binary.LittleEndian.Uint64(k[:8]), k1: binary.LittleEndian.Uint64(k[8:])}
}

// hasher holds the hash of the suffix read so far.
type hasher struct {
	k0, k1 uint64
	sum    uint64
}

// add prepends a label to the suffix.
func (h *hasher) add(label string) {
	var buf [8 + maxLabel]byte
	binary.LittleEndian.PutUint64(buf[:8], h.sum)
	n := 8 + copy(buf[8:], label)
	h.sum = max(siphash.Hash(h.k0, h.k1, buf[:n]), 1)
}
