package ruleio

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// outcome is where a rule sends sockets: a text, which may be the name of a target, or the target itself.
type outcome struct {
	at     pos
	text   string         // "" in the long form
	target ruleset.Target // of the long form
}

func (o *outcome) decode(f *File, n *yaml.Node) *Error {
	if n.Kind == yaml.SequenceNode {
		return f.fail(at(n), "text is wanted here, not a list: %s", chainOf(n))
	}
	if n.Kind != yaml.MappingNode {
		w, err := f.text(n)
		*o = outcome{at: w.at, text: w.s}
		return err
	}
	var form targetForm
	if err := f.decodeStruct(n, elem(&form)); err != nil {
		return err
	}
	t, err := form.target()
	if err != nil {
		return f.fail(at(n), "%w", err)
	}
	*o = outcome{at: at(n), target: t}
	return nil
}

// chainOf says how to write what somebody wrote as a list.
func chainOf(n *yaml.Node) string {
	var names []string
	for _, c := range n.Content {
		names = append(names, c.Value)
	}
	chain, end := names, ""
	if last := len(names) - 1; last > 0 && (names[last] == "direct" || names[last] == "block") {
		chain, end = names[:last], ", else: "+names[last]
	}
	text := strings.Join(names, ",")
	if _, err := ruleset.ParseTarget(text); err != nil {
		return `write "wg0,direct" or {chain: [wg0], else: direct}`
	}
	return fmt.Sprintf("write %q or {chain: [%s]%s}", text, strings.Join(chain, ", "), end)
}

// elem is v as the decoder wants it.
func elem(v any) reflect.Value { return reflect.ValueOf(v).Elem() }

// target makes the target that a long form says.
func (t *targetForm) target() (ruleset.Target, error) {
	switch {
	case t.Mark.n != 0 && (t.Chain != nil || t.Else.s != ""):
		return ruleset.Target{}, fmt.Errorf("a target has a chain or a mark, not both")
	case t.Mark.n != 0:
		return ruleset.Target{Kind: ruleset.Mark, Mark: t.Mark.n}, nil
	case t.Chain == nil:
		return ruleset.Target{}, fmt.Errorf("a target has a key \"chain\" or \"mark\"")
	}
	var names []string
	for _, i := range t.Chain {
		names = append(names, i.s)
	}
	if t.Else.s != "" {
		names = append(names, t.Else.s)
	}
	return ruleset.ParseTarget(strings.Join(names, ","))
}

func (i *interfaceName) decode(f *File, n *yaml.Node) *Error {
	w, err := f.text(n)
	if err != nil {
		return err
	}
	*i = interfaceName(w)
	t, bad := ruleset.ParseTarget(w.s)
	switch {
	case w.s == "direct" || w.s == "block":
		return f.fail(w.at, "%q is no interface; how a chain ends is written as \"else: %s\"", w.s, w.s)
	case bad != nil:
		return f.fail(w.at, "%w", bad)
	case t.Kind != ruleset.Interface || strings.Contains(w.s, ","):
		return f.fail(w.at, "%.80q is not one interface", w.s)
	}
	return nil
}

func (e *elseWord) decode(f *File, n *yaml.Node) *Error {
	w, err := f.oneOf(n, "block", "direct")
	*e = elseWord(w)
	return err
}

// markNumber is a mark, 0 where the key is not there.
type markNumber struct{ n uint32 }

func (m *markNumber) decode(f *File, n *yaml.Node) *Error {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" {
		cure := ""
		if _, err := strconv.ParseUint(n.Value, 0, 32); err == nil && n.Tag == "!!str" {
			cure = "; drop the quotes"
		}
		return f.fail(at(n), "a number is wanted here, as 35 or 0x23, not %s%s", kindOf(n), cure)
	}
	v, err := strconv.ParseUint(n.Value, 10, 32)
	if hex, ok := strings.CutPrefix(n.Value, "0x"); ok {
		v, err = strconv.ParseUint(hex, 16, 32)
	} else if err == nil && strconv.FormatUint(v, 10) != n.Value {
		return f.fail(at(n), "the mark has a leading zero; write it in decimal, or in hexadecimal as 0x23")
	}
	if err != nil || v == 0 {
		return f.fail(at(n), "a mark is a number from 1 to 4294967295, as 35 or 0x23")
	}
	m.n = uint32(v)
	return nil
}

// reserved are words that targets have already, and some that people may take for such.
var reserved = []string{"direct", "block", "mark", "drop", "none", "default"}

const maxTargetName = 64

func (t *targetName) decode(f *File, n *yaml.Node) *Error {
	w, err := f.text(n)
	if err != nil {
		return err
	}
	*t = targetName(w.s)
	switch {
	case slices.Contains(reserved, strings.ToLower(w.s)):
		return f.fail(w.at, "%q has a meaning already; give the target another name", w.s)
	case len(w.s) > maxTargetName:
		return f.fail(w.at, "a target's name has at most %d characters", maxTargetName)
	}
	for i, c := range []byte(w.s) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c != '-' && c != '.' && (c < '0' || c > '9')) {
			return f.fail(w.at, "%.80q cannot name a target: that takes letters, digits, '-', '_' and '.', a letter first", w.s)
		}
	}
	return nil
}

// define makes the named targets of a file, whose texts cannot be names of others.
func (f *File) define() (map[string]ruleset.Target, *Error) {
	out := make(map[string]ruleset.Target, len(f.doc.Targets))
	for _, name := range slices.Sorted(maps.Keys(f.doc.Targets)) {
		o := f.doc.Targets[name]
		if o.text == "" {
			out[string(name)] = o.target
			continue
		}
		t, err := ruleset.ParseTarget(o.text)
		if err != nil {
			return nil, f.fail(o.at, "%w", err)
		}
		out[string(name)] = t
	}
	return out, nil
}
