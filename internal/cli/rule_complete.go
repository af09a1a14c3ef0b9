package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// completeRuleAdd offers the names that are learnt and have no rule yet, and those that have one, since that may be replaced;
// then targets, then conditions.
func completeRuleAdd(_ *cobra.Command, given []string, start string) ([]string, cobra.ShellCompDirective) {
	switch len(given) {
	case 0:
		return offer(patternsAndNames(start), start), cobra.ShellCompDirectiveNoFileComp
	case 1:
		words := offer(targetWords(start), start)
		directive := cobra.ShellCompDirectiveNoFileComp
		if slices.Equal(words, []string{"mark:"}) {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return words, directive
	}
	return completeCondition(given[2:], start)
}

// completeRuleDel offers patterns, then the conditions that the rules with the pattern have.
func completeRuleDel(_ *cobra.Command, given []string, start string) ([]string, cobra.ShellCompDirective) {
	if len(given) == 0 {
		return offer(presentPatterns(start), start), cobra.ShellCompDirectiveNoFileComp
	}
	return offer(conditionsOf(given[0]), start), cobra.ShellCompDirectiveNoFileComp
}

// completeCondition offers user= and cgroup=, and what may follow. Below a cgroup there may be more: no space yet.
func completeCondition(given []string, start string) ([]string, cobra.ShellCompDirective) {
	var words []string
	directive := cobra.ShellCompDirectiveNoFileComp
	switch {
	case strings.HasPrefix(start, "user="):
		words = prefixed("user=", users(""))
	case strings.HasPrefix(start, "cgroup="):
		words = prefixed("cgroup=", cgroups(strings.TrimPrefix(start, "cgroup=")))
		directive |= cobra.ShellCompDirectiveNoSpace
	default:
		for _, w := range []string{"user=", "cgroup="} {
			if !slices.ContainsFunc(given, func(g string) bool { return strings.HasPrefix(g, w) }) {
				words = append(words, w)
			}
		}
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return offer(words, start), directive
}

func prefixed(prefix string, words []string) []string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = prefix + w
	}
	return all
}

// completePatterns is for commands with one pattern.
func completePatterns(cmd *cobra.Command, given []string, start string) ([]string, cobra.ShellCompDirective) {
	return first(presentPatterns)(cmd, given, start)
}

// peekRules reads the running rules without waiting for other commands; nil: they cannot be had.
func peekRules() (set *ruleset.Set) {
	glimpse(func(s *dataplane.System) {
		if rules, err := s.Rules(); err == nil {
			set = rules
		}
	})
	return set
}
