package listformat

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Bounds of JSON. encoding/json holds a whole token, and remembers every bracket that is open.
const (
	maxToken   = 1 << 20 // bytes, with the white space before it
	maxNesting = 100
)

// tokens reads JSON token by token, in bounded memory.
type tokens struct {
	dec   *json.Decoder
	in    tokenReader
	depth int
	line  int // that the last token stands on
}

// begin starts reading. Errors are of the reader.
func (t *tokens) begin(in io.Reader) error {
	b := bufio.NewReader(in)
	t.in.in = b
	t.dec = json.NewDecoder(&t.in)
	t.line = 1
	t.dec.UseNumber() // no number is too large to be skipped
	return skipMark(b)
}

// token reads the next token. Its errors are of the reader or *Error.
func (t *tokens) token() (json.Token, error) {
	t.in.left = maxToken
	token, err := t.dec.Token()
	t.pass()
	if err != nil {
		return nil, t.failed(err)
	}
	switch token {
	case json.Delim('{'), json.Delim('['):
		if t.depth++; t.depth > maxNesting {
			return nil, t.fail(fmt.Sprintf("nested more than %d deep", maxNesting))
		}
	case json.Delim('}'), json.Delim(']'):
		t.depth--
	}
	return token, nil
}

// failed makes the error of what the decoder says.
func (t *tokens) failed(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Line: t.line + len(t.in.ends), Reason: "the JSON ends too soon"}
	case errors.As(err, &syntax):
		return t.fail("not JSON: " + syntax.Error())
	case errors.Is(err, errLongToken):
		return t.fail(err.Error())
	}
	return err
}

// pass counts the lines that the decoder has passed.
func (t *tokens) pass() {
	passed, at := 0, t.dec.InputOffset()
	for passed < len(t.in.ends) && t.in.ends[passed] < at {
		passed++
	}
	t.in.ends = t.in.ends[passed:]
	t.line += passed
}

// fail makes an error at the line where the decoder is.
func (t *tokens) fail(reason string) error { return &Error{Line: t.line, Reason: reason} }

// expect reads the opening bracket of an object or list.
func (t *tokens) expect(open json.Delim, otherwise string) error {
	token, err := t.token()
	if err == nil && token != open {
		err = t.fail(otherwise)
	}
	return err
}

// object gives do every field's name, up to the closing brace. do reads the value.
func (t *tokens) object(do func(name string) error) error {
	for {
		token, err := t.token()
		if err != nil || token == json.Delim('}') {
			return err
		}
		if err := do(token.(string)); err != nil { // a name is a string, or the decoder would have failed
			return err
		}
	}
}

// array calls do for every value, up to the closing bracket. do reads it.
func (t *tokens) array(do func() error) error {
	for t.more() {
		if err := do(); err != nil {
			return err
		}
	}
	_, err := t.token()
	return err
}

func (t *tokens) more() bool {
	t.in.left = maxToken
	return t.dec.More()
}

// text reads a value; ok is false if it is no text.
func (t *tokens) text() (text string, ok bool, err error) {
	token, err := t.token()
	if err != nil {
		return "", false, err
	}
	text, ok = token.(string)
	return text, ok, t.rest(token)
}

// skip reads a value. It returns the text of one that is null, false or empty, and "" for all others.
func (t *tokens) skip() (string, error) {
	token, err := t.token()
	if err != nil {
		return "", err
	}
	switch token {
	case nil:
		return "null", nil
	case false:
		return "false", nil
	case json.Delim('{'), json.Delim('['):
		if t.more() {
			return "", t.rest(token)
		}
		return map[json.Delim]string{'{': "{}", '[': "[]"}[token.(json.Delim)], t.rest(token)
	}
	return "", nil
}

// rest reads what follows a token that begins a value, to the value's end.
func (t *tokens) rest(token json.Token) error {
	if token != json.Delim('{') && token != json.Delim('[') {
		return nil
	}
	for outside := t.depth - 1; t.depth > outside; {
		if _, err := t.token(); err != nil {
			return err
		}
	}
	return nil
}

// end demands that nothing follows.
func (t *tokens) end() error {
	t.in.left = maxToken
	_, err := t.dec.Token()
	t.pass()
	switch {
	case err == nil:
		return t.fail("something follows the rule-set")
	case !errors.Is(err, io.EOF):
		return t.failed(err)
	}
	return nil
}

// tokenReader lets at most left bytes through until left is set again, and notes where lines end.
type tokenReader struct {
	in   io.Reader
	left int
	read int64
	ends []int64 // offsets, of the lines that the decoder has not passed
}

var errLongToken = fmt.Errorf("a single value has more than %d MiB", maxToken>>20)

func (t *tokenReader) Read(b []byte) (int, error) {
	if t.left == 0 {
		return 0, errLongToken
	}
	n, err := t.in.Read(b[:min(len(b), t.left)])
	for i, c := range b[:n] {
		if c == '\n' {
			t.ends = append(t.ends, t.read+int64(i))
		}
	}
	t.left -= n
	t.read += int64(n)
	return n, err
}
