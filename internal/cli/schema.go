package cli

import (
	"encoding/json"

	"github.com/spf13/cobra"

)

func (a *app) schema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration, for editors",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := schemaText()
			if err != nil {
				return err
			}
			return a.print("Schema", json.RawMessage(text), func() { _, _ = a.Stdout.Write(text) })
		},
	}
}
