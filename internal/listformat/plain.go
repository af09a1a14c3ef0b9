package listformat

import (
	"bytes"
	"strings"

	"github.com/domain-route/domain-route/internal/pattern"
)

// readPlain reads one pattern a line, as our rules are written: "*.x" is x's subdomains, "=x" is x itself, addresses
// and prefixes are themselves, and a bare name is x with its subdomains or, with Options.Exact, x itself. '#', '!' and
// ';' begin a comment, at the start of a line or after white space.
//
// ".x" is counted and not taken: for dnsmasq and Surge it means x and its subdomains, for Clash and sing-box the
// subdomains alone. So is "default", for a list is of names.
func readPlain(r *reading) error {
	return eachLine(r.in, func(number int, line []byte) error {
		if isComment(line) {
			return nil
		}
		word, rest := cutWord(line)
		switch {
		case len(rest) > 0 && !isComment(rest):
			r.skip("several words", number, line)
			return nil
		case word[0] == '.' && len(word) > 1:
			r.skip(leadingDotKind, number, line)
			return nil
		}
		p, ok := parsePlain(word)
		switch {
		case !ok:
			r.skip("bad name", number, line)
			return nil
		case p.Kind == pattern.Default:
			r.skip("default", number, line)
			return nil
		case p.Kind == pattern.Suffix && r.o.Exact:
			p.Kind = pattern.Exact
		}
		return r.emit(Item{Pattern: p, Line: number})
	})
}

// leadingDotKind is what ".x" is counted as.
const leadingDotKind = "leading dot"

// parsePlain is pattern.Parse, quicker for names that cannot be anything else.
func parsePlain(word []byte) (pattern.Pattern, bool) {
	kind, text := pattern.Suffix, word
	if rest, ok := bytes.CutPrefix(word, []byte("*.")); ok {
		kind, text = pattern.Subdomains, rest
	} else if rest, ok := bytes.CutPrefix(word, []byte("=")); ok {
		kind, text = pattern.Exact, rest
	}
	if name, ok := parseName(text); ok && (kind != pattern.Suffix || len(text) != len("default")) {
		return pattern.Pattern{Kind: kind, Name: name}, true
	}
	p, err := pattern.Parse(string(word))
	return p, err == nil
}

// isComment tells whether b, which is not empty, is a comment of a plain list.
func isComment(b []byte) bool { return strings.IndexByte("#!;", b[0]) >= 0 }

// writePlain writes what readPlain reads. Where a bare name means itself only, a name with its subdomains cannot be
// written.
func writePlain(w *writing) error {
	return w.lines(true, func(b []byte, p pattern.Pattern) []byte {
		switch {
		case p.Kind == pattern.Default, p.Kind == pattern.Suffix && w.o.Exact:
			return b
		case p.Kind == pattern.Exact && w.o.Exact:
			p.Kind = pattern.Suffix // written bare
		}
		return p.AppendTo(b)
	})
}
