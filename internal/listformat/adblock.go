package listformat

import (
	"bytes"
	"net/netip"
	"regexp"

	"github.com/domain-route/domain-route/internal/pattern"
)

// readAdblock reads the part of AdGuard's and adblock's syntax that is about whole names:
//
//	||x^         x and its subdomains, or the address x
//	@@||x^       an exception, likewise
//	x            x itself; so are the names of a line of a hosts file. What no host is called, such as "-ad.", is a part
//	             of names, and counted.
//
// An exception is for all rules below its name, too, except those with $important, which in their turn give way to an
// exception with $important. $badfilter takes away the same list's rule that is the same otherwise. What is taken back in
// these ways is no item. A rule with any other modifier holds only at times, and is counted; so is every other kind of
// rule, and what stands for another list or for some readers only (!#include, !#if). Other '!', and '#', begin a comment.
func readAdblock(r *reading) error {
	return r.excepting(true, func(r *reading, c *class) error {
		return eachLine(r.in, func(number int, line []byte) error {
			*c = 0
			if isHosts, err := r.hostsLine(number, line); isHosts || err != nil {
				return err
			}
			kind, name, of, why := adblockRule(line)
			switch {
			case why != "":
				r.skip(why, number, line)
				return nil
			case name == nil:
				return nil
			}
			*c = of
			if a, ok := address(name); ok && kind == pattern.Suffix {
				return r.emit(Item{Pattern: a, Line: number})
			}
			return r.name(kind, name, number)
		})
	})
}

// modifiers are those that are taken.
var modifiers = map[string]class{
	"important": important, "badfilter": bad, "important,badfilter": important | bad, "badfilter,important": important | bad,
}

var (
	cosmetic   = regexp.MustCompile(`#@?[$%?]*#`)
	everywhere = regexp.MustCompile(`^#@?[$%?]*##?[^\s\v#]`) // a cosmetic rule for all sites, where "## x" is a heading
	directive  = regexp.MustCompile(`^!#(include|if)\b`)
	regexpRule = regexp.MustCompile(`^/.+/(\$[^/$]*)?$`)
)

// adblockRule reads one rule: which name it is about, nil if it is a comment, or why it cannot be expressed.
func adblockRule(line []byte) (kind pattern.Kind, name []byte, c class, why string) {
	if why, ok := adblockOther(line); ok {
		return 0, nil, 0, why
	}
	rule, excepted := bytes.CutPrefix(withoutComment(line), []byte("@@"))
	if regexpRule.Match(rule) {
		return 0, nil, 0, "regexp"
	}
	rule, modifier, modified := bytes.Cut(rule, []byte("$"))
	c = modifiers[string(modifier)]
	if modified && c == 0 {
		return 0, nil, 0, "modifier"
	}
	if excepted {
		c |= exception
	}
	kind, name, why = adblockPattern(rule)
	if why == "" && kind == pattern.Exact && c != 0 {
		return 0, nil, 0, "part of a name" // only alone in its line it is a name
	}
	return kind, name, c, why
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
	case bytes.IndexByte(rule, '^') >= 0, !isHostName(name):
		return 0, nil, "part of a name"
	}
	return pattern.Exact, name, ""
}

// isHostName tells whether no label of a name is empty, or begins or ends with '-'. Other readers take such lines, and
// ".x" or "x.", for a part of any name.
func isHostName(name []byte) bool {
	for label := range bytes.SplitSeq(name, []byte(".")) {
		if len(label) == 0 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// address reads an address, as a pattern.
func address(text []byte) (pattern.Pattern, bool) {
	if len(text) == 0 || !isHex(text[0]) && text[0] != ':' {
		return pattern.Pattern{}, false
	}
	a, err := netip.ParseAddr(string(text))
	if err != nil || a.Zone() != "" {
		return pattern.Pattern{}, false
	}
	a = a.Unmap()
	return pattern.Pattern{Kind: pattern.Prefix, Prefix: netip.PrefixFrom(a, a.BitLen())}, true
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
