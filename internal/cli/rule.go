package cli

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/net/publicsuffix"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

type ruleRow struct {
	Pattern string `json:"pattern"`
	Target  string `json:"target"`
}

type ruleAdded struct {
	Pattern  string   `json:"pattern"`
	Target   string   `json:"target"`
	Replaced string   `json:"replaced,omitempty"` // the former target
	DryRun   bool     `json:"dry_run"`            // nothing is added or replaced
	Warnings []string `json:"warnings"`

	Reset *resetList `json:"reset,omitempty"` // --reset
}

type ruleDeleted struct {
	Pattern string     `json:"pattern"`
	Target  string     `json:"target,omitempty"` // that it had, if there was a rule
	Deleted bool       `json:"deleted"`
	DryRun  bool       `json:"dry_run"`         // nothing is deleted
	Reset   *resetList `json:"reset,omitempty"` // --reset
}

func (a *app) rule() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rule",
		Short: "Add, delete and list rules",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageError{fmt.Errorf("rule needs one of add, del, list; see: %s --help", cmd.CommandPath())}
		},
	}
	cmd.AddCommand(a.ruleAdd(), a.ruleDel(), a.ruleList())
	return cmd
}

func (a *app) ruleAdd() *cobra.Command {
	var flags resetFlags
	cmd := &cobra.Command{
		Use:   "add PATTERN TARGET",
		Short: "Add a rule, or replace the one with the same pattern",
		Long: `Patterns; the most specific one wins:
    example.com      it and every subdomain
    *.example.com    subdomains only
    =example.com     exactly it
    default, or .    everything else; loopback, link-local, multicast and private addresses are left alone

Targets:
    wg0              an interface by name; it need not exist yet. While it does not, connections fail
    3                an interface by its index now; its name is kept
    wg0,wwan0        the first that exists; connections fail while none does (wg0,block says the same)
    wg0,direct       the same, but while none exists connections are left alone
    direct           leave connections alone
    block            refuse connections
    mark:0x23        set the socket's mark, for "ip rule ... fwmark 0x23" of your own`,
		Example:           "  domain-route rule add example.com wg0\n  domain-route rule add default wwan0",
		Args:              args(2, 2),
		ValidArgsFunction: completeRuleAdd,
		RunE: func(_ *cobra.Command, given []string) error {
			p, err := pattern.Parse(given[0])
			if err != nil {
				return err
			}
			return withSystem(func(s *dataplane.System) error {
				t, err := parseTarget(given[1], s)
				if err != nil {
					return err
				}
				return a.addRule(s, ruleset.Rule{Pattern: p, Target: t}, flags)
			})
		},
	}
	flags.define(cmd)
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
	change := ruleAdded{Pattern: r.Pattern.String(), Target: r.Target.String(), DryRun: flags.dry}
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
	change.Warnings = warnings(r, s.AtHome())
	for _, w := range change.Warnings {
		a.warn("warning: %s", w)
	}
	err = a.print("RuleChange", change, func() {
		if replaced && old != r.Target && !flags.dry {
			a.warn("replaced: %s was %s", change.Pattern, change.Replaced)
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

// warnings tells what is allowed but may surprise.
func warnings(r ruleset.Rule, home bool) []string {
	all := []string{}
	if name := r.Pattern.Name.String(); r.Pattern.Kind != pattern.Default && r.Pattern.Kind != pattern.Exact {
		if suffix, icann := publicsuffix.PublicSuffix(name); suffix == name && icann {
			all = append(all, name+" is a public suffix: the rule is for everybody's names below it")
		}
	}
	if !home {
		return append(all, "interface names are those of the network namespace that start ran in, which is not this one")
	}
	for _, name := range r.Target.Chain() {
		d, err := netdev.ByName(name)
		if errors.Is(err, netdev.ErrNoDevice) {
			all = append(all, fmt.Sprintf("interface %s does not exist now; until it does, what the rule sends there fails", name))
			continue
		}
		if err != nil {
			continue
		}
		if setting, strict := netdev.StrictReversePath(name); strict {
			all = append(all, fmt.Sprintf("the kernel drops IPv4 answers by %s (rp_filter is 1); let them in: sysctl -w %s=2", name, setting))
		}
		if d.Tun {
			all = append(all, name+" is a tun device: the program behind it must not be steered by this rule itself; except its server: "+
				"domain-route rule add =SERVER direct")
		}
		if lacks, err := netdev.LacksDefaultRoute(d); err == nil && lacks {
			all = append(all, fmt.Sprintf("no IPv4 default route by %s, so only its own network can be reached; add one: "+
				"ip route add default via GATEWAY dev %s metric 9999", name, name))
		}
	}
	return all
}

func (a *app) ruleDel() *cobra.Command {
	var flags resetFlags
	cmd := &cobra.Command{
		Use:               "del PATTERN",
		Aliases:           []string{"delete"},
		Short:             "Delete a rule",
		Args:              args(1, 1),
		ValidArgsFunction: completePatterns,
		RunE: func(_ *cobra.Command, given []string) error {
			p, err := pattern.Parse(given[0])
			if err != nil {
				return err
			}
			return withSystem(func(s *dataplane.System) error { return a.delRule(s, p, flags) })
		},
	}
	flags.define(cmd)
	return cmd
}

func (a *app) delRule(s *dataplane.System, p pattern.Pattern, flags resetFlags) error {
	if err := flags.check(s); err != nil {
		return err
	}
	set, err := s.Rules()
	if err != nil {
		return err
	}
	old, there := set.Get(p, ruleset.Condition{})
	set.Del(p, ruleset.Condition{})
	change := ruleDeleted{Pattern: p.String(), Deleted: there && !flags.dry, DryRun: flags.dry}
	var failed error
	if there {
		change.Target = old.String()
		if !flags.dry {
			if err := s.SetRules(set); err != nil {
				return err
			}
		}
		change.Reset, failed = flags.close(s, set, p)
	}
	if err := a.print("RuleChange", change, func() { a.printReset(change.Reset, failed) }); err != nil || there {
		return cmp.Or(err, failed)
	}
	a.warn("no rule for %s", p)
	return errNo
}

func (a *app) ruleList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the rules, one a line: PATTERN TARGET",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			return withSystem(func(s *dataplane.System) error {
				set, err := s.Rules()
				if err != nil {
					return err
				}
				rows := []ruleRow{}
				for _, r := range set.Rules() {
					rows = append(rows, ruleRow{r.Pattern.String(), r.Target.String()})
				}
				return a.print("RuleList", map[string]any{"rules": rows}, func() {
					for _, r := range rows {
						fmt.Fprintln(a.Stdout, r.Pattern, r.Target)
					}
				})
			})
		},
	}
}

// completeRuleAdd offers the patterns and the interfaces there are.
func completeRuleAdd(cmd *cobra.Command, given []string, start string) ([]string, cobra.ShellCompDirective) {
	if len(given) == 0 {
		return completePatterns(cmd, given, start)
	}
	words := []string{"direct", "block", "mark:"}
	if devices, err := netdev.List(); err == nil && len(given) == 1 {
		for _, d := range devices {
			if !d.Loopback {
				words = append(words, d.Name)
			}
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

func completePatterns(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	var words []string
	if len(given) == 0 {
		words = presentPatterns()
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// presentPatterns is for completion: nothing is waited for, and what fails gives none.
func presentPatterns() []string {
	s, err := dataplane.Peek()
	if err != nil {
		return nil
	}
	defer s.Close()
	set, err := s.Rules()
	if err != nil {
		return nil
	}
	var words []string
	for _, r := range set.Rules() {
		words = append(words, r.Pattern.String())
	}
	return words
}
