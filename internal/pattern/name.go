// Package pattern holds domain names, the patterns rules are written with, of names and of addresses, and the keyed hash by
// which the kernel side finds names. It does no I/O.
package pattern

import "fmt"

// Limits of RFC 1035 §3.1, in wire bytes.
const (
	maxLabel = 63
	maxName  = 255
	// maxLabels is how many labels fit maxName, the root not counted.
	maxLabels = 127
)

// Root is the name of the root zone.
const Root Name = "\x00"

// Name is a domain name in DNS wire form (RFC 1035 §3.1): length-prefixed
// labels, ASCII lower case, ending in the root's zero byte. The root is "\x00".
// Names come from ParseName and FromWire; the methods of any other string are
// safe to call but mean nothing.
type Name string

// SyntaxError tells what is wrong with a name or pattern, and where.
type SyntaxError struct {
	Input  string // the text or wire bytes given
	Offset int    // byte offset into Input, 0..len(Input)
	Reason string
}

// Error quotes the input, cut to a readable length.
func (e *SyntaxError) Error() string {
	const most = 80
	in := e.Input
	if len(in) > most {
		in = in[:most]
		return fmt.Sprintf("%q... at byte %d: %s", in, e.Offset, e.Reason)
	}
	return fmt.Sprintf("%q at byte %d: %s", in, e.Offset, e.Reason)
}

// FromWire validates an uncompressed wire name that fills all of b, and lower-cases
// its ASCII letters. Label bytes are otherwise free. Errors are *SyntaxError.
func FromWire(b []byte) (Name, error) {
	fail := func(off int, reason string) (Name, error) {
		return "", &SyntaxError{Input: string(b), Offset: off, Reason: reason}
	}
	for i := 0; ; {
		switch {
		case i >= len(b):
			return fail(len(b), "name ends without the root's zero byte")
		case i >= maxName:
			return fail(i, "name is longer than 255 bytes")
		}
		l := int(b[i])
		switch {
		case l == 0 && i+1 < len(b):
			return fail(i+1, "bytes after the name")
		case l == 0:
			return lowerWire(b), nil
		case l >= 0xc0:
			return fail(i, "compression pointer")
		case l > maxLabel:
			return fail(i, "label is longer than 63 bytes")
		}
		i += 1 + l
	}
}

// lowerWire lower-cases a valid wire name. Length bytes are at most 63, below
// 'A', so they need no telling apart.
func lowerWire(b []byte) Name {
	var buf [maxName]byte
	n := copy(buf[:], b)
	for i, c := range buf[:n] {
		buf[i] = lower(c)
	}
	return Name(buf[:n])
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// Parent returns n without its leftmost label; ok is false for the root.
func (n Name) Parent() (parent Name, ok bool) {
	if len(n) == 0 || n[0] == 0 || len(n) <= 1+int(n[0]) {
		return "", false
	}
	return n[1+int(n[0]):], true
}

// Labels returns the labels of n from left to right, none for the root.
func (n Name) Labels() []string {
	var out []string
	for p, ok := n.Parent(); ok; p, ok = n.Parent() {
		out = append(out, string(n[1:len(n)-len(p)]))
		n = p
	}
	return out
}

// starts fills at with the offset of each label's length byte, left to right, and
// returns how many labels n has.
func (n Name) starts(at *[maxLabels]uint8) int {
	count, size := 0, len(n)
	for p, ok := n.Parent(); ok && count < maxLabels; p, ok = n.Parent() {
		at[count] = uint8(size - len(n))
		count++
		n = p
	}
	return count
}

// label returns the bytes of the label whose length byte is at offset i.
func (n Name) label(i uint8) string { return string(n[int(i)+1 : int(i)+1+int(n[i])]) }

// String returns n as A-label text without a trailing dot; "." for the root.
// Bytes outside [a-z0-9-_] are escaped as in RFC 1035 §5.1, so that the text is
// printable ASCII whatever came over the wire, and ParseName gives n back.
func (n Name) String() string { return string(n.AppendTo(nil)) }

// AppendTo appends n.String() to b.
func (n Name) AppendTo(b []byte) []byte {
	p, ok := n.Parent()
	if !ok {
		return append(b, '.')
	}
	for first := true; ok; first = false {
		if !first {
			b = append(b, '.')
		}
		b = appendLabel(b, string(n[1:len(n)-len(p)]))
		n = p
		p, ok = n.Parent()
	}
	return b
}

func appendLabel[T string | []byte](b []byte, label T) []byte {
	for i := range len(label) {
		switch c := label[i]; {
		case isPlain(c):
			b = append(b, c)
		case c == '.' || c == '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
		}
	}
	return b
}

// isPlain tells whether c, already lower case, is written as itself.
func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
