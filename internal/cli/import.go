package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/listformat"
	"github.com/domain-route/domain-route/internal/ruleio"
)

// importOptions are what the flags of import say.
type importOptions struct {
	target, format, match, category string
	attributes                      []string
	to                              string
	categories                      bool
	apply                           applyOptions
}

// formats are all list formats, as --format takes them.
var formats = func() (all []string) {
	for _, f := range listformat.Formats() {
		all = append(all, string(f))
	}
	return all
}()

func (a *app) importLists() *cobra.Command {
	o := importOptions{apply: applyOptions{kind: "Import", keep: true}}
	cmd := &cobra.Command{
		Use:   "import {FILE... --target TARGET | --categories FILE}",
		Short: "Add rules for all names of lists, as other tools have them",
		Long: `Reads lists of names and adds a rule with the target for each of their patterns, all in one step; - is standard
input. Formats: ` + strings.Join(formats, ", ") + `; without --format
it is guessed, and said. In a plain list --match says what a bare name means: suffix, it and its subdomains, or exact. What
rules cannot say (keywords, regular expressions, ports) is counted and never widened. What a list makes an exception gets
the target direct. Files may be compressed with gzip or zstd.

--to running (the default) changes the rules that run. --to config copies the patterns to lists/NAME.txt beside the
configuration, and adds config.d/50-NAME.yaml that names it, or replaces what an earlier import wrote there;
domain-route apply puts that in force.

--categories lists what a geosite.dat has for --category, one a line, and changes nothing.`,
		Example: "  domain-route import --target wg0 --format dnsmasq accelerated-domains.china.conf\n" +
			"  domain-route import --target wg0 --category cn --to config geosite.dat",
		Args: func(cmd *cobra.Command, given []string) error {
			if len(given) == 0 {
				return usageError{fmt.Errorf("wrong number of arguments; usage: %s", cmd.UseLine())}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, given []string) error {
			if err := o.check(given); err != nil {
				return err
			}
			bar := a.progressOf("reading lists", given...)
			defer bar.end()
			if o.categories {
				return a.listCategories(given[0], bar)
			}
			if o.to == "config" {
				return a.importToConfig(given, o, bar)
			}
			l, err := a.readLists(given, o, bar)
			if err != nil {
				return err
			}
			return a.applyRules(l, o.apply, bar)
		},
	}
	o.flags(cmd)
	return cmd
}

// check refuses what does not go together.
func (o *importOptions) check(files []string) error {
	one := func(f string) bool { return f == standardInput }
	if first := slices.IndexFunc(files, one); first >= 0 && slices.ContainsFunc(files[first+1:], one) {
		return usageError{errors.New("standard input can be read once only")}
	}
	switch {
	case o.categories && (o.target != "" || len(files) > 1):
		return usageError{errors.New("--categories takes one file and no --target; it only lists what the file has")}
	case !o.categories && o.target == "":
		return usageError{errors.New("where are the names to go? give --target")}
	case o.to != "running" && o.to != "config":
		return usageError{fmt.Errorf("--to %q: it is running or config", o.to)}
	}
	return nil
}

func (o *importOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&o.target, "target", "t", "", "where the names go: a `target` as of rule add")
	f.StringVar(&o.format, "format", "", "`format` of the lists (default: guessed)")
	f.StringVar(&o.match, "match", "", "plain lists: a bare name is `suffix|exact`")
	f.StringVar(&o.category, "category", "", "geosite.dat: which `list` of it")
	f.BoolVar(&o.categories, "categories", false, "geosite.dat: list what there is for --category, and change nothing")
	f.StringSliceVar(&o.attributes, "attribute", nil, "v2fly and geosite: only entries with this `attribute`, or with !it those without")
	f.StringVar(&o.to, "to", "running", "change the rules that run, or add to the configuration: `running|config`")
	f.BoolVar(&o.apply.dry, "dry-run", false, "change nothing, only say what would")
	f.BoolVar(&o.apply.strict, "strict", false, "refuse rules for public suffixes, such as com or co.uk")
	f.BoolVar(&o.apply.reset, "reset", false, "then close the connections that would now go elsewhere; see: domain-route reset --help")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("match", cobra.FixedCompletions([]string{"suffix", "exact"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("to", cobra.FixedCompletions([]string{"running", "config"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("target", func(cmd *cobra.Command, _ []string, start string) ([]string, cobra.ShellCompDirective) {
		return completeRuleAdd(cmd, []string{"pattern"}, start)
	})
}

// listKeys is a list in the configuration. Its JSON is YAML.
type listKeys struct {
	File       string   `json:"file"`
	Format     string   `json:"format,omitempty"`
	Match      string   `json:"match,omitempty"`
	Target     string   `json:"target"`
	Category   string   `json:"category,omitempty"`
	Attributes []string `json:"attributes,omitempty"`
}

// readLists reads lists as a configuration that has nothing else would.
func (a *app) readLists(files []string, o importOptions, bar *progress) (*loaded, error) {
	in := newInputs()
	here, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("find the current directory: %w", err)
	}
	var lists []listKeys
	stdin := filepath.Join(here, standardInput)
	for _, f := range files {
		lists = append(lists, listKeys{f, o.format, o.match, o.target, o.category, o.attributes})
	}
	text, err := json.Marshal(map[string]any{"lists": lists})
	if err != nil {
		return nil, err
	}
	f, err := ruleio.Parse(ruleio.Source{Path: filepath.Join(here, flagsPath), Data: text})
	if err != nil {
		return nil, inFlags(err, stdin)
	}
	l := &loaded{}
	if l.Config, err = ruleio.Merge([]*ruleio.File{f}); err != nil {
		return nil, inFlags(err, stdin)
	}
	with := loadOptions{bar: bar}.with(in)
	with.Open = func(path string) (io.ReadCloser, error) {
		if path == stdin {
			return io.NopCloser(a.Stdin), nil
		}
		return in.open(path)
	}
	if l.Loaded, err = l.Load(with); err != nil {
		return nil, inFlags(err, stdin)
	}
	l.nameInputs(stdin)
	return l, nil
}

// flagsPath stands for the flags among paths. No file can be called so.
const flagsPath = "import\x00"

// stdinName is what standard input is called.
const stdinName = "standard input"

// nameInputs takes out of the findings what is no path: that of standard input, and that of the flags.
func (l *loaded) nameInputs(stdin string) {
	for i := range l.Lists {
		if l.Lists[i].Path == stdin {
			l.Lists[i].Path = stdinName
		}
	}
	for i := range l.Findings {
		f := &l.Findings[i]
		for _, p := range []*ruleio.Place{&f.At, &f.Other} {
			switch {
			case p.Path == stdin:
				p.Path = stdinName
			case filepath.Base(p.Path) == flagsPath:
				*p = ruleio.Place{}
			}
		}
	}
}

// inFlags takes the place out of an error that is in no file, and says flags for keys.
func inFlags(err error, stdin string) error {
	var e *ruleio.Error
	switch {
	case !errors.As(err, &e):
		return err
	case e.Path == stdin:
		named := *e
		named.Path = stdinName
		return &named
	case filepath.Base(e.Path) != flagsPath:
		return err
	}
	flags := strings.NewReplacer(stdin, stdinName, `add a key "format": one of`, "say --format, one of",
		`"match: suffix"`, "--match suffix", `"match: exact"`, "--match exact")
	return usageError{errors.New(flags.Replace(e.Reason))}
}

// knownFormat is a format of ours.
func knownFormat(name string) (listformat.Format, error) {
	if slices.Contains(formats, name) {
		return listformat.Format(name), nil
	}
	return "", usageError{fmt.Errorf("--format %q: it is one of %s", name, strings.Join(formats, ", "))}
}
