package listformat

import (
	"bytes"
	"regexp"

	"github.com/domain-route/domain-route/internal/pattern"
)

// readAdblock reads the part of AdGuard's and adblock's syntax that is about whole names:
//
//	||x^         x and its subdomains
//	@@||x^       an exception, likewise
//	x            x itself; so are the names of a line of a hosts file
//
// The modifier $important is taken and means nothing here: of one name, our exceptions come first always. A rule with any other
// modifier holds only at times, and is counted; so is every other kind of rule, and what stands for another list or for
// some readers only (!#include, !#if). Other '!', and '#', begin a comment.
func readAdblock(r *reading) error {
	return eachLine(r.in, func(number int, line []byte) error {
		if isHosts, err := r.hostsLine(number, line); isHosts || err != nil {
			return err
		}
		kind, name, exception, why := adblockRule(line)
		switch {
		case why != "":
			r.skip(why, number, line)
			return nil
		case name == nil:
			return nil
		}
		return r.name(kind, name, exception, number)
	})
}

var (
	cosmetic   = regexp.MustCompile(`#@?[$%?]*#`)
	everywhere = regexp.MustCompile(`^#@?[$%?]*##?[^\s\v#]`) // a cosmetic rule for all sites, where "## x" is a heading
	directive  = regexp.MustCompile(`^!#(include|if)\b`)
	regexpRule = regexp.MustCompile(`^/.+/(\$[^/$]*)?$`)
)

// adblockRule reads one rule: which name it is about, nil if it is a comment, or why it cannot be expressed.
func adblockRule(line []byte) (kind pattern.Kind, name []byte, exception bool, why string) {
	if why, ok := adblockOther(line); ok {
		return 0, nil, false, why
	}
	rule, exception := bytes.CutPrefix(withoutComment(line), []byte("@@"))
	if regexpRule.Match(rule) {
		return 0, nil, false, "regexp"
	}
	rule, modifiers, modified := bytes.Cut(rule, []byte("$"))
	if modified && string(modifiers) != "important" {
		return 0, nil, false, modifierWord(modifiers)
	}
	kind, name, why = adblockPattern(rule)
	if why == "" && kind == pattern.Exact && (exception || modified) {
		return 0, nil, false, "part of a name" // only alone in its line it is a name
	}
	return kind, name, exception, why
}

// adblockOther tells whether a line is no rule about names, and by which word it is counted; none for a comment.
func adblockOther(line []byte) (why string, ok bool) {
	switch {
	case line[0] == '!' && directive.Match(line):
		return "directive", true
	case line[0] == '#' && everywhere.Match(line):
		return "cosmetic", true
	case line[0] == '!', line[0] == '#', line[0] == '[' && line[len(line)-1] == ']':
		return "", true
	case bytes.IndexByte(line, '#') > 0 && cosmetic.Match(line):
		return "cosmetic", true
	}
	return "", false
}

// withoutComment cuts the comment behind a name; rules have none.
func withoutComment(line []byte) []byte {
	if word, rest := cutWord(line); len(rest) > 0 && rest[0] == '#' && word[0] != '|' && word[0] != '@' {
		return word
	}
	return line
}

// modifierWord is the word for rules with modifiers; $badfilter has its own, for it takes another rule away.
func modifierWord(modifiers []byte) string {
	for m := range bytes.SplitSeq(modifiers, []byte(",")) {
		if string(m) == "badfilter" {
			return "badfilter"
		}
	}
	return "modifier"
}

// adblockPattern reads what is left of a rule without "@@" and modifiers.
func adblockPattern(rule []byte) (kind pattern.Kind, name []byte, why string) {
	name, anchored := bytes.CutPrefix(rule, []byte("||"))
	name, ended := bytes.CutSuffix(name, []byte("^"))
	switch {
	case bytes.IndexByte(rule, '*') >= 0:
		return 0, nil, "wildcard"
	case bytes.IndexByte(rule, '/') >= 0:
		return 0, nil, "path"
	case bytes.IndexByte(name, '|') >= 0, anchored && !ended:
		return 0, nil, "anchored"
	case anchored:
		return pattern.Suffix, name, ""
	case bytes.IndexByte(rule, '^') >= 0:
		return 0, nil, "part of a name"
	}
	return pattern.Exact, name, ""
}

// writeAdblock writes a rule for each name with its subdomains. A name alone is not written as exact: only some
// readers of such lists take it so.
func writeAdblock(w *writing) error {
	return w.lines(false, func(b []byte, p pattern.Pattern) []byte {
		if p.Kind != pattern.Suffix {
			return b
		}
		return append(p.Name.AppendTo(append(b, "||"...)), '^')
	})
}
