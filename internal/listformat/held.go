package listformat

import (
	"fmt"
	"net/netip"

	"github.com/domain-route/domain-route/internal/pattern"
)

// maxRule is how many bytes the patterns of one rule may take while they wait for its end: some four million names.
const maxRule = 128 << 20

// heldPatterns holds patterns in little memory: a byte for the kind, one for a length, and the name or prefix.
type heldPatterns struct{ chunks [][]byte }

// chunk is what is asked for at a time; most rules are small.
const (
	firstChunk = 4 << 10
	chunk      = 1 << 20
)

// add holds p.
func (h *heldPatterns) add(p pattern.Pattern) error {
	data := []byte(p.Name)
	if p.Prefix.IsValid() {
		data, _ = p.Prefix.MarshalBinary() // never fails
	}
	last := len(h.chunks) - 1
	if last < 0 || cap(h.chunks[last])-len(h.chunks[last]) < 2+len(data) {
		size := firstChunk
		if last >= 0 {
			size = chunk
		}
		if len(h.chunks) > maxRule/chunk {
			return &Error{Reason: fmt.Sprintf("a rule has more than %d MiB of names; split it", maxRule>>20)}
		}
		h.chunks = append(h.chunks, make([]byte, 0, size))
		last++
	}
	h.chunks[last] = append(append(h.chunks[last], byte(p.Kind), byte(len(data))), data...)
	return nil
}

// each gives do the patterns in the order they were added.
func (h *heldPatterns) each(do func(pattern.Pattern) error) error {
	for i, c := range h.chunks {
		for len(c) > 0 {
			p, size := pattern.Pattern{Kind: pattern.Kind(c[0])}, int(c[1])
			if data := c[2 : 2+size]; p.Kind == pattern.Prefix {
				var prefix netip.Prefix
				if err := prefix.UnmarshalBinary(data); err != nil {
					return err
				}
				p.Prefix = prefix
			} else {
				p.Name = pattern.Name(data)
			}
			if err := do(p); err != nil {
				return err
			}
			c = c[2+size:]
		}
		h.chunks[i] = nil // as the names are given out, they are held no more
	}
	return nil
}
