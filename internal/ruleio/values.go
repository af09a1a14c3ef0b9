package ruleio

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/domain-route/domain-route/internal/listformat"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// word is a text and where it stands; s is "" where the key is not there.
type word struct {
	at pos
	s  string
}

// The texts of a configuration.
type (
	observer      word
	directory     word
	userWord      word
	cgroupPath    word
	filePath      word
	formatWord    word
	matchWord     word
	categoryWord  word
	attribute     word
	interfaceName word
	elseWord      word
	targetName    string
)

// text reads a node that must be text. What YAML takes for something else must be quoted.
func (f *File) text(n *yaml.Node) (word, *Error) {
	switch {
	case n.Kind == yaml.MappingNode && len(n.Content) == 2 && isNull(n.Content[1]) && strings.HasSuffix(n.Content[0].Value, ":"):
		return word{}, f.fail(at(n), "a colon at the end means something to YAML; quote it: %s", quoted(n.Content[0].Value+":"))
	case n.Kind != yaml.ScalarNode:
		return word{}, f.fail(at(n), "text is wanted here, not %s", kindOf(n))
	case n.Tag == "!!null" && n.Value == "":
		return word{}, f.fail(at(n), "nothing is written here; leave the key out, or write its value")
	case n.Tag != "!!str":
		return word{}, f.fail(at(n), "%.80s is %s to YAML, and text is wanted here; quote it: \"%.80s\"", n.Value, yamlKind(n), n.Value)
	case n.Value == "":
		return word{}, f.fail(at(n), "this text is empty")
	case strings.IndexFunc(n.Value, unicode.IsControl) >= 0:
		return word{}, f.fail(at(n), "%.80q has a control character", n.Value)
	}
	return word{at(n), n.Value}, nil
}

func yamlKind(n *yaml.Node) string {
	switch n.Tag {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "nothing"
	case "!!timestamp":
		return "a date"
	}
	return "a " + strings.TrimPrefix(n.Tag, "!!")
}

// oneOf reads a text that must be one of words.
func (f *File) oneOf(n *yaml.Node, words ...string) (word, *Error) {
	w, err := f.text(n)
	if err != nil {
		return word{}, err
	}
	for _, known := range words {
		if w.s == known {
			return w, nil
		}
	}
	if near := nearest(strings.ToLower(w.s), words); near != "" {
		return word{}, f.fail(w.at, "%.80q is not known here; did you mean %q?", w.s, near)
	}
	return word{}, f.fail(w.at, "%.80q is not known here; it is one of %s", w.s, strings.Join(words, ", "))
}

func (o *observer) decode(f *File, n *yaml.Node) *Error {
	w, err := f.text(n)
	if err != nil {
		return err
	}
	*o = observer(w)
	list, ok := strings.CutPrefix(w.s, "tc:")
	if !ok {
		w, err = f.oneOf(n, "sockets", "libc", "tc")
		*o = observer(w)
		return err
	}
	for _, name := range strings.Split(list, ",") {
		if name == "" {
			return f.fail(w.at, "%.80q: an interface's name is empty; write it as in tc:eth1", w.s)
		}
	}
	return nil
}

func (d *directory) decode(f *File, n *yaml.Node) *Error {
	w, err := f.text(n)
	if err == nil && w.s[0] != '/' {
		return f.fail(w.at, "%.80q is no full path of a directory; it begins with /", w.s)
	}
	*d = directory(w)
	return err
}

// yesNo is true, false, yes or no; nil where the key is not there.
type yesNo struct{ v *bool }

// yesWords are the words for both; YAML itself knows the first two.
var yesWords = map[string]bool{"true": true, "false": false, "yes": true, "no": false}

func (y *yesNo) decode(f *File, n *yaml.Node) *Error {
	v, ok := yesWords[n.Value]
	if n.Kind == yaml.ScalarNode && n.Tag == "!!bool" {
		v, ok = yesWords[strings.ToLower(n.Value)] // True and TRUE are the same to YAML
	}
	if !ok || n.Kind != yaml.ScalarNode {
		return f.fail(at(n), "yes or no is wanted here, not %s", kindOf(n))
	}
	y.v = &v
	return nil
}

// patternItem is one pattern and where it stands.
type patternItem struct {
	at pos
	p  pattern.Pattern
}

func (p *patternItem) decode(f *File, n *yaml.Node) *Error {
	w, err := f.text(n)
	if err != nil {
		return err
	}
	parsed, bad := pattern.Parse(w.s)
	if bad != nil {
		return f.fail(w.at, "%w", bad)
	}
	*p = patternItem{w.at, parsed}
	return nil
}

// patterns is one pattern or a list of them.
type patterns []patternItem

func (p *patterns) decode(f *File, n *yaml.Node) *Error {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	if len(list) == 0 {
		return f.fail(at(n), "no pattern is written here")
	}
	*p = make(patterns, len(list))
	for i, c := range list {
		if err := (*p)[i].decode(f, c); err != nil {
			return err
		}
	}
	return nil
}

// decode reads a pattern as the short form of a removal.
func (r *removal) decode(f *File, n *yaml.Node) *Error {
	if n.Kind == yaml.MappingNode {
		return f.decodeStruct(n, elem(r))
	}
	r.at = at(n)
	r.Match = make(patterns, 1)
	return r.Match[0].decode(f, n)
}

func (u *userWord) decode(f *File, n *yaml.Node) *Error {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" {
		w, err := f.text(n)
		if err != nil {
			return err
		}
		*u = userWord(w)
	} else {
		*u = userWord{at(n), n.Value}
		if v, err := strconv.ParseUint(n.Value, 10, 32); err != nil || v == 1<<32-1 || strconv.FormatUint(v, 10) != n.Value {
			return f.fail(at(n), "a user's number is written in decimal, from 0 to 4294967294; a name that looks like a number is quoted")
		}
	}
	anybody := func(string) (uint32, error) { return 0, nil }
	if _, bad := ruleset.ParseCondition([]string{"user=" + u.s}, anybody); bad != nil {
		return f.fail(u.at, "%w", bad)
	}
	return nil
}

func (c *cgroupPath) decode(f *File, n *yaml.Node) *Error {
	w, err := f.text(n)
	if err != nil {
		return err
	}
	*c = cgroupPath(w)
	if _, bad := ruleset.ParseCondition([]string{"cgroup=" + w.s}, nil); bad != nil {
		return f.fail(w.at, "%w", bad)
	}
	return nil
}

func (p *filePath) decode(f *File, n *yaml.Node) *Error {
	w, err := f.text(n)
	*p = filePath(w)
	return err
}

func (c *categoryWord) decode(f *File, n *yaml.Node) *Error {
	w, err := f.text(n)
	*c = categoryWord(w)
	return err
}

func (a *attribute) decode(f *File, n *yaml.Node) *Error {
	w, err := f.text(n)
	if err == nil && (strings.ContainsFunc(w.s, unicode.IsSpace) || w.s == "!") {
		return f.fail(w.at, "%.80q is no attribute; write one word, after a '!' if entries with it are to be left out", w.s)
	}
	*a = attribute(w)
	return err
}

// formats are the formats of lists, as text.
var formats = func() (words []string) {
	for _, f := range listformat.Formats() {
		words = append(words, string(f))
	}
	return words
}()

func (w *formatWord) decode(f *File, n *yaml.Node) *Error {
	known, err := f.oneOf(n, formats...)
	*w = formatWord(known)
	return err
}

func (w *matchWord) decode(f *File, n *yaml.Node) *Error {
	known, err := f.oneOf(n, "suffix", "exact")
	*w = matchWord(known)
	return err
}

// quoted is for messages: how to write a text so that YAML takes it for text.
func quoted(s string) string { return fmt.Sprintf("%.80q", s) }
