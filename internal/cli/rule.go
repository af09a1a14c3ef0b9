package cli

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/ruleset"
)

type ruleAdded struct {
	ruleRow
	Replaced string   `json:"replaced,omitempty"` // the former target
	DryRun   bool     `json:"dry_run"`            // nothing is added or replaced
	Warnings []string `json:"warnings"`

	Reset *resetList `json:"reset,omitempty"` // --reset
}

type ruleDeleted struct {
	Pattern string     `json:"pattern"`
	User    *uint32    `json:"user,omitempty"`
	Cgroup  string     `json:"cgroup,omitempty"`
	Target  string     `json:"target,omitempty"` // that it had, if there was a rule
	Deleted bool       `json:"deleted"`
	DryRun  bool       `json:"dry_run"`         // nothing is deleted
	Reset   *resetList `json:"reset,omitempty"` // --reset
}

func (a *app) rule() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rule",
		Short: "Add, delete, list and save rules",
		Args:  noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("rule needs one of add, del, list, save; see: %s --help", cmd.CommandPath())}
		},
	}
	cmd.AddCommand(a.ruleAdd(), a.ruleDel(), a.ruleList(), a.ruleSave())
	return cmd
}

func (a *app) ruleAdd() *cobra.Command {
	var flags resetFlags
	var strict bool
	cmd := &cobra.Command{
		Use:   "add PATTERN TARGET [user=NAME|UID] [cgroup=PATH]",
		Short: "Add a rule, or replace the one with the same pattern and condition",
		Long: `Patterns; the most specific one wins, and one of names before one of addresses:
    example.com      it and every subdomain
    *.example.com    subdomains only
    =example.com     exactly it
    192.0.2.0/24     addresses, whatever their names; 2001:db8::/32, or one address
    default, or .    everything else; loopback, link-local, multicast and private addresses are left alone

Targets:
    wg0              an interface by name; it need not exist yet. While it does not, connections fail
    3                an interface by its index now; its name is kept
    wg0,wwan0        the first that exists; connections fail while none does (wg0,block says the same)
    wg0,direct       the same, but while none exists connections are left alone
    direct           leave connections alone
    block            refuse connections
    mark:0x23        set the socket's mark, for "ip rule ... fwmark 0x23" of your own

Conditions: the rule is only for
    user=NAME        programs of this user; the number is kept
    cgroup=PATH      programs in this cgroup or below it, such as cgroup=/system.slice/foo.service; it need not exist yet
A rule with a condition comes before one without for the same pattern, cgroup before user.`,
		Example: "  domain-route rule add example.com wg0\n  domain-route rule add default wwan0\n" +
			"  domain-route rule add example.com wg0 cgroup=/system.slice/foo.service",
		Args:              args(2, 4),
		ValidArgsFunction: completeRuleAdd,
		RunE: func(_ *cobra.Command, given []string) error {
			p, err := parsePattern(given[0])
			if err != nil {
				return err
			}
			if err := chainMeant(given[1:]); err != nil {
				return err
			}
			c, err := condition(given[2:])
			if err != nil {
				return err
			}
			if err := swapped(given, interfaceExists()); err != nil {
				return err
			}
			suffix, public := publicSuffix(p)
			if public && strict {
				return usageError{fmt.Errorf("%s is a public suffix: the rule would be for everybody's names below it; without --strict it is added", suffix)}
			}
			return withSystem(func(s *dataplane.System) error {
				t, err := parseTarget(given[1], s)
				if err != nil {
					return err
				}
				return a.addRule(s, ruleset.Rule{Pattern: p, Condition: c, Target: t}, flags)
			})
		},
	}
	flags.define(cmd)
	cmd.Flags().BoolVar(&strict, "strict", false, "refuse a public suffix, such as com or co.uk")
	return cmd
}

func (a *app) addRule(s *dataplane.System, r ruleset.Rule, flags resetFlags) error {
	if err := flags.check(s); err != nil {
		return err
	}
	set, err := s.Rules()
	if err != nil {
		return err
	}
	change := ruleAdded{ruleRow: rowOf(r), DryRun: flags.dry}
	old, replaced := set.Add(r)
	if replaced {
		change.Replaced = old.String()
	}
	if !flags.dry && (!replaced || old != r.Target) {
		if err := s.SetRules(set); err != nil {
			return err
		}
	}
	var failed error
	change.Reset, failed = flags.close(s, set, r.Pattern)
	change.Warnings = append(ruleWarnings(s, set, r), cgroupWarnings(s, r.Condition.Cgroup)...)
	if suffix, public := publicSuffix(r.Pattern); public {
		change.Warnings = append(change.Warnings, suffix+" is a public suffix: the rule is for everybody's names below it")
	}
	for _, w := range change.Warnings {
		a.warn("warning: %s", w)
	}
	err = a.print("RuleChange", change, func() {
		if replaced && old != r.Target && !flags.dry {
			a.warn("replaced: %s was %s", key(r), change.Replaced)
		}
		a.printReset(change.Reset, failed)
	})
	return cmp.Or(err, failed)
}

// parseTarget reads a target; a bare number is an interface's index.
func parseTarget(s string, sys *dataplane.System) (ruleset.Target, error) {
	index, err := strconv.Atoi(s)
	if err != nil {
		return ruleset.ParseTarget(s)
	}
	if !sys.AtHome() {
		return ruleset.Target{}, usageError{errors.New("an index means something only in the network namespace that start ran in; give a name")}
	}
	d, err := netdev.ByIndex(index)
	if err != nil {
		return ruleset.Target{}, err
	}
	return ruleset.ParseTarget(d.Name)
}

func (a *app) ruleDel() *cobra.Command {
	var flags resetFlags
	cmd := &cobra.Command{
		Use:               "del PATTERN [user=NAME|UID] [cgroup=PATH]",
		Aliases:           []string{"delete"},
		SuggestFor:        []string{"remove", "rm"},
		Short:             "Delete a rule",
		Args:              args(1, 3),
		ValidArgsFunction: completePatterns,
		RunE: func(_ *cobra.Command, given []string) error {
			p, err := parsePattern(given[0])
			if err != nil {
				return err
			}
			if err := noTarget(given); err != nil {
				return err
			}
			c, err := condition(given[1:])
			if err != nil {
				return err
			}
			return withSystem(func(s *dataplane.System) error {
				return a.delRule(s, ruleset.Rule{Pattern: p, Condition: c}, flags)
			})
		},
	}
	flags.define(cmd)
	return cmd
}

func (a *app) delRule(s *dataplane.System, r ruleset.Rule, flags resetFlags) error {
	if err := flags.check(s); err != nil {
		return err
	}
	set, err := s.Rules()
	if err != nil {
		return err
	}
	old, there := set.Get(r.Pattern, r.Condition)
	set.Del(r.Pattern, r.Condition)
	row := rowOf(r)
	change := ruleDeleted{Pattern: row.Pattern, User: row.User, Cgroup: row.Cgroup, Deleted: there && !flags.dry, DryRun: flags.dry}
	var failed error
	if there {
		change.Target = old.String()
		if !flags.dry {
			if err := s.SetRules(set); err != nil {
				return err
			}
		}
		change.Reset, failed = flags.close(s, set, r.Pattern)
	}
	if err := a.print("RuleChange", change, func() { a.printReset(change.Reset, failed) }); err != nil || there {
		return cmp.Or(err, failed)
	}
	a.warn("no rule for %s", key(r))
	return errNo
}
