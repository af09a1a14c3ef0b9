package ruleset

import (
	"encoding/binary"
	"slices"
)

// chunkSize is how many bytes of keys lie in one piece of memory, 1<<chunkBits.
const (
	chunkBits = 16
	chunkSize = 1 << chunkBits
)

// arena holds the keys of names, each behind its length, without a pointer for each of them: the garbage collector need
// not look at a million. What is in it never changes.
type arena struct {
	chunks [][]byte
	size   int // bytes of keys and their lengths
}

// add copies a key and returns its place.
func (a *arena) add(key []byte) uint32 {
	last := len(a.chunks) - 1
	if last < 0 || len(a.chunks[last])+binary.MaxVarintLen16+len(key) > chunkSize {
		var chunk []byte
		if last++; last > 0 { // a small set is to stay small
			chunk = make([]byte, 0, chunkSize)
		}
		if last >= 1<<(32-chunkBits) {
			panic("ruleset: more than 4 GiB of names")
		}
		a.chunks = append(a.chunks, chunk)
	}
	chunk := a.chunks[last]
	at := uint32(last<<chunkBits | len(chunk))
	chunk = append(binary.AppendUvarint(chunk, uint64(len(key))), key...)
	a.size += len(chunk) - len(a.chunks[last])
	a.chunks[last] = chunk
	return at
}

// get returns the key at a place. It must not be changed.
func (a *arena) get(at uint32) []byte {
	b := a.chunks[at>>chunkBits][at&(chunkSize-1):]
	if n := int(b[0]); n < 0x80 {
		return b[1 : 1+n : 1+n]
	}
	n, width := binary.Uvarint(b)
	return b[width : width+int(n) : width+int(n)]
}

// clone returns a copy that shares what is in it already.
func (a *arena) clone() arena {
	c := arena{slices.Clone(a.chunks), a.size}
	for i, chunk := range c.chunks {
		c.chunks[i] = slices.Clip(chunk)
	}
	return c
}
