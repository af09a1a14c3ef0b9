package dataplane

import (
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// Decision is what one level says of an address: what connect does for those whom the level counts for,
// unless a level before it has a name too.
type Decision struct {
	Learnt              // the name that decides
	Rule   ruleset.Rule // its rule
}

// Decisions returns what is decided by names with a rule, from what Learnt gave: at each level a name with a
// rule beats one without, and among those the latest wins. The default rule is no name's.
func Decisions(learnt []Learnt, set *ruleset.Set) []Decision {
	type place struct {
		at       Learnt
		decision int
	}
	var all []Decision
	places := map[Learnt]place{}
	for _, l := range learnt {
		r, ok := set.Match(l.Name)
		if !ok || r.Pattern.Kind == pattern.Default || l.Name == "" || !l.Live() {
			continue
		}
		key := Learnt{Address: l.Address, Level: l.Level, PID: l.PID, UID: l.UID}
		have, seen := places[key]
		switch {
		case !seen:
			places[key] = place{l, len(all)}
			all = append(all, Decision{l, r})
		case l.Seen < have.at.Seen:
			places[key] = place{l, have.decision}
			all[have.decision] = Decision{l, r}
		}
	}
	return all
}
