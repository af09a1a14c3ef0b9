package listformat

import (
	"fmt"
	"strings"
)

// Hint says what to write in place of what was skipped; "" where nobody can tell.
func (s Skipped) Hint() string {
	name, dotted := strings.CutPrefix(s.First, ".")
	name, _, _ = strings.Cut(name, " ")
	if s.Kind != leadingDotKind || !dotted {
		return ""
	}
	if _, ok := parsePlain([]byte(name)); !ok {
		return ""
	}
	return fmt.Sprintf("write %s, or *.%s for its subdomains alone", name, name)
}

// add counts what another report skipped.
func (r *Report) add(s Skipped) {
	for i := range r.Skipped {
		if t := &r.Skipped[i]; t.Kind == s.Kind {
			t.Count += s.Count
			t.Lines = append(t.Lines, s.Lines[:min(len(s.Lines), maxLines-len(t.Lines))]...)
			return
		}
	}
	r.Skipped = append(r.Skipped, s)
}
