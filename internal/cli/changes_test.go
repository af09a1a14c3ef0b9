package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// setOf reads rules, one a line.
func setOf(t *testing.T, text string) *ruleset.Set {
	t.Helper()
	set, err := ruleset.ParseText([]byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Changes are told in a line each: all of them, but on a terminal the first 20 of each kind.
func TestPrintChanges(t *testing.T) {
	from, to := "same.test wg0\n", "same.test wg0\n"
	for i := range 23 {
		from += fmt.Sprintf("gone%02d.test wg0\nother%02d.test wg0 user=7\n", i, i)
		to += fmt.Sprintf("new%02d.test block cgroup=/x\nother%02d.test wg1,direct user=7\n", i, i)
	}
	old, next := setOf(t, from), setOf(t, to)
	all, targets := tally(old, next)
	if all != (counts{23, 23, 23}) || len(targets) != 2 {
		t.Fatalf("%+v, %v", all, targets)
	}
	for _, terminal := range []bool{false, true} {
		var b bytes.Buffer
		a := &app{Env: Env{Stdout: &b, Terminal: terminal}}
		a.printChanges(old, next, all)
		for _, line := range []string{"+ new00.test block cgroup=/x\n", "- gone19.test wg0\n", "~ other00.test wg0 -> wg1,direct user=7\n"} {
			if strings.Count(b.String(), line) != 1 {
				t.Errorf("terminal %v: %q not once in\n%s", terminal, line, b.String())
			}
		}
		lines, want := strings.Count(b.String(), "\n"), 69
		if terminal {
			want = 63
		}
		if lines != want || strings.Contains(b.String(), "+ new22.test") == terminal || strings.Contains(b.String(), "... 3 more changed\n") != terminal {
			t.Errorf("terminal %v: %d lines, want %d\n%s", terminal, lines, want, b.String())
		}
	}
}
