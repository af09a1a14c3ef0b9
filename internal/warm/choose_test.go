package warm

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// rules reads "PATTERN TARGET" for each.
func rules(t *testing.T, lines ...string) []ruleset.Rule {
	t.Helper()
	var all []ruleset.Rule
	for _, line := range lines {
		text, to, _ := strings.Cut(line, " ")
		p, err := pattern.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		target, err := ruleset.ParseTarget(to)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ruleset.Rule{Pattern: p, Target: target})
	}
	return all
}

func texts(names []pattern.Name) (all []string) {
	for _, n := range names {
		all = append(all, n.String())
	}
	return all
}

// TestNames: nobody wants the names of block and direct asked for.
func TestNames(t *testing.T) {
	got := Names(rules(t, "bank.example wg0", "=bank.example wg0", "*.sub.example wg0", "=exact.example mark:5", "default wg0",
		"192.0.2.1 wg0", "ads.example block", "own.example direct", "else.example wg0,direct"))
	if d := cmp.Diff([]string{"bank.example", "exact.example", "else.example"}, texts(got)); d != "" {
		t.Errorf("want - got +\n%s", d)
	}
}

// TestChoose: of few all, of many those that the configuration itself has, be its own as many as they like.
func TestChoose(t *testing.T) {
	many := func(n int, to string) (lines []string) {
		for i := range n {
			lines = append(lines, fmt.Sprintf("n%03d.example %s", i, to))
		}
		return lines
	}
	own := []string{"zoo.example wg0", "bank.example wg0", "gone.example wg0", "ads.example block"}
	running := []string{"bank.example wg0", "zoo.example wg0", "ads.example block"}
	for _, tt := range []struct {
		name             string
		written, running []string
		unread           int
		want             []string
		left             int
	}{
		{"none", nil, nil, 0, nil, 0},
		{"few", nil, append(many(100, "block"), running...), 0, []string{"bank.example", "zoo.example"}, 0},
		{"many", own, append(many(99, "wg0"), running...), 0, []string{"zoo.example", "bank.example"}, 99},
		{"many, and none known", nil, many(101, "wg0"), 0, nil, 101},
		{"known, and blocked by now", []string{"bank.example wg0"}, append(many(101, "wg0"), "bank.example block"), 0, nil, 101},
		{"not all looked through", own, many(7, "wg0"), 1000, []string{"zoo.example", "bank.example", "gone.example"}, 1004},
	} {
		got := Choose(rules(t, tt.written...), rules(t, tt.running...), tt.unread)
		if d := cmp.Diff(tt.want, texts(got.Names)); d != "" || got.LeftOut != tt.left {
			t.Errorf("%s: %d left out, want %d; names, want - got +\n%s", tt.name, got.LeftOut, tt.left, d)
		}
	}
	if got := Choose(rules(t, many(150, "wg0")...), rules(t, many(160, "wg0")...), 0); len(got.Names) != lookUpMost || got.LeftOut != 60 {
		t.Errorf("%d names, %d left out", len(got.Names), got.LeftOut)
	}
}
