package cli

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// noRules is what is printed of an empty set, so that what applies it can tell it from a listing that failed.
const noRules = "# no rules"

func (a *app) ruleList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the rules, one a line: PATTERN TARGET [user=UID] [cgroup=PATH]",
		Long: `Lists the rules, one a line. domain-route apply -f - takes the list back; of no rules there is the line
"` + noRules + `".`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			set, err := runningRules()
			if err != nil {
				return err
			}
			return printList(a, "RuleList", struct{}{}, "rules", each(set.All(), rowOf), func() { a.printRules(set) })
		},
	}
}

// runningRules reads the rules in force. They are printed without the lock: who reads may take his time.
func runningRules() (set *ruleset.Set, err error) {
	err = withSystem(func(s *dataplane.System) error {
		set, err = s.Rules()
		return err
	})
	return set, err
}

func (a *app) printRules(set *ruleset.Set) {
	w := bufio.NewWriter(a.Stdout)
	defer w.Flush()
	if set.Len() == 0 {
		fmt.Fprintln(w, noRules)
	}
	for r := range set.All() {
		fmt.Fprintln(w, ruleText(r))
	}
}

// ruleText is a rule as apply takes it.
func ruleText(r ruleset.Rule) string {
	text := r.Pattern.String() + " " + r.Target.String()
	if r.Condition != (ruleset.Condition{}) {
		text += " " + r.Condition.String()
	}
	return text
}
