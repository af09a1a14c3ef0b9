package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// resetFlags are those of the commands that change rules.
type resetFlags struct{ reset, dry bool }

func (f *resetFlags) define(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.reset, "reset", false,
		"then close the connections to names of the pattern that would now go elsewhere; see: domain-route reset --help")
	cmd.Flags().BoolVar(&f.dry, "dry-run", false, "with --reset: change nothing, only list what would be closed")
}

func (f *resetFlags) check(s *dataplane.System) error {
	switch {
	case f.dry && !f.reset:
		return usageError{errors.New("--dry-run lists what --reset would close; give both")}
	case f.reset && !s.AtHome():
		return errResetAway
	}
	return nil
}

// close closes the connections to a pattern's names, if that is wanted, now that a rule set is in force. With --dry-run
// it is not, and they are only listed. What was closed before a failure is returned with it.
func (f *resetFlags) close(s *dataplane.System, set *ruleset.Set, p pattern.Pattern) (*resetList, error) {
	if !f.reset {
		return nil, nil
	}
	if f.dry {
		return resetPlanned(s, set, p)
	}
	list, err := resetNow(s, p, false)
	if err != nil {
		err = fmt.Errorf("the rules are as wanted, but not all connections could be closed: %w", err)
	}
	return list, err
}

// resetPlanned lists what would be closed under a rule set that is not in force.
func resetPlanned(s *dataplane.System, set *ruleset.Set, p pattern.Pattern) (*resetList, error) {
	planned := func(find dataplane.Finder) (*dataplane.Judge, error) { return s.JudgePlanned(set, find) }
	rows, err := misplaced(s, planned, p)
	if err != nil {
		return nil, err
	}
	return &resetList{DryRun: true, Sockets: rows}, nil
}
