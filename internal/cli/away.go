package cli

import (
	"fmt"
	"maps"
	"slices"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// mostAsked is of how many rules status looks at the targets: of more it would take long.
const mostAsked = 20_000

// mostTold is how many targets status warns of one by one.
const mostTold = 20

// awayWarnings are what status says of targets none of whose interfaces exists. They are an extra: what fails gives none.
func awayWarnings(st dataplane.Status, present []dataplane.Device) []string {
	if !st.Home || st.Rules == 0 || st.Rules > mostAsked {
		return nil
	}
	set := peekRules()
	if set == nil {
		return nil
	}
	return awayOf(set, present)
}

func awayOf(set *ruleset.Set, present []dataplane.Device) []string {
	find := func(name string) (int, bool) {
		i := slices.IndexFunc(present, func(d dataplane.Device) bool { return d.Name == name })
		return i + 1, i >= 0
	}
	rules := map[ruleset.Target]int{}
	for r := range set.All() {
		rules[r.Target]++
	}
	maps.DeleteFunc(rules, func(t ruleset.Target, _ int) bool { return dataplane.Resolve(t, find).Outcome != dataplane.NoInterface })
	var all []string
	for t, n := range rules {
		all = append(all, fmt.Sprintf("no interface of the target %s exists: connections by it fail; rules: %d", t, n))
	}
	slices.Sort(all)
	if more := len(all) - mostTold; more > 0 {
		all = append(all[:mostTold], fmt.Sprintf("targets more without an interface: %d", more))
	}
	return all
}
