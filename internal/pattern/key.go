package pattern

import (
	"bytes"
	"encoding/binary"

	"github.com/dchest/siphash"
)

// The sort key of a name is its labels from the right, each followed by a 0; bytes 0 and 1 of labels are escaped as
// 1 1 and 1 2. So the key of a name begins with its parent's key, and the root's is empty.

// AppendSortKey appends bytes that order names by their labels from the right:
// comparing two keys bytewise puts a parent before its children and siblings
// side by side.
func (n Name) AppendSortKey(b []byte) []byte {
	var at [maxLabels]uint8
	for i := n.starts(&at) - 1; i >= 0; i-- {
		b = appendKeyLabel(b, n.label(at[i]))
	}
	return b
}

func appendKeyLabel(b []byte, label string) []byte {
	for i := range len(label) {
		if c := label[i]; c <= 1 {
			b = append(b, 1, c+1)
		} else {
			b = append(b, c)
		}
	}
	return append(b, 0)
}

// AppendPlainKey appends the sort key of a name's text, if it is one of the plain ones that nearly all are: letters,
// digits, '-', '_' and dots, no trailing dot, and neither a keyword nor a number for its last label. What it refuses
// may be a name still; ParseName tells.
func AppendPlainKey(b, text []byte) (key []byte, ok bool) {
	if len(text)+2 > maxName || len(text) == 0 || len(text) == len(defaultWord) && bytes.EqualFold(text, []byte(defaultWord)) {
		return b, false
	}
	end := len(text)
	digits := true // so far, of the last label
	for end >= 0 {
		begin := bytes.LastIndexByte(text[:end], '.') + 1
		if begin == end || end-begin > maxLabel {
			return b, false
		}
		for _, c := range text[begin:end] {
			c = plain[c]
			if c == 0 {
				return b, false
			}
			digits = digits && c <= '9' && c >= '0'
			b = append(b, c)
		}
		if digits {
			return b, false
		}
		b = append(b, 0)
		end = begin - 1
	}
	return b, true
}

// plain maps the bytes that are written as themselves to their lower case, others to 0.
var plain = func() (t [256]byte) {
	for i := range t {
		if c := lower(byte(i)); isPlain(c) {
			t[i] = c
		}
	}
	return t
}()

// CutSortKey cuts the first label off a key, which is the last of the name. Labels with escapes are written to buf.
// rest is nil when key is none, or empty.
func CutSortKey(key []byte, buf *[maxLabel]byte) (label, rest []byte) {
	end := bytes.IndexByte(key, 0)
	if end < 0 {
		return nil, nil
	}
	label, rest = key[:end], key[end+1:]
	if bytes.IndexByte(label, 1) < 0 {
		return label, rest
	}
	n := 0
	for i := 0; i < len(label); i++ {
		c := label[i]
		if c == 1 {
			if i++; i == len(label) || label[i] > 2 {
				return nil, nil
			}
			c = label[i] - 1
		}
		if n == maxLabel {
			return nil, nil
		}
		buf[n] = c
		n++
	}
	return buf[:n], rest
}

// FromSortKey returns the name that has a key. ok is false when none has, or when no pattern can have that name: the
// root, and what looks like an address.
func FromSortKey(key []byte) (n Name, ok bool) {
	var wire [maxName]byte
	var buf [maxLabel]byte
	at := maxName - 1
	for rest := key; len(rest) > 0; {
		var label []byte
		label, rest = CutSortKey(rest, &buf)
		if rest == nil || len(label) == 0 || len(label) > maxLabel || len(label) >= at {
			return "", false
		}
		at -= len(label)
		for i, c := range label {
			if c != lower(c) {
				return "", false
			}
			wire[at+i] = c
		}
		at--
		wire[at] = byte(len(label))
	}
	n = Name(wire[at:])
	return n, n != Root && !allDigits(n)
}

// ValidSortKey tells whether FromSortKey takes key.
func ValidSortKey(key []byte) bool {
	size, label, digits := 1, 0, true
	for i := 0; i < len(key); i++ {
		c := key[i]
		switch {
		case c == 0:
			if label == 0 || label > maxLabel {
				return false
			}
			size += 1 + label
			label = 0
			continue
		case c == 1:
			if i++; i == len(key) || key[i] == 0 || key[i] > 2 {
				return false
			}
			c = key[i] - 1
		case c != lower(c):
			return false
		}
		digits = digits && '0' <= c && c <= '9'
		label++
	}
	return label == 0 && size > 1 && size <= maxName && !digits
}

// AppendKeyText appends the text of the pattern of a kind of names whose name has a key.
func AppendKeyText(b []byte, kind Kind, key []byte) []byte {
	switch {
	case kind == Exact:
		b = append(b, '=')
	case kind == Subdomains:
		b = append(b, "*."...)
	case string(key) == defaultWord+"\x00":
		return append(b, defaultWord+"."...)
	}
	var buf [maxLabel]byte
	for end := len(key); end > 0; {
		begin := bytes.LastIndexByte(key[:end-1], 0) + 1
		label, _ := CutSortKey(key[begin:end], &buf)
		b = appendLabel(b, label)
		if end = begin; end > 0 {
			b = append(b, '.')
		}
	}
	return b
}

// Below returns the hash of the name that is label below the name with hash parent, which is 0 for the root.
func (k HashKey) Below(parent uint64, label []byte) uint64 {
	var buf [8 + maxLabel]byte
	binary.LittleEndian.PutUint64(buf[:8], parent)
	n := 8 + copy(buf[8:], label)
	return max(siphash.Hash(binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:]), buf[:n]), 1)
}
