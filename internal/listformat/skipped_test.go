package listformat

import (
	"strings"
	"testing"
)

// What to write for ".x" is said, since programs do not agree on what that means.
func TestHint(t *testing.T) {
	for in, want := range map[string]string{
		".foo.test # why\n": "write foo.test, or *.foo.test for its subdomains alone",
		"..foo.test\n":      "",
		"a b\n":             "",
	} {
		report, err := Read(strings.NewReader(in), Options{Format: Plain}, nil)
		if err != nil || len(report.Skipped) != 1 || report.Skipped[0].Hint() != want {
			t.Errorf("%q: %v, %+v, want %q", in, err, report.Skipped, want)
		}
	}
}
