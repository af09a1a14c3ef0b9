package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
)

// printList prints data as print does, with a last member that is a list: row by row, of which there may be a million.
func printList[T any](a *app, kind string, data any, member string, rows iter.Seq[T], text func()) error {
	if a.output != "json" {
		text()
		return nil
	}
	head, err := json.MarshalIndent(envelope{apiVersion, kind, data}, "", "  ")
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	// What data and the envelope end with is put behind the list.
	head = bytes.TrimSuffix(head, []byte("\n}"))
	head = bytes.TrimRight(bytes.TrimSuffix(head, []byte("}")), " \n")
	comma := ","
	if bytes.HasSuffix(head, []byte("{")) {
		comma = ""
	}
	w := bufio.NewWriter(a.Stdout)
	fmt.Fprintf(w, "%s%s\n    %q: [", printableJSON(head), comma, member)
	separator := "\n      "
	for row := range rows {
		text, err := json.Marshal(row)
		if err != nil {
			return fmt.Errorf("print: %w", err)
		}
		fmt.Fprintf(w, "%s%s", separator, printableJSON(text))
		separator = ",\n      "
	}
	if separator[0] == ',' {
		fmt.Fprint(w, "\n    ")
	}
	fmt.Fprint(w, "]\n  }\n}\n")
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// each maps what a sequence has.
func each[A, B any](seq iter.Seq[A], f func(A) B) iter.Seq[B] {
	return func(yield func(B) bool) {
		for a := range seq {
			if !yield(f(a)) {
				return
			}
		}
	}
}
