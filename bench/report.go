package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// report is the table.
type report struct {
	Machine machine `json:"machine"`
	Seconds float64 `json:"seconds"` // the whole run took
	Rows    []row   `json:"rows"`
}

// limit is what a figure should be.
type limit struct {
	Value   float64 `json:"value"`
	AtLeast bool    `json:"at_least,omitempty"` // otherwise at most
}

func atMost(v float64) *limit  { return &limit{Value: v} }
func atLeast(v float64) *limit { return &limit{Value: v, AtLeast: true} }

// row is one figure: the median over the rounds, and the quartiles as its spread.
type row struct {
	ID      string  `json:"id"`
	What    string  `json:"what"`
	Unit    string  `json:"unit"` // x: ratio to the paired figure
	Value   float64 `json:"value"`
	Low     float64 `json:"low"`
	High    float64 `json:"high"`
	Rounds  int     `json:"rounds"`
	Limit   *limit  `json:"limit,omitempty"`
	Reached *bool   `json:"reached,omitempty"`
	Note    string  `json:"note,omitempty"` // the absolute figures behind a ratio
}

// judge sets whether a row's limit is reached; a row without limit informs only.
func (r *row) judge() {
	if r.Limit == nil {
		return
	}
	ok := r.Value <= r.Limit.Value
	if r.Limit.AtLeast {
		ok = r.Value >= r.Limit.Value
	}
	r.Reached = &ok
}

func (r *report) add(rows ...row) {
	for _, row := range rows {
		row.judge()
		r.Rows = append(r.Rows, row)
		fmt.Fprintf(os.Stderr, "bench:   %s: %s %s (%s)\n", row.ID, row.figure(row.Value), row.verdict(), row.Note)
	}
}

// figure prints a value with its unit.
func (r row) figure(v float64) string {
	switch r.Unit {
	case "x":
		return fmt.Sprintf("%.3fx", v)
	case "s":
		return fmt.Sprintf("%.3f s", v)
	case "ns":
		return fmt.Sprintf("%.0f ns", v)
	case "MB":
		return fmt.Sprintf("%.1f MB", v)
	case "us":
		return fmt.Sprintf("%.2f us", v)
	}
	return strings.TrimSpace(fmt.Sprintf("%.0f %s", v, r.Unit))
}

func (r row) limitText() string {
	if r.Limit == nil {
		return ""
	}
	sense := "<="
	if r.Limit.AtLeast {
		sense = ">="
	}
	return sense + " " + strings.TrimSpace(fmt.Sprintf("%g %s", r.Limit.Value, strings.TrimPrefix(r.Unit, "x")))
}

func (r row) verdict() string {
	switch {
	case r.Reached == nil:
		return ""
	case *r.Reached:
		return "reached"
	}
	return "short"
}

func (r row) spread() string {
	if r.Rounds < 2 {
		return ""
	}
	return fmt.Sprintf("%s .. %s", r.figure(r.Low), r.figure(r.High))
}

func (r *report) writeText(w io.Writer) error {
	if _, err := fmt.Fprintln(w, r.Machine); err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WHAT\tFIGURE\tQUARTILES\tROUNDS\tLIMIT\t\tNOTE")
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n",
			row.What, row.figure(row.Value), row.spread(), row.Rounds, row.limitText(), row.verdict(), row.Note)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, r.sum())
	return err
}

// sum is the last line: how many limits are reached, which are not.
func (r *report) sum() string {
	reached := 0
	var short []string
	for _, row := range r.Rows {
		switch row.verdict() {
		case "reached":
			reached++
		case "short":
			short = append(short, row.ID)
		}
	}
	text := fmt.Sprintf("%d limits reached, %d short", reached, len(short))
	if len(short) > 0 {
		text += " (" + strings.Join(short, ", ") + ")"
	}
	return text + fmt.Sprintf("; %.0f s", r.Seconds)
}

// writeMarkdown writes the table as docs/benchmarks.md shows it.
func (r *report) writeMarkdown(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s\n\n| what | figure | quartiles | limit | | of which |\n|---|---|---|---|---|---|\n", r.Machine)
	for _, row := range r.Rows {
		if err == nil {
			_, err = fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", strings.TrimSpace(row.What), row.figure(row.Value),
				row.spread(), row.limitText(), row.verdict(), row.Note)
		}
	}
	if err == nil {
		_, err = fmt.Fprintf(w, "\n%s\n", r.sum())
	}
	return err
}

func (r *report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(map[string]any{"apiVersion": "domain-route/v1", "kind": "Bench", "data": r})
}

func (r *report) writeFile(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	write := r.writeText
	switch filepath.Ext(path) {
	case ".json":
		write = r.writeJSON
	case ".md":
		write = r.writeMarkdown
	}
	if err := write(f); err != nil {
		f.Close()
		return fmt.Errorf("write the table to %s: %w", path, err)
	}
	return f.Close()
}
