package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/internal/doctor"
)

// What comes from outside is escaped, lines fit a terminal, cures stay whole.
func TestPrintChecks(t *testing.T) {
	long := strings.Repeat("word ", 30)
	all := []doctor.Check{
		{ID: "interface", Group: doctor.Interfaces, Level: doctor.OK, Subject: "wg0", Found: "up", Cure: "not told"},
		{ID: "browser-doh", Group: doctor.Names, Level: doctor.Fail, Found: long + "\x1b[2J", Cure: long + "'\x1b'", Details: []string{"a\x1bb"}},
	}
	for _, terminal := range []bool{true, false} {
		var out bytes.Buffer
		a := &app{Env: Env{Stdout: &out, Stderr: &out, Terminal: terminal}}
		a.printChecks(all, true)
		text := out.String()
		if strings.Contains(text, "\x1b") || strings.Contains(text, "not told") || !strings.Contains(text, `a\x1bb`) ||
			!strings.HasPrefix(text, "interfaces\nok    interface        wg0: up\n\nnames\nfail  browser-doh      word ") ||
			!strings.HasSuffix(text, "\n1 ok, 0 to note, 0 warnings, 1 failures\n") {
			t.Errorf("terminal %v: %q", terminal, text)
		}
		for line := range strings.Lines(text) {
			if cure := strings.HasPrefix(line, "      -> "); terminal && !cure && len(line) > 81 {
				t.Errorf("%d columns: %q", len(line), line)
			}
		}
		if n := strings.Count(text, "\n"); terminal != (n > 10) {
			t.Errorf("terminal %v: %d lines", terminal, n)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		text string
		want string
	}{
		{"", ""}, {"one", "one"}, {"one two", "one two"}, {"one two three", "one two\n..three"}, {"longer-than-it a", "longer-than-it\n..a"},
		{"äöü äöü", "äöü äöü"},
	} {
		if got := wrap(c.text, 7, ".."); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}
