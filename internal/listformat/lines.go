package listformat

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/domain-route/domain-route/internal/pattern"
)

// maxLine is how long a line may be, in bytes, its end not counted. No line of any list needs more; an endless one
// must not fill memory.
const maxLine = 64 << 10

// byteOrderMark is what some editors put before a text.
const byteOrderMark = "\xef\xbb\xbf"

// white is what counts as white space in lists: ASCII's. Any other kind of it makes a bad name.
const white = " \t\v\f\r"

// buffered returns a reader of in that can hold the longest line. Given what it returned, it returns the same.
func buffered(in io.Reader) *bufio.Reader { return bufio.NewReaderSize(in, maxLine+len("\r\n")) }

// skipMark skips the byte order mark that b may begin with. Errors are of b's reader, which may say them once only.
func skipMark(b *bufio.Reader) error {
	mark, err := b.Peek(len(byteOrderMark))
	if string(mark) == byteOrderMark {
		_, err = b.Discard(len(mark))
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// eachLine gives every line of in that is not blank to do, with its number from 1, without a byte order mark and
// without white space at its ends (so that CR LF ends it as well as LF). The line is do's until it returns. Bytes that
// are not UTF-8 are let through: harmless in comments, and no name has them. Errors are of in, of do, or an *Error for
// a line that is too long or holds a zero byte, which no text does.
func eachLine(in io.Reader, do func(number int, line []byte) error) error {
	b := buffered(in)
	if err := skipMark(b); err != nil {
		return err
	}
	for number := 1; ; number++ {
		line, err := b.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		text := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(text) > maxLine { // always, if the buffer is full
			return &Error{Line: number, Reason: "the line is longer than 64 KiB; this is no list of names"}
		}
		if i := bytes.IndexByte(line, 0); i >= 0 {
			return &Error{Line: number, Column: i + 1, Reason: "a zero byte; lists are text in UTF-8, not UTF-16 or binary"}
		}
		if line = trim(line); len(line) > 0 {
			if e := do(number, line); e != nil {
				return e
			}
		}
		if err != nil {
			return nil
		}
	}
}

// trim returns b without white space and line ends around it.
func trim(b []byte) []byte {
	for len(b) > 0 && isWhite(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isWhite(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isWhite(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// cutWord splits b, which is trimmed, into its first word and what follows it, trimmed.
func cutWord(b []byte) (word, rest []byte) {
	i := bytes.IndexAny(b, white)
	if i < 0 {
		return b, nil
	}
	return b[:i], trim(b[i:])
}

// parseName reads a name as the formats of others write it: without our '=' and "*.", without the backslash escapes
// that only we have, and neither an address nor the root.
func parseName(text []byte) (pattern.Name, bool) {
	if bytes.IndexByte(text, '\\') >= 0 {
		return "", false
	}
	name, err := pattern.ParseName(string(text))
	return name, err == nil && hasLetters(name)
}

// hasLetters tells names from addresses: no top-level domain is a number. The root has none.
func hasLetters(name pattern.Name) bool {
	for n, ok := name, true; ok && len(n) > 1; n, ok = n.Parent() {
		for i := 1; i <= int(n[0]) && i < len(n); i++ {
			if n[i] < '0' || n[i] > '9' {
				return true
			}
		}
	}
	return false
}

// name emits the pattern of that kind for the name that text is, or counts it as a bad name. line may be 0.
func (r *reading) name(kind pattern.Kind, text []byte, line int) error {
	name, ok := parseName(text)
	if !ok {
		r.skip("bad name", line, text)
		return nil
	}
	return r.emit(Item{Pattern: pattern.Pattern{Kind: kind, Name: name}, Line: line})
}

// skip counts one entry that cannot be expressed.
func (r *reading) skip(kind string, line int, text []byte) {
	r.report.skip(kind, line, string(text[:min(len(text), maxFirst+1)]))
}
