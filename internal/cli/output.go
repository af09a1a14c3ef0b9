package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
)

// apiVersion is the version of everything that -o json prints.
const apiVersion = "domain-route/v1"

// envelope wraps what -o json prints.
type envelope struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Data       any    `json:"data"`
}

// print prints data as JSON, or calls text.
func (a *app) print(kind string, data any, text func()) error {
	if a.output != "json" {
		text()
		return nil
	}
	enc := json.NewEncoder(a.Stdout)
	enc.SetIndent("", "  ")
	if err := enc.Encode(envelope{apiVersion, kind, data}); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// table prints rows: aligned under a heading on a terminal, by tabs and without a heading elsewhere.
func (a *app) table(heading []string, rows [][]string) {
	if !a.Terminal {
		for _, r := range rows {
			fmt.Fprintln(a.Stdout, strings.Join(r, "\t"))
		}
		return
	}
	w := tabwriter.NewWriter(a.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(heading, "\t"))
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	_ = w.Flush()
}
