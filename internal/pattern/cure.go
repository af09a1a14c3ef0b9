package pattern

import (
	"errors"
	"fmt"
	"strings"
)

// cure makes the error of a pattern that was meant for something else name what to write. The name begins at start of
// the input.
func cure(err error, start int) error {
	var se *SyntaxError
	if !errors.As(err, &se) || len(se.Input) > maxText {
		return err
	}
	text := se.Input[start:]
	if scheme, rest, url := strings.Cut(text, "://"); url && scheme != "" && !strings.ContainsAny(scheme, "/.") {
		return mend(se, "a rule takes a name, not a URL", hostOf(rest))
	}
	if se.Offset >= len(se.Input) {
		return err
	}
	switch se.Input[se.Offset] {
	case '/':
		return mend(se, se.Reason+"; a rule takes a name without a path", hostOf(text))
	case ':':
		return mend(se, se.Reason+"; a rule takes a name without a port", hostOf(text))
	case '.':
		if name := text[1:]; se.Offset == start && !strings.HasPrefix(name, ".") && parses(name) {
			se.Reason = fmt.Sprintf("empty label: write %s, or *.%s for its subdomains alone", name, name)
		}
	}
	return se
}

// mend gives se another reason, and what to write if that is a pattern.
func mend(se *SyntaxError, reason, instead string) *SyntaxError {
	se.Reason = reason
	if parses(instead) {
		se.Reason += "; write " + instead
	}
	return se
}

func parses(s string) bool {
	if s == "" || strings.ContainsAny(s, "/:@") && !meantForAddress(s) {
		return false
	}
	_, err := Parse(s)
	return err == nil
}

// hostOf cuts the name out of a URL behind its scheme.
func hostOf(s string) string {
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		s = s[:i]
	}
	s = s[strings.LastIndexByte(s, '@')+1:]
	if end := strings.IndexByte(s, ']'); strings.HasPrefix(s, "[") && end > 0 {
		return s[1:end]
	}
	host, _, _ := strings.Cut(s, ":")
	return host
}
