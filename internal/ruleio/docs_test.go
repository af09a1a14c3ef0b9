package ruleio

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// The reference's example is a configuration, and it has every key, every format and every kind of finding.
func TestReference(t *testing.T) {
	b, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	_, example, _ := strings.Cut(text, "```yaml\n")
	example, _, found := strings.Cut(example, "```")
	if !found {
		t.Fatal("no example")
	}
	l := load(t, files{"lists/cn.txt": "a.cn\n"}, "config.yaml", example)
	if l.Rules.Len() != 5 || len(l.Findings) > 0 {
		t.Errorf("the example makes\n%s%v", rulesOf(t, l), l.Findings)
	}
	words := append([]string{}, formats...)
	for _, typ := range []reflect.Type{reflect.TypeFor[document](), reflect.TypeFor[ruleItem](), reflect.TypeFor[listItem]()} {
		words = append(words, keysOf(typ)...)
	}
	for _, k := range []Kind{Overridden, Overlap, Outranked, Unreachable, Redundant, PublicSuffix, Unused, Empty, NearTarget} {
		words = append(words, string(k))
	}
	for _, w := range append(words, reserved...) {
		if !strings.Contains(text, "`"+w+"`") {
			t.Errorf("docs/config.md does not have `%s`", w)
		}
	}
}
