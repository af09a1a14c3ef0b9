package ruleio

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// A file that is made to be slow, or to take memory, takes as much of both as others of its size, about.
func TestParseHostile(t *testing.T) {
	const size = MaxFile / 8
	fill := func(head, unit string) string { return head + strings.Repeat(unit, (size-len(head))/len(unit)) }
	for name, text := range map[string]string{
		"flow sequence":   fill("rules: [", "a,"),
		"flow nesting":    fill("rules: ", "["),
		"flow mappings":   fill("rules: [", "{a: b},"),
		"block nesting":   fill("rules: ", "- "),
		"block sequence":  fill("remove:\n", "- a\n"),
		"keys":            fill("", "a: b\n"),
		"deep keys":       fill("", "? "),
		"one line":        fill("rules: ", "a"),
		"quotation":       fill("rules: \"", "a\n"),
		"escapes":         fill("rules: \"", `\n`),
		"comments":        fill("", "#\n"),
		"indented notes":  fill("rules:\n", "  # a\n"),
		"folded":          fill("rules: >\n", " a\n\n"),
		"anchors":         fill("rules: [", "&a b,"),
		"aliases":         fill("rules: [&a b,", "*a,"),
		"documents":       fill("", "---\n"),
		"colons":          fill("rules: ", "a:"),
		"patterns":        fill("remove:\n", "- a.b\n"),
		"same rule":       fill("rules:\n", "- {match: a, target: b}\n"),
		"many conditions": fill("rules:\n", "- {match: a, target: b, cgroup: /c}\n"),
	} {
		t.Run(name, func(t *testing.T) {
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			f, err := parse(text)
			took := time.Since(begin)
			runtime.ReadMemStats(&after)
			t.Logf("%v, %d MB allocated, %v", took, (after.TotalAlloc-before.TotalAlloc)>>20, cut(err))
			if allocated := after.TotalAlloc - before.TotalAlloc; took > 5*time.Second || allocated > 256*size {
				t.Errorf("took %v and %d bytes", took, allocated)
			}
			runtime.KeepAlive(f)
		})
	}
}

func cut(err error) string {
	if err == nil {
		return "taken"
	}
	return err.Error()[:min(len(err.Error()), 100)]
}
