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
	s.names.tidy()
	w := writer{set: s, ends: map[slot][]string{}}
	out := make([]byte, 0, w.size())
	var buf []byte
	for _, e := range s.names.list {
		for _, k := range kindOrder {
			if e.at[k] != 0 {
				buf = pattern.AppendKeyText(buf[:0], k, s.names.keys.get(e.key))
				out = w.lines(out, buf, e.at[k])
			}
		}
	}
	for p, sl := range s.others() {
		buf = p.AppendTo(buf[:0])
		out = w.lines(out, buf, sl)
	}
	return out, nil
}

// writer writes a set's text.
type writer struct {
	set  *Set
	ends map[slot][]string // what stands behind the pattern on each line of a slot
	last slot              // the last one asked for
	its  []string
}

func (w *writer) endsOf(sl slot) []string {
	if sl == w.last {
		return w.its
	}
	ends, ok := w.ends[sl]
	if !ok {
		for c, id := range w.set.each(sl) {
			ends = append(ends, " "+w.set.target(id).String()+c.words()+"\n")
		}
		w.ends[sl] = ends
	}
	w.last, w.its = sl, ends
	return ends
}

func (w *writer) lines(out, pattern []byte, sl slot) []byte {
	for _, end := range w.endsOf(sl) {
		out = append(append(out, pattern...), end...)
	}
	return out
}

// size is how long the text of the names is, but for escapes, and a guess at the rest: a big text is not to be copied
// when it grows.
func (w *writer) size() (size int) {
	for _, e := range w.set.names.list {
		for _, sl := range e.at {
			if sl == 0 {
				continue
			}
			for _, end := range w.endsOf(sl) {
				size += len(w.set.names.keys.get(e.key)) + 1 + len(end)
			}
		}
	}
	return size + 64*(len(w.set.prefixes)+1)
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
	r.set.names.grow(hint)
	for line := 1; len(b) > 0; line++ {
		var one []byte
		one, b, _ = bytes.Cut(b, []byte("\n"))
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
	key   []byte              // of the name read
}

func (r *reader) line(line []byte) error {
	first, rest := word(bytes.TrimSuffix(line, []byte("\r")))
	if len(first) == 0 {
		return nil
	}
	second, rest := word(rest)
	if len(second) == 0 {
		return errors.New("a rule is a pattern and a target; the target is missing")
	}
	if err := r.condition(rest); err != nil {
		return err
	}
	// The pattern's error first, for those who write the words in another order.
	kind, key, other, err := r.pattern(first)
	if err != nil {
		return err
	}
	id, err := r.target(second)
	if err != nil {
		return err
	}
	var old targetID
	if kind == pattern.Default || kind == pattern.Prefix {
		old = r.set.put(other, r.cond, id)
	} else {
		old = r.set.putKey(kind, key, r.cond, id)
	}
	if old != 0 && old != id {
		p, _ := pattern.Parse(string(first))
		return fmt.Errorf("%v%s goes to %v here, to %v further up", p, r.cond.words(), r.set.target(id), r.set.target(old))
	}
	if r.cond != (Condition{}) {
		return r.countConditions(kind, key, other)
	}
	return nil
}

// pattern reads a pattern; of one for names the key is enough, and for the plain ones no string is made.
func (r *reader) pattern(text []byte) (kind pattern.Kind, key []byte, other pattern.Pattern, err error) {
	name := text
	switch {
	case text[0] == '=':
		kind, name = pattern.Exact, text[1:]
	case bytes.HasPrefix(text, []byte("*.")):
		kind, name = pattern.Subdomains, text[2:]
	}
	var ok bool
	if r.key, ok = pattern.AppendPlainKey(r.key[:0], name); ok {
		return kind, r.key, other, nil
	}
	if other, err = pattern.Parse(string(text)); err != nil {
		return 0, nil, other, err
	}
	r.key = other.Name.AppendSortKey(r.key[:0])
	return other.Kind, r.key, other, nil
}

func (r *reader) target(text []byte) (targetID, error) {
	if id, ok := r.known[string(text)]; ok {
		return id, nil
	}
	t, err := ParseTarget(string(text))
	if err != nil {
		return 0, err
	}
	id := r.set.intern(t)
	r.known[string(text)] = id
	return id, nil
}

// countConditions refuses what would not compile, before it takes time and memory.
func (r *reader) countConditions(kind pattern.Kind, key []byte, other pattern.Pattern) error {
	var sl slot
	if kind == pattern.Default || kind == pattern.Prefix {
		sl = r.set.slot(other)
	} else {
		sl = r.set.slotsOf(key)[kind]
	}
	if r.set.conditions(sl) > MaxChoices {
		return fmt.Errorf("more than %d rules with conditions for one pattern", MaxChoices)
	}
	return nil
}

// condition reads the words behind the target. Those of a long list are the same on each line.
func (r *reader) condition(text []byte) error {
	if string(text) == r.words {
		return nil
	}
	var words []string
	for one, rest := word(text); len(one) > 0; one, rest = word(rest) {
		words = append(words, string(one))
	}
	if len(words) > 0 && !strings.Contains(words[0], "=") {
		return fmt.Errorf("unexpected %.80q after the target", words[0])
	}
	c, err := ParseCondition(words, r.users)
	if err != nil {
		return err
	}
	r.words, r.cond = string(text), c
	return nil
}

// word splits off the first word of s; empty when nothing but a comment is left.
func word(s []byte) (first, rest []byte) {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	if len(s) == 0 || s[0] == '#' {
		return nil, nil
	}
	end := 0
	for end < len(s) && s[end] != ' ' && s[end] != '\t' {
		end++
	}
	return s[:end], s[end:]
}
