package ruleio

import (
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// Inline returns the rules that stand in the configuration's own files, in their order and without those of lists. Of
// one pattern and condition the last word counts. Conditions themselves are left out: names of users are not known here.
func (c *Config) Inline() []ruleset.Rule {
	type written struct {
		p            pattern.Pattern
		user, cgroup string
	}
	var order []written
	targets := make(map[written]ruleset.Target)
	for i := range c.parts {
		p := &c.parts[i]
		for _, r := range p.doc.Remove {
			for _, m := range r.Match {
				delete(targets, written{m.p, r.User.s, r.Cgroup.s})
			}
		}
		for j, r := range p.doc.Rules {
			for _, m := range r.Match {
				k := written{m.p, r.User.s, r.Cgroup.s}
				if _, twice := targets[k]; !twice {
					order = append(order, k)
				}
				targets[k] = p.ruleTargets[j]
			}
		}
	}
	var rules []ruleset.Rule
	for _, k := range order {
		if t, ok := targets[k]; ok {
			rules = append(rules, ruleset.Rule{Pattern: k.p, Target: t})
			delete(targets, k) // one that was removed and came back is in order twice
		}
	}
	return rules
}
