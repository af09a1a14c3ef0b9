package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/domain-route/domain-route/internal/ruleio"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// mostText is how much text of rules is taken, in bytes: several times what a million take.
const mostText = 256 << 20

// standardInput is what stands for it among files.
const standardInput = "-"

// readRules reads what apply applies: the configuration, or one file. What it made of lists, and what has to be told of
// the rules, comes with it.
func (a *app) readRules(file string, o loadOptions) (*loaded, error) {
	if file == "" {
		l, err := a.loadConfig(o)
		if err == nil && len(l.files) == 0 {
			c, _ := a.configuration()
			return nil, c.errNoConfiguration()
		}
		return l, err
	}
	in := newInputs()
	text, err := a.readInput(in, file)
	if err != nil {
		return nil, err
	}
	name := file
	if file == standardInput {
		name = "standard input" // lists that it names are in the current directory
	}
	line, some := firstWords(text)
	switch {
	case !some && !bytes.Contains(text, []byte(noRules)):
		return nil, fmt.Errorf("%s: %w", name, errNothing)
	case some && isConfig(line):
		return readOne(in, name, text, o)
	}
	set, err := ruleset.ParseText(text, in.user)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", name, err)}
	}
	return &loaded{Config: &ruleio.Config{}, Loaded: &ruleio.Loaded{Rules: set}, meantEmpty: !some}, nil
}

// readInput reads a file, or standard input, of rules or of the configuration's form.
func (a *app) readInput(in *inputs, file string) ([]byte, error) {
	r := a.Stdin
	if file != standardInput {
		f, err := in.open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	text, err := io.ReadAll(io.LimitReader(r, mostText+1))
	if err == nil && len(text) > mostText {
		err = errors.New("more than 256 MiB of rules")
	}
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", file, err)}
	}
	return text, nil
}

// readOne loads one file of the configuration's form.
func readOne(in *inputs, file string, text []byte, o loadOptions) (*loaded, error) {
	l := &loaded{}
	f, err := ruleio.Parse(ruleio.Source{Path: file, Data: text})
	if err != nil {
		return nil, err
	}
	if l.Config, err = ruleio.Merge([]*ruleio.File{f}); err != nil {
		return nil, err
	}
	if l.Loaded, err = l.Load(o.with(in)); err != nil {
		return nil, err
	}
	return l, nil
}

// firstWords is the first line that is not blank or a comment.
func firstWords(text []byte) (string, bool) {
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		if words := bytes.TrimSpace(line); len(words) > 0 && words[0] != '#' {
			return string(words), true
		}
	}
	return "", false
}

// isConfig tells a line of the configuration's form from a rule: it begins with a key, or with what YAML begins with.
func isConfig(line string) bool {
	first := strings.Fields(line)[0]
	if _, err := netip.ParseAddr(first); err == nil {
		return false // 2001:db8::
	}
	return strings.HasSuffix(first, ":") || strings.HasPrefix(first, "---") || strings.HasPrefix(first, "%YAML") || strings.HasPrefix(first, "{")
}
