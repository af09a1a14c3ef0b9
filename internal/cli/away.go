package cli

import (
	"fmt"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// mostTold is how many targets status warns of one by one.
const mostTold = 20

// awayOf are what status says of targets none of whose interfaces exists.
func awayOf(targets []ruleset.TargetRules, present []dataplane.Device) []string {
	var all []string
	find := among(present)
	for _, t := range targets {
		if dataplane.Resolve(t.Target, find).Outcome == dataplane.NoInterface {
			all = append(all, fmt.Sprintf("no interface of the target %s exists: connections by it fail; rules: %d", t.Target, t.Rules))
		}
	}
	if more := len(all) - mostTold; more > 0 {
		all = append(all[:mostTold], fmt.Sprintf("targets more without an interface: %d", more))
	}
	return all
}
