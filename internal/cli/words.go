package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/domain-route/domain-route/internal/pattern"
)

// noCommand refuses what is no command of a command's, and names one that may be meant.
func noCommand(cmd *cobra.Command, given []string) error {
	if len(given) == 0 {
		return nil
	}
	full := strings.TrimPrefix(cmd.CommandPath()+" "+given[0], cmd.Root().Name()+" ")
	cmd.SuggestionsMinimumDistance = min(2, len(given[0])/2)
	near := suggestions(cmd, given[0])
	if len(near) == 0 {
		return usageError{fmt.Errorf("no command %q; see: %s --help", full, cmd.CommandPath())}
	}
	for i, n := range near {
		near[i] = cmd.CommandPath() + " " + n
	}
	return usageError{fmt.Errorf("no command %q; did you mean: %s", full, strings.Join(near, ", or "))}
}

// otherWords are what elsewhere the commands are called.
var otherWords = map[string]string{
	"add": "rule add", "del": "rule del", "delete": "rule del", "list": "rule list", "ls": "rule list", "save": "rule save",
	"reload": "apply", "why": "explain", "test": "explain", "check": "explain",
}

// suggestions are commands that may be meant. Those that take something away are none by their spelling alone.
func suggestions(cmd *cobra.Command, word string) []string {
	if other, known := otherWords[word]; known && !cmd.HasParent() {
		return []string{other}
	}
	return slices.DeleteFunc(cmd.SuggestionsFor(word), func(s string) bool {
		return slices.Contains([]string{"stop", "reset", "flush"}, s)
	})
}

// argumentMeant says, behind a semicolon, how to say what was given as an argument to a command that takes none.
func argumentMeant(cmd *cobra.Command, word string) string {
	if word == "yes" || word == "no" {
		meant := ""
		cmd.Flags().Visit(func(f *pflag.Flag) {
			if f.NoOptDefVal == "yes" {
				meant = fmt.Sprintf("; write: --%s=%s", f.Name, word)
			}
		})
		return meant
	}
	switch cmd.Name() {
	case "watch":
		if _, err := matching(word); err == nil {
			return "; write: --name " + word
		}
	case "apply":
		return "; write: -f FILE for rules or one YAML file, --config FILE for a configuration"
	}
	return ""
}

// flagMeant makes the error of a flag name what was meant.
func flagMeant(_ *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && unknown.GetSpecifiedName() == "json" {
		err = fmt.Errorf("%w; write: -o json", err)
	}
	var wrong *pflag.InvalidValueError
	if errors.As(err, &wrong) && wrong.GetFlag().Value.Type() == "duration" {
		if _, bad := strconv.ParseFloat(wrong.GetValue(), 64); bad == nil {
			err = fmt.Errorf("%w; write %ss", err, wrong.GetValue())
		}
	}
	return usageError{err}
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
