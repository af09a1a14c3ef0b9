package pattern

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// maxText bounds the text of a name before any work is done on it. Escapes need
// four bytes for one, U-labels somewhat more.
const maxText = 4096

// ParseName reads a name in presentation form. A-labels, U-labels (mapped by the
// IDNA lookup profile), underscores and the escapes \. \\ \DDD are accepted; case
// and one trailing dot do not matter. "." is the root. Errors are *SyntaxError.
func ParseName(s string) (Name, error) { return parseName(s, 0) }

// parseName reads the name that is s from byte start on. Offsets in errors count
// from the beginning of s.
func parseName(s string, start int) (Name, error) {
	switch {
	case len(s)-start > maxText:
		return "", &SyntaxError{s, start, "name is longer than 255 bytes"}
	case start == len(s):
		return "", &SyntaxError{s, start, "empty name"}
	case s[start:] == ".":
		return Root, nil
	}
	p := nameParser{in: s, pos: start}
	for p.pos < len(s) {
		if err := p.label(); err != nil {
			return "", err
		}
	}
	p.wire[p.n] = 0
	return Name(p.wire[:p.n+1]), nil
}

// nameParser turns text into wire labels one after the other.
type nameParser struct {
	in   string
	pos  int // next byte of in
	wire [maxName + maxLabel + 2]byte
	n    int // bytes of wire filled; at most maxName-1 between labels
}

func (p *nameParser) fail(off int, reason string) error {
	return &SyntaxError{Input: p.in, Offset: off, Reason: reason}
}

// label reads one label and the dot after it, if there is one.
func (p *nameParser) label() error {
	begin, size := p.pos, 0
	out := p.wire[p.n+1:]
	for p.pos < len(p.in) && p.in[p.pos] != '.' {
		if p.in[p.pos] >= utf8.RuneSelf {
			return p.uLabel(begin)
		}
		c, width, reason := readByte(p.in[p.pos:])
		if reason != "" {
			return p.fail(p.pos, reason)
		}
		if size == maxLabel {
			return p.fail(begin, "label is longer than 63 bytes")
		}
		out[size] = c
		size++
		p.pos += width
	}
	return p.end(begin, size, 1)
}

// end closes a label of size bytes whose text began at begin; sep is the width of
// the separator at p.pos, if the text goes on there.
func (p *nameParser) end(begin, size, sep int) error {
	if size == 0 {
		return p.fail(begin, "empty label")
	}
	if p.n+1+size+1 > maxName {
		return p.fail(begin, "name is longer than 255 bytes")
	}
	p.wire[p.n] = byte(size)
	p.n += 1 + size
	if p.pos < len(p.in) {
		p.pos += sep
	}
	return nil
}

// uLabel reads the label that starts at begin and has a non-ASCII character in it.
func (p *nameParser) uLabel(begin int) error {
	i, sep := begin, 1
	for i < len(p.in) && p.in[i] != '.' {
		r, width := utf8.DecodeRuneInString(p.in[i:])
		switch {
		case r == utf8.RuneError && width == 1:
			return p.fail(i, "not UTF-8")
		case unicode.IsSpace(r):
			return p.fail(i, "whitespace")
		}
		if isDot(r) {
			sep = width
			break
		}
		i += width
	}
	return p.mapped(begin, i, sep)
}

// isDot tells the full stops that IDNA takes for label separators (RFC 3490 §3.1).
func isDot(r rune) bool { return r == '\u3002' || r == '\uff0e' || r == '\uff61' }

// mapped stores the A-label of the text from begin to end.
func (p *nameParser) mapped(begin, end, sep int) error {
	p.pos = end
	if begin == end {
		return p.end(begin, 0, sep)
	}
	ascii, err := toASCII(p.in[begin:end])
	if err != nil {
		return p.fail(begin, "label is not valid IDNA: "+err.Error())
	}
	if len(ascii) > maxLabel {
		return p.fail(begin, "label is longer than 63 bytes")
	}
	for i := range len(ascii) {
		if !isPlain(ascii[i]) {
			return p.fail(begin, fmt.Sprintf("label is not valid IDNA: it maps to %q", ascii))
		}
	}
	copy(p.wire[p.n+1:], ascii)
	return p.end(begin, len(ascii), sep)
}

// readByte reads one byte of a label, or one escape, from the start of s, which is
// not empty. It returns the byte in lower case and the width of its text.
func readByte(s string) (c byte, width int, reason string) {
	c = lower(s[0])
	switch {
	case isPlain(c):
		return c, 1, ""
	case c == '\\':
		return readEscape(s)
	case c == '*':
		return 0, 0, "'*' can only lead a pattern, as in *.example.com"
	case c == ' ' || '\t' <= c && c <= '\r':
		return 0, 0, "whitespace"
	}
	return 0, 0, fmt.Sprintf("character %q is not allowed in a name", c)
}

func readEscape(s string) (c byte, width int, reason string) {
	if len(s) >= 2 && (s[1] == '.' || s[1] == '\\') {
		return s[1], 2, ""
	}
	v := 0
	for i := 1; i <= 3; i++ {
		if i >= len(s) || s[i] < '0' || s[i] > '9' {
			return 0, 0, `a backslash must be followed by '.', '\' or three digits`
		}
		v = v*10 + int(s[i]-'0')
	}
	if v > 255 {
		return 0, 0, "escape is above 255"
	}
	return lower(byte(v)), 4, ""
}
