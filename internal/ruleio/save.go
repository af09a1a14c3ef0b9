package ruleio

import (
	"fmt"
	"strings"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

const savedHead = `# Written by "domain-route rule save": what differs from the other files. It is written anew each time.
`

// SaveFile returns the text of a configuration file such that the configuration and it come to the rules of running.
// configured is what the configuration comes to without that file, which is to be the last. Rules that differ in too many
// places for one file are an error.
func SaveFile(running, configured *ruleset.Set) ([]byte, error) {
	gone := newGroups()
	there := newGroups()
	for _, change := range configured.Diff(running) {
		if change.Kind == ruleset.Removed {
			gone.add(group{change.Condition, ruleset.Target{}}, change.Pattern)
		} else {
			there.add(group{change.Condition, change.To}, change.Pattern)
		}
	}
	var b strings.Builder
	b.WriteString(savedHead)
	gone.write(&b, "remove")
	there.write(&b, "rules")
	if b.Len() > MaxFile {
		return nil, fmt.Errorf("%d rules differ from the configuration, too many for one file of it; write them to a file with \"domain-route export\", and name that under lists in the configuration", gone.count+there.count)
	}
	return []byte(b.String()), nil
}

// group is what the patterns of one entry have in common.
type group struct {
	c      ruleset.Condition
	target ruleset.Target
}

// groups holds patterns by their group, in the order of first sight.
type groups struct {
	order    []group
	patterns map[group][]pattern.Pattern
	count    int
}

func newGroups() *groups { return &groups{patterns: make(map[group][]pattern.Pattern)} }

func (g *groups) add(to group, p pattern.Pattern) {
	if g.patterns[to] == nil {
		g.order = append(g.order, to)
	}
	g.patterns[to] = append(g.patterns[to], p)
	g.count++
}

// write writes the entries under a key.
func (g *groups) write(b *strings.Builder, key string) {
	if len(g.order) == 0 {
		return
	}
	fmt.Fprintf(b, "%s:\n", key)
	for _, one := range g.order {
		b.WriteString("  - match:\n")
		for _, p := range g.patterns[one] {
			fmt.Fprintf(b, "      - %s\n", quote(p.String()))
		}
		if one.target.Kind != 0 {
			fmt.Fprintf(b, "    target: %s\n", longTarget(one.target))
		}
		if one.c.User {
			fmt.Fprintf(b, "    user: %d\n", one.c.UID)
		}
		if one.c.Cgroup != "" {
			fmt.Fprintf(b, "    cgroup: %s\n", quote(one.c.Cgroup))
		}
	}
}

// longTarget writes chains in the long form, which cannot be taken for the name of a target.
func longTarget(t ruleset.Target) string {
	if t.Kind != ruleset.Interface {
		return quote(t.String())
	}
	var names []string
	for _, n := range t.Chain() {
		names = append(names, quote(n))
	}
	end := "block"
	if t.End == ruleset.EndDirect {
		end = "direct"
	}
	return fmt.Sprintf("{chain: [%s], else: %s}", strings.Join(names, ", "), end)
}

// quote writes a text so that YAML reads exactly it.
func quote(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ' && r <= '~':
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "\\U%08x", r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
