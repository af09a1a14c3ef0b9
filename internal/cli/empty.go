package cli

import (
	"errors"
	"fmt"

	"github.com/domain-route/domain-route/internal/ruleio"
)

// errNothing is for an input that would delete all rules by mistake.
var errNothing = usageError{errors.New("there are no rules in it, not even the line \"" + noRules + "\", so that it is taken for a mistake")}

// errAllGone is for a configuration that would do so: it was emptied, or moved away.
func errAllGone(running int) error {
	return usageError{fmt.Errorf("no rule would be left of the %d that run, which is taken for a mistake; nothing is changed; if it is meant, add --allow-empty",
		running)}
}

// emptyLists are the lists without a rule, with what is the matter.
func (l *loaded) emptyLists() []string {
	var all []string
	for _, f := range l.Findings {
		if f.Kind == ruleio.Empty {
			all = append(all, fmt.Sprintf("%s (named at %s): %s", f.At, f.Other, f.Text))
		}
	}
	return all
}

// refuseEmptyLists is the error for a list without a rule: its former rules would go.
func (l *loaded) refuseEmptyLists(meant bool) error {
	all := l.emptyLists()
	if meant || len(all) == 0 {
		return nil
	}
	more := ""
	if n := l.Counts[ruleio.Empty] - 1; n > 0 {
		more = fmt.Sprintf("; lists more like it: %d", n)
	}
	return usageError{fmt.Errorf("%s%s; nothing is changed; if it is meant, add --allow-empty", all[0], more)}
}

// emptyWarnings are for a start, which goes on: a boot without a list, or without rules, is better than none.
func (l *loaded) emptyWarnings(fresh bool) []string {
	all := l.emptyLists()
	if fresh && len(l.files) > 0 && l.Rules.Len() == 0 {
		all = append(all, "the configuration has no rules: nothing is steered")
	}
	return all
}
