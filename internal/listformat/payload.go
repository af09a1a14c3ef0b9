package listformat

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxYAML is how much YAML of any shape is read: its tree takes many times the memory of its text. Lists with an item a
// line, as they all are, may have any size.
const maxYAML = 512 << 10

// readPayload reads a rule provider in YAML. Items that stand on lines of their own, in the simple forms, are read line
// by line. If the file has anything else and is small, it is read as YAML is.
func readPayload(r *reading, item clashItem) error {
	head, err := io.ReadAll(io.LimitReader(r.in, maxYAML+1))
	if err != nil {
		return err
	}
	if len(head) <= maxYAML && eachPayloadLine(bytes.NewReader(head), func(int, []byte) error { return nil }) != nil {
		return readYAML(r, head, item)
	}
	in := io.MultiReader(bytes.NewReader(head), r.in)
	return eachPayloadLine(in, func(number int, text []byte) error { return item(r, text, number) })
}

// eachPayloadLine gives do the items of a payload in its simple form. Errors are of in, of do, or *Error for other
// lines.
func eachPayloadLine(in io.Reader, do func(number int, text []byte) error) error {
	b := buffered(in)
	if err := skipMark(b); err != nil {
		return err
	}
	p := payloadLines{indent: -1}
	for number := 1; ; number++ {
		line, err := b.ReadSlice('\n')
		if err != nil && !isEnd(err) && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLine {
			return &Error{Line: number, Reason: "the line is longer than 64 KiB; this is no list of names"}
		}
		text, ok := p.line(number, line)
		if !ok {
			return &Error{Line: number, Reason: `a payload of more than 512 KiB must have one item a line, as "- '+.example.com'"`}
		}
		if text != nil {
			if err := do(number, text); err != nil {
				return err
			}
		}
		if err != nil {
			return p.end()
		}
	}
}

// payloadLines is what has been seen of a payload in its simple form.
type payloadLines struct {
	key    bool // "payload:"
	indent int  // of the items; -1 before the first
}

// line reads one line: an item, or none where text is nil. ok is false for lines that are not of the simple form.
func (p *payloadLines) line(number int, line []byte) (text []byte, ok bool) {
	switch {
	case !printable(line):
		return nil, false
	case nothing(line) || number == 1 && string(line) == "---":
		return nil, true
	case !p.key:
		p.key = bytes.HasPrefix(line, payloadKey) && nothingMore(line[len(payloadKey):])
		return nil, p.key
	}
	column, text, ok := payloadItem(line)
	if ok = ok && (p.indent < 0 || p.indent == column); ok {
		p.indent = column
	}
	return text, ok
}

// end says what is wrong where the lines end.
func (p *payloadLines) end() error {
	if !p.key {
		return &Error{Reason: `the rule provider has no "payload"`}
	}
	return nil
}

var payloadKey = []byte("payload:")

// nothing tells whether a line is blank or a comment.
func nothing(line []byte) bool {
	text := bytes.TrimLeft(line, " ")
	return len(text) == 0 || text[0] == '#'
}

// nothingMore tells whether only a comment follows what has been read of a line.
func nothingMore(rest []byte) bool { return len(rest) == 0 || rest[0] == ' ' && nothing(rest) }

// payloadItem reads "- TEXT", "- 'TEXT'" or "- \"TEXT\"", with the column of the dash. What it reads, YAML reads alike;
// what it does not may well be YAML, too.
func payloadItem(line []byte) (column int, text []byte, ok bool) {
	text = bytes.TrimLeft(line, " ")
	column = len(line) - len(text)
	after, ok := bytes.CutPrefix(text, []byte("- "))
	if after = bytes.TrimLeft(after, " "); !ok || len(after) == 0 {
		return 0, nil, false
	}
	if quote := after[0]; quote == '\'' || quote == '"' {
		text, rest, ok := bytes.Cut(after[1:], []byte{quote})
		plain := len(bytes.TrimSpace(text)) > 0 && (quote == '\'' || bytes.IndexByte(text, '\\') < 0)
		return column, text, ok && plain && nothingMore(rest)
	}
	text = after
	if i := bytes.Index(text, []byte(" #")); i >= 0 {
		text = text[:i]
	}
	text = bytes.TrimRight(text, " ")
	first := text[0]
	switch {
	case first != '.' && first != '+' && !madeOf(text[:1], ""):
		return 0, nil, false
	case bytes.Contains(text, []byte(": ")) || text[len(text)-1] == ':':
		return 0, nil, false
	}
	return column, text, !bytes.EqualFold(text, []byte("null"))
}

// printable tells whether a line is text that YAML takes as it stands.
func printable(line []byte) bool {
	for len(line) > 0 {
		c, size := utf8.DecodeRune(line)
		if c == utf8.RuneError || c == '\ufeff' || !unicode.IsPrint(c) {
			return false
		}
		line = line[size:]
	}
	return true
}

// readYAML reads a payload as YAML. Aliases are refused: a few of them can stand for more than fits anywhere.
func readYAML(r *reading, text []byte, item clashItem) error {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&doc); err != nil {
		return yamlError(err)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return &Error{Reason: "a rule provider in YAML is a mapping with the key \"payload\""}
	}
	found := false
	for pairs := doc.Content[0].Content; len(pairs) >= 2; pairs = pairs[2:] {
		key, value := pairs[0], pairs[1]
		if key.Kind != yaml.ScalarNode || key.Value != "payload" {
			r.skip("unknown field", key.Line, []byte(key.Value))
			continue
		}
		if found {
			return &Error{Line: key.Line, Reason: "a second \"payload\""}
		}
		found = true
		if err := readItems(r, value, item); err != nil {
			return err
		}
	}
	if !found {
		return &Error{Reason: "the rule provider has no \"payload\""}
	}
	if err := dec.Decode(new(yaml.Node)); !isEnd(err) {
		return &Error{Reason: "something follows the rule provider's document"}
	}
	return nil
}

// readItems reads the value of the key payload.
func readItems(r *reading, list *yaml.Node, item clashItem) error {
	if list.Kind == yaml.ScalarNode && list.Tag == "!!null" {
		return nil
	}
	if list.Kind != yaml.SequenceNode {
		return &Error{Line: list.Line, Column: list.Column, Reason: "\"payload\" is a list of texts"}
	}
	for _, node := range list.Content {
		switch {
		case node.Kind == yaml.AliasNode:
			return &Error{Line: node.Line, Column: node.Column, Reason: "aliases are not read; a name with '*' in it needs quotes"}
		case node.Kind != yaml.ScalarNode || node.Tag == "!!null" || len(trim([]byte(node.Value))) == 0:
			r.skip("bad value", node.Line, []byte(node.Value))
			continue
		}
		if err := item(r, trim([]byte(node.Value)), node.Line); err != nil {
			return err
		}
	}
	return nil
}

// yamlError makes an error of yaml's, which begins with "yaml: line 3: " or "yaml: ".
func yamlError(err error) error {
	if isEnd(err) {
		return &Error{Reason: "the rule provider is empty"}
	}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if match := yamlLine.FindStringSubmatch(text); match != nil {
		line, _ = strconv.Atoi(match[1]) // 0 if it is too large
		text = text[len(match[0]):]
	}
	return &Error{Line: line, Reason: "not YAML: " + text}
}

var yamlLine = regexp.MustCompile(`^line (\d+): `)

func isEnd(err error) bool { return errors.Is(err, io.EOF) }
