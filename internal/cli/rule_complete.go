package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// completeRuleAdd offers the patterns and the interfaces there are.
func completeRuleAdd(cmd *cobra.Command, given []string, start string) ([]string, cobra.ShellCompDirective) {
	if len(given) == 0 {
		return completePatterns(cmd, given, start)
	}
	words := []string{"direct", "block", "mark:"}
	if len(given) > 1 {
		return []string{"user=", "cgroup="}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	if devices, err := netdev.List(); err == nil {
		for _, d := range devices {
			if !d.Loopback {
				words = append(words, d.Name)
			}
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

func completePatterns(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	var words []string
	if len(given) == 0 {
		words = presentPatterns()
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// mostCompleted is how many patterns a shell is offered.
const mostCompleted = 10000

// peekRules reads the running rules without waiting for other commands; nil: they cannot be had.
func peekRules() *ruleset.Set {
	s, err := dataplane.Peek()
	if err != nil {
		return nil
	}
	defer s.Close()
	set, err := s.Rules()
	if err != nil {
		return nil
	}
	return set
}

// presentPatterns is for completion: nothing is waited for, and what fails gives none.
func presentPatterns() []string {
	set := peekRules()
	if set == nil {
		return nil
	}
	var words []string
	for r := range set.All() {
		if len(words) == mostCompleted {
			break
		}
		words = append(words, r.Pattern.String())
	}
	return slices.Compact(words) // a pattern may have rules with several conditions
}
