package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/ruleset"
	"github.com/domain-route/domain-route/internal/warm"
)

// warmHelp is what start's help says about it.
const warmHelp = `

So that nothing has to be asked for again first, it then takes over systemd-resolved's cache (systemd 254 or
later), flushes the caches of systemd-resolved, nscd, dnsmasq and unbound that run in this network namespace
(--flush=no leaves them), and looks up once the names of the rules for NAME and =NAME, for 1.8 seconds at most; not
those of block and direct. If there are more than 100, it looks up the first 100 that stand in the configuration's
own files, and none of its lists. All of it takes 3 seconds at most. What fails there is told, and does not matter
otherwise.`

// warmStart is how start warms up.
type warmStart struct {
	flush   string
	written []ruleset.Rule // those in the configuration's own files
}

func (w *warmStart) flags(cmd *cobra.Command) {
	cmd.Long += warmHelp
	cmd.Flags().StringVar(&w.flush, "flush", "yes", "`yes|no`: have local resolvers forget their caches")
	_ = cmd.RegisterFlagCompletionFunc("flush", cobra.FixedCompletions([]string{"yes", "no"}, cobra.ShellCompDirectiveNoFileComp))
}

func (w *warmStart) check() error {
	if w.flush != "yes" && w.flush != "no" {
		return usageError{fmt.Errorf("--flush %q: it is yes or no", w.flush)}
	}
	return nil
}

// run takes the steps of a warm start. In text each is told as it is done.
func (w *warmStart) run(a *app, bare bool) []warm.Step {
	var steps []warm.Step
	o := warm.Options{Flush: w.flush == "yes", Teach: teach, Names: w.names}
	if bare {
		o.Names = func() (warm.Choice, error) { return warm.Choice{}, nil } // there are no rules
	}
	warm.Run(context.Background(), o, func(s warm.Step) {
		steps = append(steps, s)
		if a.output != "json" {
			a.warn("%s", s)
		}
	})
	return steps
}

// teach has the host learn. The lock is not held while others are waited for.
func teach(ctx context.Context, facts []warm.Fact) error {
	return withSystem(func(s *dataplane.System) error {
		var failed error // the first; one odd name does not keep the others from being taught
		for _, f := range facts {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := s.Teach(f.Name, f.Addrs, f.TTL); err != nil {
				failed = cmp.Or(failed, err)
			}
		}
		return failed
	})
}

// rulesForNames is how many running rules are looked through for names. Where there are more, they are of lists.
const rulesForNames = 10000

// names chooses those to look up.
func (w *warmStart) names() (c warm.Choice, err error) {
	err = withSystem(func(s *dataplane.System) error {
		rules, all, err := s.FirstRules(rulesForNames)
		c = warm.Choose(w.written, rules, all-len(rules))
		return err
	})
	if errors.Is(err, dataplane.ErrNotStarted) {
		return warm.Choice{}, errors.New("stopped meanwhile")
	}
	return c, err
}
