package cli

import (
	"bufio"
	"fmt"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// ruleRow is one rule. Without a condition User is nil and Cgroup empty.
type ruleRow struct {
	Pattern string  `json:"pattern"`
	Target  string  `json:"target"`
	User    *uint32 `json:"user,omitempty"`
	Cgroup  string  `json:"cgroup,omitempty"`
}

func rowOf(r ruleset.Rule) ruleRow {
	row := ruleRow{Pattern: r.Pattern.String(), Target: r.Target.String(), Cgroup: r.Condition.Cgroup}
	if r.Condition.User {
		row.User = &r.Condition.UID
	}
	return row
}

// key is a rule's pattern with its condition, as it is written.
func key(r ruleset.Rule) string {
	if r.Condition == (ruleset.Condition{}) {
		return r.Pattern.String()
	}
	return r.Pattern.String() + " " + r.Condition.String()
}

// changeRow is one change of a rule.
type changeRow struct {
	Change string  `json:"change"` // added, removed, changed
	From   string  `json:"from,omitempty"`
	To     string  `json:"to,omitempty"`
	User   *uint32 `json:"user,omitempty"`
	Cgroup string  `json:"cgroup,omitempty"`

	Pattern string `json:"pattern"`
}

func changeRowOf(c ruleset.Change) changeRow {
	row := rowOf(ruleset.Rule{Pattern: c.Pattern, Condition: c.Condition})
	out := changeRow{Change: c.Kind.String(), User: row.User, Cgroup: row.Cgroup, Pattern: row.Pattern}
	if c.Kind != ruleset.Added {
		out.From = c.From.String()
	}
	if c.Kind != ruleset.Removed {
		out.To = c.To.String()
	}
	return out
}

// changeText is a change in a line: "+ PATTERN TARGET COND", "- ...", "~ PATTERN OLD -> NEW COND".
func changeText(c ruleset.Change) string {
	condition := ""
	if c.Condition != (ruleset.Condition{}) {
		condition = " " + c.Condition.String()
	}
	switch c.Kind {
	case ruleset.Added:
		return fmt.Sprintf("+ %s %s%s", c.Pattern, c.To, condition)
	case ruleset.Removed:
		return fmt.Sprintf("- %s %s%s", c.Pattern, c.From, condition)
	default:
		return fmt.Sprintf("~ %s %s -> %s%s", c.Pattern, c.From, c.To, condition)
	}
}

// counts are how many changes there are of each kind.
type counts struct {
	Added   int `json:"added"`
	Removed int `json:"removed"`
	Changed int `json:"changed"`
}

func (n counts) any() bool { return n != counts{} }

// count returns the place to count a kind in.
func (n *counts) count(k ruleset.ChangeKind) *int {
	switch k {
	case ruleset.Added:
		return &n.Added
	case ruleset.Removed:
		return &n.Removed
	}
	return &n.Changed
}

// tally counts changes, and collects the targets that rules get by them.
func tally(from, to *ruleset.Set) (n counts, targets []ruleset.Target) {
	seen := map[ruleset.Target]bool{}
	for c := range from.Changes(to) {
		*n.count(c.Kind)++
		if c.Kind != ruleset.Removed && !seen[c.To] {
			seen[c.To] = true
			targets = append(targets, c.To)
		}
	}
	return n, targets
}

// shownChanges is how many changes of each kind a terminal gets to see.
const shownChanges = 20

// printChanges prints all changes, or on a terminal the first of each kind and how many more there are.
func (a *app) printChanges(from, to *ruleset.Set, all counts) {
	w := bufio.NewWriter(a.Stdout)
	defer w.Flush()
	var shown counts
	for c := range from.Changes(to) {
		n := shown.count(c.Kind)
		if *n++; !a.Terminal || *n <= shownChanges {
			fmt.Fprintln(w, changeText(c))
		}
		if a.Terminal && *n == shownChanges && *all.count(c.Kind) > *n {
			fmt.Fprintf(w, "... %d more %s\n", *all.count(c.Kind)-*n, c.Kind)
		}
	}
}
