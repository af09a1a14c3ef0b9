package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// historyFlag is --history of start.
type historyFlag struct{ text string }

func (h *historyFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&h.text, "history", "", "keep learnt names without a rule: `yes|no` (default: as before, at first yes)")
	_ = cmd.RegisterFlagCompletionFunc("history", cobra.FixedCompletions([]string{"yes", "no"}, cobra.ShellCompDirectiveNoFileComp))
}

// option is nil where the flag was not given.
func (h *historyFlag) option(cmd *cobra.Command) (*bool, error) {
	if !cmd.Flags().Changed("history") {
		return nil, nil
	}
	if h.text != "yes" && h.text != "no" {
		return nil, usageError{fmt.Errorf("--history=%s: it is yes or no", h.text)}
	}
	keep := h.text == "yes"
	return &keep, nil
}
