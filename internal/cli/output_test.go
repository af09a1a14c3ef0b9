package cli

import "testing"

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                    "",
		"curl":                "curl",
		"Web Content":         "Web Content",
		"bücher":              "bücher",
		`a\b`:                 `a\b`,
		"\x1b[31mred\n\t\x7f": `\x1b[31mred\x0a\x09\x7f`,
		"\x00\x9b\xff":        `\x00\x9b\xff`,
		"\u009b31m":           `\u{9b}31m`,
		"\u202egnp.exe\u200b": `\u{202e}gnp.exe\u{200b}`,
		"\ufffd":              "\ufffd",
		"\xe2\x82":            `\xe2\x82`,
		"\u00a0\U000e0001":    `\u{a0}\u{e0001}`,
		"\u2028":              `\u{2028}`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
