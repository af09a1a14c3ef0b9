package cli

import (
	"cmp"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleio"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// applyOptions say what to do with a rule set that was read.
type applyOptions struct {
	kind   string // of what is printed; empty: Apply
	dry    bool
	keep   bool // rules that the new set has no word about
	strict bool
	reset  bool
	empty  bool // that no rule is left is meant, and so is a list without any
	quiet  bool // do not say what changes, nor what is found each time
}

// applied is what came of it.
type applied struct {
	counts
	dry      bool
	from, to *ruleset.Set // the same where nothing changes
	rules    int
	warnings []string
	settings []setting // of the configuration, that run otherwise
	reset    *resetList
	failed   error // closing connections; the rules are as wanted
}

type applyResult struct {
	DryRun bool `json:"dry_run"` // nothing is changed
	counts
	Rules    int                 `json:"rules"`  // then
	Cached   bool                `json:"cached"` // they were read from the cache
	Findings []ruleio.Finding    `json:"findings"`
	Counts   map[ruleio.Kind]int `json:"finding_counts"` // all of each kind; findings has the first
	Lists    []ruleio.ListReport `json:"lists"`
	Settings []setting           `json:"settings"` // of the configuration, that run otherwise: they are for start
	Warnings []string            `json:"warnings"`
	Reset    *resetList          `json:"reset,omitempty"` // --reset
}

func (a *app) apply() *cobra.Command {
	var o applyOptions
	var file, prune string
	var all bool
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Put the configuration's rules in force, all at once; say what changes",
		Long: `Makes the rules those of the configuration: computes the whole set, says what differs from the rules that run,
and puts it in force in one step, or changes nothing at all if there is any error. On standard output:
    + PATTERN TARGET          added
    - PATTERN TARGET          deleted
    ~ PATTERN TARGET -> NEW   changed
On a terminal the first 20 of each, elsewhere all. What lists hold that rules cannot say, and rules that get in each other's
way, are told on standard error, with file and line; of each kind the first 20, or with --all the first 10,000. --quiet leaves out both, and tells in a line how many of them there are.

Refused, as an accident, unless --allow-empty is given: a list that gives no rule at all, as after a download that failed,
and a configuration or file without any rule while rules run. The line "# no rules" of rule list is meant.

-f reads one other file instead: one of the form of the configuration, or rules as domain-route rule list prints them.
What a configuration says of observers, history and the cgroup is for domain-route start, not for this, which warns where
that differs from what runs.`,
		Example: "  domain-route apply --dry-run\n  domain-route rule list | domain-route apply -f -",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			if prune != "yes" && prune != "no" {
				return usageError{fmt.Errorf("--prune=%s: it is yes or no", prune)}
			}
			o.keep = prune == "no"
			bar := a.progressOf("reading rules", file)
			defer bar.end()
			l, err := a.readRules(file, loadOptions{bar: bar, thorough: o.dry, all: all})
			if err == nil {
				err = l.refuseEmptyLists(o.empty)
			}
			if err != nil {
				return err
			}
			o.empty = o.empty || l.meantEmpty
			return a.applyRules(l, o, bar)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "read this `file` in place of the configuration; - is standard input")
	cmd.Flags().BoolVar(&o.dry, "dry-run", false, "change nothing, only say what would")
	cmd.Flags().StringVar(&prune, "prune", "yes", "`yes|no`: delete the running rules that are not among the new ones")
	cmd.Flags().BoolVar(&o.strict, "strict", false, "refuse rules for public suffixes, such as com or co.uk; and lists that give no rule, --allow-empty or not")
	cmd.Flags().BoolVar(&o.empty, "allow-empty", false, "take lists that give no rule, and leave no rule at all if there is none")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "do not list changes, nor what is found in rules and lists: only warnings and sums")
	cmd.Flags().BoolVar(&all, "all", false, "tell more than the first 20 findings of each kind: 10,000")
	cmd.Flags().BoolVar(&o.reset, "reset", false, "then close the connections that would now go elsewhere; see: domain-route reset --help")
	_ = cmd.RegisterFlagCompletionFunc("prune", cobra.FixedCompletions([]string{"yes", "no"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// applyRules puts rules that were read in force and says what that changed.
func (a *app) applyRules(l *loaded, o applyOptions, bar *progress) error {
	bar.end()
	switch {
	case a.output == "json":
	case o.quiet:
		a.hintAtFindings(l)
	default:
		a.printFindings(l)
	}
	if err := l.refused(o.strict); err != nil {
		return err
	}
	if l.keep != nil && !o.dry {
		l.keep()
	}
	bar = bar.again("putting rules in force")
	defer bar.end()
	var done applied
	err := withSystem(func(s *dataplane.System) (err error) {
		done, err = swap(s, l, o)
		return err
	})
	bar.end()
	if err != nil {
		return err
	}
	for _, w := range done.warnings {
		a.warn("warning: %s", w)
	}
	if o.quiet {
		done.from = done.to
	}
	result := applyResult{DryRun: o.dry, counts: done.counts, Rules: done.rules, Cached: l.cached, Findings: notNil(l.Findings), Counts: l.counts(), Lists: notNil(l.Lists),
		Settings: notNil(done.settings), Warnings: notNil(done.warnings), Reset: done.reset}
	err = printList(a, cmp.Or(o.kind, "Apply"), result, "changes", each(done.from.Changes(done.to), changeRowOf), func() {
		a.printChanges(done.from, done.to, done.counts)
		a.printReset(done.reset, done.failed)
		a.warn("%s", done)
	})
	if err != nil {
		a.warn("%s", done) // which the output would have told
	}
	return cmp.Or(err, done.failed)
}

// swap makes the running rules what was read, unless they are that already.
func swap(s *dataplane.System, l *loaded, o applyOptions) (done applied, err error) {
	if o.reset && !s.AtHome() {
		return done, errResetAway
	}
	done = applied{dry: o.dry, from: l.Rules, to: l.Rules}
	running, err := s.Digest()
	if err != nil {
		return done, err
	}
	if done.settings, err = l.runningSettings(s); err != nil {
		return done, err
	}
	if running != l.digest() {
		if done.from, err = s.Rules(); err != nil {
			return done, err
		}
		if o.keep {
			addMissing(done.to, done.from)
		}
		var targets []ruleset.Target
		if done.to.Len() == 0 && !o.empty {
			return done, errAllGone(done.from.Len())
		}
		done.counts, targets = tally(done.from, done.to)
		done.warnings = targetWarnings(targets, s.AtHome())
	}
	done.warnings = append(done.warnings, settingWarnings(done.settings)...)
	done.rules = done.to.Len()
	if done.any() {
		put := s.SetRules
		if o.dry {
			put = s.CheckRules
		}
		if err := put(done.to); err != nil {
			return done, err
		}
	}
	if o.reset {
		done.reset, done.failed = resetAfter(s, done.to, o.dry)
	}
	return done, nil
}

// addMissing adds those rules that a set has no word about.
func addMissing(to, from *ruleset.Set) {
	for r := range from.All() {
		if _, there := to.Get(r.Pattern, r.Condition); !there {
			to.Add(r)
		}
	}
}

// resetAfter closes, or lists, what a rule set has elsewhere.
func resetAfter(s *dataplane.System, set *ruleset.Set, dry bool) (*resetList, error) {
	flags := resetFlags{reset: true, dry: dry}
	return flags.close(s, set, pattern.Pattern{Kind: pattern.Default, Name: pattern.Root})
}

// String sums it up.
func (d applied) String() string {
	switch {
	case !d.any():
		return fmt.Sprintf("nothing to change; rules: %d", d.rules)
	case d.dry:
		return fmt.Sprintf("dry run, nothing is changed; would be added: %d, deleted: %d, changed: %d; rules then: %d", d.Added, d.Removed, d.Changed, d.rules)
	}
	return fmt.Sprintf("applied; added: %d, deleted: %d, changed: %d; rules: %d", d.Added, d.Removed, d.Changed, d.rules)
}
