package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
	"github.com/domain-route/domain-route/internal/spelling"
)

// swapped finds an interface and a name in each other's place behind rule add. There is an interface of each name that
// exists tells of.
func swapped(given []string, exists func(name string) bool) error {
	first, second := given[0], given[1]
	if !exists(first) || exists(second) || strings.Trim(second, "0123456789") == "" {
		return nil
	}
	if t, err := ruleset.ParseTarget(second); err == nil && (t.Kind != ruleset.Interface || len(t.Chain()) > 1 || t.End != ruleset.EndBlock) {
		return nil
	}
	if _, err := pattern.Parse(second); err != nil {
		return nil
	}
	words := append([]string{second, first}, given[2:]...)
	escape := ""
	if !strings.Contains(first, ".") && !strings.ContainsAny(second, "./") && second != "default" {
		escape = fmt.Sprintf("; or, if %s is a name, too: %s.", first, first)
	}
	return usageError{fmt.Errorf("%s is an interface, and the name comes first; write: domain-route rule add %s%s", first, strings.Join(words, " "), escape)}
}

// interfaceExists asks this network namespace; what cannot be told is not there.
func interfaceExists() func(name string) bool {
	present, err := devices()
	if err != nil {
		return func(string) bool { return false }
	}
	names := make([]string, len(present))
	for i, d := range present {
		names[i] = d.Name
	}
	return func(name string) bool { return slices.Contains(names, name) }
}

// meantByTarget says what may have been meant by a target that no interface is called; empty: nothing else.
func meantByTarget(name string) string {
	for _, word := range []string{"block", "direct"} {
		if spelling.Distance(name, word) == 1 {
			return "did you mean " + word + "?"
		}
	}
	if looksLikeName(name) {
		return "it looks like a name: a target is an interface, direct, block or mark:NUMBER"
	}
	return ""
}

// looksLikeName tells a name from an interface's, which may have a dot, too, as eth0.5 has.
func looksLikeName(text string) bool {
	dot := strings.LastIndexByte(text, '.')
	if dot < 1 || len(text)-dot < 3 || strings.Trim(strings.ToLower(text[dot+1:]), "abcdefghijklmnopqrstuvwxyz") != "" {
		return false
	}
	_, err := pattern.ParseName(text)
	return err == nil
}
