package cli

import (
	"bytes"
	"encoding/json"
	"testing"
)

// nasty texts, as they come from process names, interface names, paths and arguments.
var nasty = []string{
	"\x1b[2J\x1b]0;owned\a", "del\x7f", "\u009b31m", "\x80\xff\xfe", "nul\x00", "a\tb\nc\rd", "\u202egnp.exe", "\u2028", "\U000e0041",
	"bücher", `back\slash "quoted"`, "",
}

func obeyed(t *testing.T, what string, b []byte) {
	t.Helper()
	for _, r := range string(b) {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0x202e || r == 0x2028 || r >= 0xe0000 {
			t.Errorf("%s: %U in %q", what, r, b)
		}
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"\x1b[2J": `\x1b[2J`, "\x7f": `\x7f`, "\u009b": `\u{9b}`, "\x80\xff": `\x80\xff`, "\x00": `\x00`, "a\nb": `a\x0ab`,
		"\u202e": `\u{202e}`, "bücher \\ \"x\"": "bücher \\ \"x\"", "\ufffd": "\ufffd",
	} {
		if got := printable(in); got != want {
			t.Errorf("%q is printed as %q, want %q", in, got, want)
		}
	}
}

// Tables and JSON bring no byte through that a terminal obeys; JSON gives the text back, except bytes that are none.
func TestPrint(t *testing.T) {
	for _, text := range nasty {
		for _, terminal := range []bool{false, true} {
			var b bytes.Buffer
			a := &app{Env: Env{Stdout: &b, Terminal: terminal}, output: "text"}
			a.table([]string{"A", "B"}, [][]string{{text, "x"}})
			obeyed(t, "table", b.Bytes())
			if want := 1 + map[bool]int{true: 1}[terminal]; bytes.Count(b.Bytes(), []byte("\n")) != want {
				t.Errorf("%q makes lines of its own: %q", text, b.Bytes())
			}
		}
		var b bytes.Buffer
		a := &app{Env: Env{Stdout: &b}, output: "json"}
		if err := a.print("X", map[string]string{text: text}, nil); err != nil {
			t.Fatal(err)
		}
		obeyed(t, "JSON", b.Bytes())
		var back struct{ Data map[string]string }
		if err := json.Unmarshal(b.Bytes(), &back); err != nil {
			t.Fatal(err)
		}
		want := string([]rune(text)) // bytes that are no text become U+FFFD
		if back.Data[want] != want {
			t.Errorf("%q comes back as %q", text, back.Data)
		}
	}
	var errs bytes.Buffer
	a := &app{Env: Env{Stderr: &errs}}
	for _, text := range nasty {
		a.warn("about %s", text)
	}
	obeyed(t, "warnings", errs.Bytes())
}
