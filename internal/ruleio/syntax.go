package ruleio

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	// leadingMark finds a value that begins with a character that YAML keeps for itself.
	leadingMark = regexp.MustCompile("(?:^[ \t]*|[ \t]*- +|: +|[\\[{,][ \t]*)([*&!|>@`%][^ \t,\\]}]*|:[^ \t,\\]}]+)")
	// trailingColon finds an address that YAML takes for a key, since it ends with a colon.
	trailingColon = regexp.MustCompile(`(?:- +|: +)([0-9A-Fa-f:]*::)[ \t\r]*$`)
)

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntax makes the error of a text that is no YAML. The parser had read read bytes of it when it gave up, a few more
// than it had understood.
func (f *File) syntax(data []byte, read int, err error) *Error {
	reason, said := err.Error(), 0
	if m := yamlLine.FindStringSubmatch(reason); m != nil {
		said, _ = strconv.Atoi(m[1])
		reason = m[2]
	}
	stop := bytes.TrimRight(data[:read], " \t\r\n")
	p := pos{1 + bytes.Count(stop, []byte("\n")), 1 + utf8.RuneCount(stop[1+bytes.LastIndexByte(stop, '\n'):])}
	p.column = max(1, p.column-1)
	if i := bytes.LastIndexByte(stop, ':'); strings.HasPrefix(reason, "mapping values") && i > bytes.LastIndexByte(stop, '\n') {
		p.column -= utf8.RuneCount(stop[i+1:]) // the colon at fault
		reason += "; is the indentation right? Text with a colon and a space is quoted"
	}
	lines := strings.Split(string(data), "\n")
	if strings.Contains(reason, "end of stream") {
		if begin, ok := opening(lines, said); ok {
			return f.fail(begin, "a quotation begins here and does not end")
		}
	}
	// The culprit may stand a line further up than where the parser noticed.
	for line := p.line; line >= max(1, p.line-1); line-- {
		if at, hint := culprit(lines[line-1]); hint != "" {
			return f.fail(pos{line, at}, "%s", hint)
		}
	}
	return f.fail(p, "this is no YAML: %s", reason)
}

// opening finds the quotation that never ends. The parser says on which line it begins, but of the first line it does not.
func opening(lines []string, said int) (pos, bool) {
	for _, line := range []int{said, 1} {
		if line < 1 || line > len(lines) {
			continue
		}
		if i := strings.IndexAny(lines[line-1], `"'`); i >= 0 {
			return pos{line, 1 + utf8.RuneCountInString(lines[line-1][:i])}, true
		}
	}
	return pos{}, false
}

// culprit looks for the usual mistakes on a line.
func culprit(line string) (column int, hint string) {
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	if i := strings.IndexByte(indent, '\t'); i >= 0 {
		return i + 1, "a tab in the indentation; YAML takes spaces only"
	}
	if m := trailingColon.FindStringSubmatchIndex(line); m != nil {
		return 1 + utf8.RuneCountInString(line[:m[2]]), "a colon at the end means something to YAML; quote it: " + quoted(line[m[2]:m[3]])
	}
	m := leadingMark.FindStringSubmatchIndex(line)
	if m == nil {
		return 0, ""
	}
	text := line[m[2]:m[3]]
	if text[0] == '|' || text[0] == '>' {
		return 0, ""
	}
	return 1 + utf8.RuneCountInString(line[:m[2]]), fmt.Sprintf("%q at the beginning means something to YAML; quote it: %s", text[:1], quoted(text))
}
