package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/pattern"
)

// noCommand refuses what is no command of a command's, and names one that may be meant.
func noCommand(cmd *cobra.Command, given []string) error {
	if len(given) == 0 {
		return nil
	}
	full := strings.TrimPrefix(cmd.CommandPath()+" "+given[0], cmd.Root().Name()+" ")
	cmd.SuggestionsMinimumDistance = min(2, len(given[0])/2)
	near := cmd.SuggestionsFor(given[0])
	if len(near) == 0 {
		return usageError{fmt.Errorf("no command %q; see: %s --help", full, cmd.CommandPath())}
	}
	for i, n := range near {
		near[i] = cmd.CommandPath() + " " + n
	}
	return usageError{fmt.Errorf("no command %q; did you mean: %s", full, strings.Join(near, ", or "))}
}

// parsePattern is pattern.Parse for what somebody types.
func parsePattern(text string) (pattern.Pattern, error) {
	if text == "*" {
		return pattern.Pattern{}, usageError{fmt.Errorf("pattern %q: for everything without another rule write: default", text)}
	}
	return pattern.Parse(text)
}

// isCondition tells a condition from what is meant for something else.
func isCondition(word string) bool { return strings.Contains(word, "=") }

// chainMeant finds interfaces that were given one by one behind the pattern.
func chainMeant(given []string) error {
	end := slices.IndexFunc(given, isCondition)
	if end < 0 {
		end = len(given)
	}
	if end < 2 {
		return nil
	}
	words := given[:end]
	if slices.Contains([]string{"via", "dev", "to"}, words[0]) {
		words = words[1:]
	}
	chain := strings.FieldsFunc(strings.Join(words, ","), func(r rune) bool { return r == ',' })
	if len(chain) == 1 {
		return usageError{fmt.Errorf("a rule has one target, without a word before it; write: %s", chain[0])}
	}
	return usageError{fmt.Errorf("a rule has one target, and conditions have the form user=NAME or cgroup=PATH; for the first interface that exists write: %s",
		strings.Join(chain, ","))}
}

// noTarget finds a target where there is none to give.
func noTarget(given []string) error {
	if len(given) < 2 || isCondition(given[1]) {
		return nil
	}
	rest := slices.DeleteFunc(slices.Clone(given), func(w string) bool { return w != given[0] && !isCondition(w) })
	return usageError{fmt.Errorf("rule del takes no target, and got %q; write: domain-route rule del %s", given[1], strings.Join(rest, " "))}
}
