package cli

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/ruleio"
)

func (a *app) schema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration, for editors",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := ruleio.Schema()
			if err != nil {
				return err
			}
			return a.print("Schema", json.RawMessage(text), func() { _, _ = a.Stdout.Write(text) })
		},
	}
}
