package cli

import (
	"strings"
	"testing"
)

// What is no text is not written to a terminal.
func TestExportToTerminal(t *testing.T) {
	code, out, errs := run(Env{Terminal: true}, "", "export", "--format", "geosite")
	if code != ExitUsage || out != "" || !strings.Contains(errs, "standard output is a terminal; write it to a file") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	if _, _, errs := run(Env{}, "", "export", "--format", "geosite"); strings.Contains(errs, "terminal") {
		t.Errorf("no terminal: %q", errs)
	}
}
