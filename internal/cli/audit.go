package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// auditFlag is --audit of start.
type auditFlag struct{ text string }

func (f *auditFlag) add(cmd *cobra.Command) {
	const name = "audit"
	cmd.Flags().StringVar(&f.text, name, "", "look for connections that were not steered although their TLS names a rule: `yes|no` (default: as before, at first no)")
	cmd.Flags().Lookup(name).NoOptDefVal = "yes"
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions([]string{"yes", "no"}, cobra.ShellCompDirectiveNoFileComp))
}

// option is nil where the flag was not given.
func (f *auditFlag) option(cmd *cobra.Command) (*bool, error) {
	if !cmd.Flags().Changed("audit") {
		return nil, nil
	}
	if f.text != "yes" && f.text != "no" {
		return nil, usageError{fmt.Errorf("--audit=%s: it is yes or no", f.text)}
	}
	on := f.text == "yes"
	return &on, nil
}

// auditWords end the line of start: that audit is on, or was asked to be off.
func auditWords(asked *bool, on bool) string {
	if asked == nil && !on {
		return ""
	}
	return "; audit: " + yesOrNo(on)
}
