package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// knownShells has completion refuse a shell that there is none for, where cobra shows its help and is content. The root
// must know its output by now.
func knownShells(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	cmd, _, err := root.Find([]string{"completion"})
	if err != nil {
		return
	}
	cmd.Args = nil
	cmd.RunE = func(_ *cobra.Command, given []string) error {
		var shells []string
		for _, c := range cmd.Commands() {
			shells = append(shells, c.Name())
		}
		if len(given) == 0 {
			return usageError{fmt.Errorf("completion needs a shell: %s", strings.Join(shells, ", "))}
		}
		return usageError{fmt.Errorf("no completion for %q; there are %s", given[0], strings.Join(shells, ", "))}
	}
}

// help is cobra's, but does not take an unknown command for a wish to see everything.
func (a *app) help(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Explain a command",

		ValidArgsFunction: completeCommands,
		RunE: func(_ *cobra.Command, given []string) error {
			cmd, rest, err := root.Find(given)
			if err != nil || len(rest) > 0 {
				return noCommand(cmd, given[len(given)-max(1, len(rest)):])
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}
