package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/listformat"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

type exportResult struct {
	Format  listformat.Format    `json:"format"`
	Items   int                  `json:"items"`
	Skipped []listformat.Skipped `json:"skipped"` // what the format cannot say
	List    string               `json:"list"`
}

func (a *app) export() *cobra.Command {
	var format, target, match string
	var o listformat.WriteOptions
	cmd := &cobra.Command{
		Use:   "export --format FORMAT [--target TARGET]",
		Short: "Print the running rules as a list for other tools",
		Long: `Prints the patterns of the running rules, or of those with one target, as a list: plain, hosts, dnsmasq, adblock, v2fly,
geosite, sing-box, clash-domain or clash-classical. What the format cannot say, and rules that are only for some programs,
are left out and counted on standard error.`,
		Example: "  domain-route export --format sing-box --target wg0 > wg0.json\n" +
			"  domain-route export --format dnsmasq --target wg0 --value nftset=4#inet#fw4#wg0",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if format == "" {
				return usageError{fmt.Errorf("what is the list to be? give --format, one of %s", strings.Join(formats, ", "))}
			}
			if o.Format, err = knownFormat(format); err != nil {
				return err
			}
			if err := onlyFor(cmd, o.Format); err != nil {
				return err
			}
			if o.Format == listformat.Geosite && a.output == "json" {
				return usageError{errors.New("a geosite.dat is no text, and cannot be a part of JSON; without -o json it is written to standard output")}
			}
			if o.Format == listformat.Geosite && a.Terminal {
				return usageError{errors.New("a geosite.dat is no text, and standard output is a terminal; write it to a file: domain-route export ... > geosite.dat")}
			}
			if match != "suffix" && match != "exact" {
				return usageError{fmt.Errorf("--match %q: it is suffix or exact", match)}
			}
			o.Exact = match == "exact"
			var only ruleset.Target
			if target != "" {
				if only, err = ruleset.ParseTarget(target); err != nil {
					return err
				}
			}
			set, err := runningRules()
			if err != nil {
				return err
			}
			if no := lacksTarget(set, only); no != "" {
				a.warn("%s", no)
				return errNo
			}
			return a.exportRules(set, only, o)
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "`format` of the list")
	cmd.Flags().StringVarP(&target, "target", "t", "", "only rules with this `target`")
	cmd.Flags().StringVar(&match, "match", "suffix", "plain: what a bare name is to mean, `suffix|exact`")
	cmd.Flags().StringVar(&o.Category, "category", "DOMAIN-ROUTE", "geosite: the `name` of the list")
	cmd.Flags().StringVar(&o.Value, "value", "", "dnsmasq: the `option` around the names, such as server=192.0.2.53 or ipset=SET")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// lacksTarget says that no rule has the target that is asked for, and which there are; "" if one has it.
func lacksTarget(set *ruleset.Set, only ruleset.Target) string {
	if only == (ruleset.Target{}) {
		return ""
	}
	var others []string
	seen := map[ruleset.Target]bool{}
	for r := range set.All() {
		if r.Target == only {
			return ""
		}
		if !seen[r.Target] {
			seen[r.Target] = true
			others = append(others, r.Target.String())
		}
	}
	if len(others) == 0 {
		return fmt.Sprintf("no rule has the target %s: there are no rules", only)
	}
	const most = 20
	text := strings.Join(others[:min(len(others), most)], ", ")
	if more := len(others) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("no rule has the target %s; those there are: %s", only, text)
}

// onlyFor refuses flags of other formats.
func onlyFor(cmd *cobra.Command, format listformat.Format) error {
	for _, only := range []struct {
		flag   string
		format listformat.Format
	}{{"match", listformat.Plain}, {"category", listformat.Geosite}, {"value", listformat.Dnsmasq}} {
		if cmd.Flags().Changed(only.flag) && format != only.format {
			return usageError{fmt.Errorf("--%s is for the format %s, not for %s", only.flag, only.format, format)}
		}
	}
	return nil
}

// exportRules prints a list. As JSON it is a member of what is printed.
func (a *app) exportRules(set *ruleset.Set, only ruleset.Target, o listformat.WriteOptions) error {
	conditional := 0
	targets := map[ruleset.Target]bool{}
	var patterns iter.Seq[pattern.Pattern] = func(yield func(pattern.Pattern) bool) {
		for r := range set.All() {
			switch {
			case only != ruleset.Target{} && r.Target != only:
				continue
			case r.Condition != ruleset.Condition{}:
				conditional++
				continue
			}
			targets[r.Target] = true
			if !yield(r.Pattern) {
				return
			}
		}
	}
	var kept bytes.Buffer
	var w io.Writer = &kept
	if a.output != "json" {
		w = a.Stdout
	}
	report, err := listformat.Write(w, o, patterns)
	if err != nil {
		return err
	}
	if conditional > 0 {
		report.Skipped = append(report.Skipped, listformat.Skipped{Kind: "rule with a condition", Count: conditional, Lines: []int{}})
	}
	for _, s := range report.Skipped {
		a.warn("left out, since %s cannot say it: %d of %s%s", o.Format.List(), s.Count, s.Kind, strings.TrimSuffix(", first: "+s.First, ", first: "))
	}
	if len(targets) > 1 {
		a.warn("warning: the list has the names of rules with %d different targets; to choose one: --target", len(targets))
	}
	return a.print("Export", exportResult{o.Format, report.Items, notNil(report.Skipped), kept.String()}, func() {})
}
