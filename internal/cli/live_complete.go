package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/pattern"
)

// A completer offers words to a shell. None of ours waits for other commands, changes or prints anything, and what fails, for
// want of root for instance, offers nothing.
type completer = func(cmd *cobra.Command, given []string, start string) ([]string, cobra.ShellCompDirective)

// mostCompleted is how many words a shell is offered.
const mostCompleted = 10_000

// completeLive has commands and flags complete by what there is now.
func completeLive(root *cobra.Command) {
	arguments := map[string]completer{
		"rule add": completeRuleAdd, "rule del": completeRuleDel, "rdns": first(learntWords), "flush": first(learntWords),
		"explain": first(learntWords), "reset": first(patternsAndNames),
	}
	flags := map[string]completer{
		"process": processNumbers, "user": always(users), "name": always(patternsAndNames), "target": always(targetWords),
		"match": cobra.FixedCompletions([]string{"suffix", "exact"}, cobra.ShellCompDirectiveNoFileComp), "categories": cobra.NoFileCompletions,
	}
	for _, free := range []string{"category", "value", "attribute"} {
		flags[free] = cobra.NoFileCompletions
	}
	numbers := []string{"int", "uint", "uint32", "uint64", "float64", "duration"}
	visit(root, func(cmd *cobra.Command) {
		path := strings.TrimPrefix(cmd.CommandPath(), root.Name()+" ")
		if c, ours := arguments[path]; ours {
			cmd.ValidArgsFunction = c
		} else if cmd.ValidArgsFunction == nil && path != "import" && !cmd.HasSubCommands() {
			cmd.ValidArgsFunction = cobra.NoFileCompletions // it has no arguments
		}
		if path == "export" {
			_ = cmd.RegisterFlagCompletionFunc("target", always(runningTargets))
		}
		for name, c := range flags {
			if _, has := cmd.GetFlagCompletionFunc(name); !has && cmd.Flags().Lookup(name) != nil {
				_ = cmd.RegisterFlagCompletionFunc(name, c)
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if slices.Contains(numbers, f.Value.Type()) {
				_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions) // unless it has one
			}
		})
	})
}

// always offers the words there are for what is begun.
func always(words func(start string) []string) completer {
	return func(_ *cobra.Command, _ []string, start string) ([]string, cobra.ShellCompDirective) {
		return offer(words(start), start), cobra.ShellCompDirectiveNoFileComp
	}
}

// first does so for the first argument, and has none for others.
func first(words func(start string) []string) completer {
	return func(cmd *cobra.Command, given []string, start string) ([]string, cobra.ShellCompDirective) {
		if len(given) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return always(words)(cmd, given, start)
	}
}

// offer is what may be offered of words: those that go on from what is begun, without doubles. Names come from the
// network: those with characters that a shell or terminal may take for more than text are left out.
func offer(words []string, start string) []string {
	fit := slices.DeleteFunc(slices.Clone(words), func(w string) bool {
		word, _, _ := strings.Cut(w, "\t")
		return !strings.HasPrefix(word, start) || strings.Trim(word, wordCharacters) != ""
	})
	slices.Sort(fit)
	fit = slices.Compact(fit)
	return fit[:min(len(fit), mostCompleted)]
}

const wordCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:/=*@+ "

// glimpse looks at what is started without waiting for other commands.
func glimpse(f func(*dataplane.System)) {
	s, err := dataplane.Peek()
	if err != nil {
		return
	}
	defer s.Close()
	f(s)
}

// learntWords are the names that are learnt, and their addresses once a digit or colon is begun with.
func learntWords(start string) (words []string) {
	glimpse(func(s *dataplane.System) {
		all, err := s.Learnt()
		if err != nil {
			return
		}
		for _, l := range all {
			if l.Name != "" {
				words = append(words, l.Name.String())
			}
			if start != "" && strings.HasPrefix(l.Address.String(), start) {
				words = append(words, l.Address.String())
			}
		}
	})
	return words
}

// patternsAndNames are the patterns of the rules and the names that are learnt.
func patternsAndNames(start string) []string {
	return append(presentPatterns(start), learntWords(start)...)
}

// presentPatterns are those of the rules that run; of many, those that go on from what is begun.
func presentPatterns(start string) (words []string) {
	set := peekRules()
	if set == nil {
		return nil
	}
	for r := range set.All() {
		if len(words) == mostCompleted {
			break
		}
		if p := r.Pattern.String(); strings.HasPrefix(p, start) {
			words = append(words, p)
		}
	}
	return words
}

// completeCommands offers commands to help.
func completeCommands(cmd *cobra.Command, given []string, start string) ([]string, cobra.ShellCompDirective) {
	of, _, err := cmd.Root().Find(given)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, c := range of.Commands() {
		if !c.Hidden {
			words = append(words, c.Name())
		}
	}
	return offer(words, start), cobra.ShellCompDirectiveNoFileComp
}

// conditionsOf are the conditions of the rules with a pattern.
func conditionsOf(text string) (words []string) {
	p, err := pattern.Parse(text)
	set := peekRules()
	if err != nil || set == nil {
		return nil
	}
	for r := range set.All() {
		if r.Pattern == p {
			words = append(words, strings.Fields(r.Condition.String())...)
		}
	}
	return words
}
