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

// MarshalText returns one line "PATTERN TARGET\n" for each rule, with " user=UID" and " cgroup=PATH" before the end of
// the line where it has such conditions, in the order of Rules. UnmarshalText reads it back. The error is always nil.
func (s *Set) MarshalText() ([]byte, error) {
	texts := make([]string, len(s.targets))
	for i, t := range s.targets {
		texts[i] = " " + t.String()
	}
	out := make([]byte, 0, 32*s.rules)
	for p, sl := range s.ordered() {
		for c, id := range s.each(sl) {
			out = p.AppendTo(out)
			out = append(out, texts[id-1]...)
			out = append(c.appendTo(out), '\n')
		}
	}
	return out, nil
}

// UnmarshalText makes s the set of the rules in b: one a line, "PATTERN TARGET" and conditions with
// spaces or tabs between; blank lines and comments from a word with a leading '#' to
// the end of the line are skipped. A rule may be repeated; one pattern and condition with two
// targets is an error. Errors are *LineError, and leave s as it was.
func (s *Set) UnmarshalText(b []byte) error {
	set, err := ParseText(b, nil)
	if err == nil {
		*s = *set
	}
	return err
}

// ParseText reads rules as UnmarshalText does, but users may be given by name: users looks them up.
func ParseText(b []byte, users func(name string) (uint32, error)) (*Set, error) {
	// One guess at the size spares growing the map; blank lines must not inflate it.
	hint := min(bytes.Count(b, []byte("\n")), len(b)/12, 1<<20)
	r := reader{set: &Set{}, users: users, known: make(map[string]targetID)}
	r.set.grow(hint)
	text := string(b)
	for line := 1; text != ""; line++ {
		var one string
		one, text, _ = strings.Cut(text, "\n")
		if err := r.line(one); err != nil {
			return nil, &LineError{line, err}
		}
	}
	return r.set, nil
}

// reader builds a set from lines.
type reader struct {
	set   *Set
	users func(name string) (uint32, error)
	known map[string]targetID // target texts read so far
	words string              // the last conditions read
	cond  Condition           // what they say
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
	cond, err := r.condition(rest)
	if err != nil {
		return err
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
	if old := r.set.put(p, cond, id); old != 0 && old != id {
		return fmt.Errorf("%v goes to %v here, to %v further up", p, r.set.target(id), r.set.target(old))
	}
	return nil
}

// condition reads the words behind the target. Those of a long list are the same on each line.
func (r *reader) condition(text string) (Condition, error) {
	if text == r.words {
		return r.cond, nil
	}
	var words []string
	for one, rest := word(text); one != ""; one, rest = word(rest) {
		words = append(words, strings.Clone(one))
	}
	if len(words) > 0 && !strings.Contains(words[0], "=") {
		return Condition{}, fmt.Errorf("unexpected %.80q after the target", words[0])
	}
	c, err := ParseCondition(words, r.users)
	if err != nil {
		return Condition{}, err
	}
	r.words, r.cond = text, c
	return c, nil
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
