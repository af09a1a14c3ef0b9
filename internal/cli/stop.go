package cli

import (
	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
)

type stopResult struct {
	Stopped        bool `json:"stopped"`
	RulesForgotten int  `json:"rules_forgotten"`
}

func (a *app) stop() *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "Stop steering and remove everything from the kernel, rules included",
		Long: `Stops steering and removes from the kernel what start and rule add put there, and nothing else; the BPF
file system stays mounted. Sockets that are bound stay so until they close. Rules are forgotten: domain-route rule list > FILE keeps them.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			done, err := dataplane.Stop()
			if err != nil {
				return err
			}
			return a.print("Stop", stopResult{done.Was, done.Rules}, func() {
				switch {
				case !done.Was:
					a.warn("was not started")
				case done.Rules > 0:
					a.warn("stopped; rules forgotten: %d", done.Rules)
				default:
					a.warn("stopped")
				}
			})
		},
	}
}
