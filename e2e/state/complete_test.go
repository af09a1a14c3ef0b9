package state

import (
	"slices"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// offered runs what the shell's completion runs, and returns the words it gets, without what describes them.
func offered(t *testing.T, h *harness.Host, line ...string) []string {
	t.Helper()
	r := h.Run(append([]string{"__complete"}, line...)...)
	if r.Code != 0 {
		t.Fatalf("complete %q: exit %d: %s", line, r.Code, r.Stderr)
	}
	var words []string
	for l := range strings.Lines(r.Stdout) {
		if word, _, _ := strings.Cut(strings.TrimSpace(l), "\t"); !strings.HasPrefix(word, ":") { // a directive
			words = append(words, word)
		}
	}
	slices.Sort(words)
	return words
}

// Completion offers what there is, each time: it waits for nobody, and nobody is in its way here.
func TestCompletion(t *testing.T) {
	h := harness.New(t, lab.Options{})
	if words := offered(t, h, "rule", "del", ""); len(words) > 0 {
		t.Errorf("rule del offers %q while nothing is started", words)
	}
	start(h)
	h.Must("rule", "add", "a.test", "vpn0")
	h.Must("rule", "add", "*.b.test", "block")
	h.Must("rule", "add", "default", "direct")
	var patterns []string
	for _, r := range strings.Split(strings.TrimSpace(rulesOf(h)), "\n") {
		patterns = append(patterns, strings.Fields(r)[0])
	}
	slices.Sort(patterns)
	if len(patterns) != 3 {
		t.Fatalf("rule list has %q", patterns)
	}
	for i := range 20 {
		if words := offered(t, h, "rule", "del", ""); !slices.Equal(words, patterns) {
			t.Fatalf("time %d: rule del offers %q, want %q", i+1, words, patterns)
		}
	}
	for _, c := range []struct {
		line []string
		want []string
	}{
		{[]string{"status", "-o", ""}, []string{"json", "text"}},
		{[]string{"rule", "list", "--output", ""}, []string{"json", "text"}},
		{[]string{"rule", "add", ""}, patterns},
		{[]string{"rule", "del", "a.test", ""}, nil},
	} {
		if words := offered(t, h, c.line...); !slices.Equal(words, c.want) {
			t.Errorf("%q: offers %q, want %q", c.line, words, c.want)
		}
	}
	targets := offered(t, h, "rule", "add", "a.test", "")
	for _, want := range []string{"block", "direct", "vpn0", "wan0"} {
		if !slices.Contains(targets, want) {
			t.Errorf("rule add a.test offers %q, without %s", targets, want)
		}
	}
}
