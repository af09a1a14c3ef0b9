package ruleset

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/domain-route/domain-route/internal/pattern"
)

// LineError tells on which line of a rule text, counted from 1, an error is.
type LineError struct {
	Line int
	Err  error
}

// Error names the line.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the error itself.
func (e *LineError) Unwrap() error { return e.Err }

// MarshalText returns one line "PATTERN TARGET\n" for each rule, in the order of
// Rules. UnmarshalText reads it back. The error is always nil.
func (s *Set) MarshalText() ([]byte, error) {
	texts := make([]string, len(s.targets))
	for i, t := range s.targets {
		texts[i] = " " + t.String() + "\n"
	}
	out := make([]byte, 0, 32*s.rules)
	for p, id := range s.ordered() {
		out = p.AppendTo(out)
		out = append(out, texts[id-1]...)
	}
	return out, nil
}

// UnmarshalText makes s the set of the rules in b: one a line, "PATTERN TARGET" with
// spaces or tabs between; blank lines and comments from a word with a leading '#' to
// the end of the line are skipped. A rule may be repeated; one pattern with two
// targets is an error. Errors are *LineError, and leave s as it was.
func (s *Set) UnmarshalText(b []byte) error {
	// One guess at the size spares growing the map; blank lines must not inflate it.
	hint := min(bytes.Count(b, []byte("\n")), len(b)/12, 1<<20)
	r := reader{known: make(map[string]targetID)}
	r.set.grow(hint)
	text := string(b)
	for line := 1; text != ""; line++ {
		var one string
		one, text, _ = strings.Cut(text, "\n")
		if err := r.line(one); err != nil {
			return &LineError{line, err}
		}
	}
	*s = r.set
	return nil
}

// reader builds a set from lines.
type reader struct {
	set   Set
	known map[string]targetID // target texts read so far
}

func (r *reader) line(line string) error {
	first, rest := word(strings.TrimSuffix(line, "\r"))
	if first == "" {
		return nil
	}
	second, rest := word(rest)
	if second == "" {
		return errors.New("a rule is a pattern and a target; the target is missing")
	}
	if extra, _ := word(rest); extra != "" {
		return fmt.Errorf("unexpected %.80q after the target", extra)
	}
	p, err := pattern.Parse(first)
	if err != nil {
		return err
	}
	id, ok := r.known[second]
	if !ok {
		// A copy, so that the set does not keep the whole text in memory.
		second = strings.Clone(second)
		t, err := ParseTarget(second)
		if err != nil {
			return err
		}
		id = r.set.intern(t)
		r.known[second] = id
	}
	if old := r.set.put(p, id); old != 0 && old != id {
		return fmt.Errorf("%v goes to %v here, to %v further up", p, r.set.target(id), r.set.target(old))
	}
	return nil
}

// word splits off the first word of s; "" when nothing but a comment is left.
func word(s string) (first, rest string) {
	s = strings.TrimLeft(s, " \t")
	if s == "" || s[0] == '#' {
		return "", ""
	}
	end := 0
	for end < len(s) && s[end] != ' ' && s[end] != '\t' {
		end++
	}
	return s[:end], s[end:]
}
