package listformat

import (
	"encoding/binary"
	"fmt"

	"github.com/domain-route/domain-route/internal/pattern"
)

// maxRule is how many bytes the patterns of one rule, or list, may take while they wait for its end: some four million names.
const maxRule = 128 << 20

// heldItems holds patterns and where they stand in little memory: four bytes for the line, one for the kind, one for a
// length, and the name or prefix.
type heldItems struct{ chunks [][]byte }

// chunk is what is asked for at a time; most rules are small.
const (
	firstChunk = 4 << 10
	chunk      = 1 << 20
)

const heldHead = 4 + 1 + 1

// add holds the pattern and the line of an item.
func (h *heldItems) add(item Item) error {
	p := item.Pattern
	data := []byte(p.Name)
	if p.Prefix.IsValid() {
		data, _ = p.Prefix.MarshalBinary() // never fails
	}
	last := len(h.chunks) - 1
	if last < 0 || cap(h.chunks[last])-len(h.chunks[last]) < heldHead+len(data) {
		size := firstChunk
		if last >= 0 {
			size = chunk
		}
		if len(h.chunks) > maxRule/chunk {
			return &Error{Reason: fmt.Sprintf("a rule or list has more than %d MiB of names; split it", maxRule>>20)}
		}
		h.chunks = append(h.chunks, make([]byte, 0, size))
		last++
	}
	c := binary.LittleEndian.AppendUint32(h.chunks[last], uint32(item.Line))
	h.chunks[last] = append(append(c, byte(p.Kind), byte(len(data))), data...)
	return nil
}

// each gives do the items in the order they were added.
func (h *heldItems) each(do emitter) error {
	for i, c := range h.chunks {
		for len(c) > 0 {
			item := Item{Pattern: pattern.Pattern{Kind: pattern.Kind(c[4])}, Line: int(binary.LittleEndian.Uint32(c))}
			end := heldHead + int(c[heldHead-1])
			if data := c[heldHead:end]; item.Pattern.Kind == pattern.Prefix {
				if err := item.Pattern.Prefix.UnmarshalBinary(data); err != nil {
					return err
				}
			} else {
				item.Pattern.Name = pattern.Name(data)
			}
			if err := do(item); err != nil {
				return err
			}
			c = c[end:]
		}
		h.chunks[i] = nil // as the names are given out, they are held no more
	}
	return nil
}
