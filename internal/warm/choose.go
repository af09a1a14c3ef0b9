package warm

import (
	"slices"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// Choice is which names are looked up.
type Choice struct {
	Names   []pattern.Name
	LeftOut int // how many others there are: names, and rules that were not looked through
}

// Names are the exact names of rules, each once: those of example.com and =example.com. Nobody can tell which names
// `*.example.com` and the default stand for, and whoever has a rule that says block or direct does not want its name
// asked for.
func Names(rules []ruleset.Rule) []pattern.Name {
	var names []pattern.Name
	seen := map[pattern.Name]bool{}
	for _, r := range rules {
		exact := r.Pattern.Kind == pattern.Exact || r.Pattern.Kind == pattern.Suffix
		steers := r.Target.Kind == ruleset.Interface || r.Target.Kind == ruleset.Mark
		if name := r.Pattern.Name; exact && steers && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// Choose chooses the names of all rules if they are few. Many are those of lists: of these some would be looked up by
// chance, so that it chooses what the configuration itself has. running are rules that are in force, all of them unless
// unread says how many more there are; written are those that stand in the configuration's own files.
func Choose(written, running []ruleset.Rule, unread int) Choice {
	all := Names(running)
	if unread == 0 && len(all) <= lookUpMost {
		return Choice{Names: all}
	}
	known := make(map[pattern.Name]bool, len(all))
	for _, n := range all {
		known[n] = true
	}
	own := Names(written)
	if unread == 0 {
		own = slices.DeleteFunc(own, func(n pattern.Name) bool { return !known[n] })
	}
	own = own[:min(len(own), lookUpMost)]
	return Choice{own, max(0, len(all)+unread-len(own))}
}
