package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// help is cobra's, but does not take an unknown command for a wish to see everything.
func (a *app) help(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Explain a command",
		RunE: func(_ *cobra.Command, given []string) error {
			cmd, rest, err := root.Find(given)
			if err != nil || len(rest) > 0 {
				return usageError{fmt.Errorf("no command %q; see: domain-route help", given[len(given)-max(1, len(rest))])}
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}
