package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
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
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(envelope{apiVersion, kind, data}); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if _, err := a.Stdout.Write(printableJSON(b.Bytes())); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// printableJSON escapes what package json leaves as it is and a terminal may obey: DEL, the controls above it, and
// characters that turn the direction of text. Outside of strings there is none.
func printableJSON(b []byte) []byte {
	var out []byte
	for _, r := range string(b) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// table prints rows: aligned under a heading on a terminal, by tabs and without a heading elsewhere.
func (a *app) table(heading []string, rows [][]string) {
	for _, r := range rows {
		for i := range r {
			r[i] = printable(r[i])
		}
	}
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

// printable escapes what is not to reach a terminal, such as escape sequences in what a process calls itself: bytes
// that are no text and control characters as \xNN, other characters that do not print as \u{N}. The rest stays,
// backslashes too, since names bring escapes of their own.
func printable(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
	}
	return b.String()
}
