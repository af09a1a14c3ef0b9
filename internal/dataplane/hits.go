package dataplane

import "github.com/domain-route/domain-route/internal/ruleset"

// Hit is how many connections a rule decided.
type Hit struct {
	Rule  ruleset.Rule
	Count uint64
}

// Hits are the rules in force that decided at least one connection since start, or since the rule came.
func (s *System) Hits() ([]Hit, error) { return nil, nil }
