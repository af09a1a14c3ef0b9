package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/cli"
	"github.com/domain-route/domain-route/internal/ruleio"
)

// each calls f for each command that a user may see.
func each(cmd *cobra.Command, f func(*cobra.Command)) {
	if cmd.Hidden {
		return
	}
	f(cmd)
	for _, c := range cmd.Commands() {
		each(c, f)
	}
}

// rendered is a page as man shows it, without a line's end in it.
func rendered(t *testing.T, name string) string {
	t.Helper()
	_, err := exec.LookPath("mandoc")
	harness.Need(t, err == nil, "mandoc")
	dir := t.TempDir()
	if err := write(dir, "1", "2026-11-23"); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("mandoc", "-Tutf8", "-Owidth=1000", filepath.Join(dir, name)).Output()
	if err != nil {
		t.Fatalf("mandoc: %v", err)
	}
	return regexp.MustCompile(".\b").ReplaceAllString(string(out), "") // bold and underlined
}

// sectionOf is what stands below a heading.
func sectionOf(page, heading string) string {
	var section []string
	indent := -1
	for line := range strings.Lines(page) {
		in := len(line) - len(strings.TrimLeft(line, " "))
		switch {
		case indent < 0 && strings.TrimSpace(line) == heading:
			indent = in
		case indent >= 0 && in <= indent && strings.TrimSpace(line) != "":
			return strings.Join(section, "")
		case indent >= 0:
			section = append(section, line)
		}
	}
	return strings.Join(section, "")
}

// Every command and every flag has its place in the page.
func TestCommands(t *testing.T) {
	page := rendered(t, "domain-route.8")
	root := cli.Commands()
	n := 0
	each(root, func(cmd *cobra.Command) {
		if cmd.HasSubCommands() {
			return
		}
		n++
		heading := strings.TrimSuffix(strings.TrimPrefix(cmd.UseLine(), "domain-route "), " [flags]")
		section := sectionOf(page, heading)
		if section == "" {
			t.Errorf("no section %q", heading)
			return
		}
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !f.Hidden && !strings.Contains(section, "--"+f.Name) {
				t.Errorf("%s: no flag --%s", heading, f.Name)
			}
		})
	})
	if n < 15 {
		t.Errorf("%d commands only: is the walk broken?", n)
	}
}

// Whatever the pages and what was written by hand says of commands and flags is so.
func TestNothingStale(t *testing.T) {
	root := cli.Commands()
	commands, flags := map[string]bool{"": true}, map[string]bool{}
	each(root, func(cmd *cobra.Command) {
		commands[strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), "domain-route"), " ")] = true
		for _, set := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
			set.VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
		}
	})
	for name, text := range map[string]string{"domain-route.8.md": program, "domain-route.conf.5.md": configuration} {
		for _, m := range regexp.MustCompile(`(?m)(?:^ {4}|\*\*|\x60)domain-route ([a-z]+)(?: ([a-z]+))?`).FindAllStringSubmatch(text, -1) {
			if !commands[m[1]] {
				t.Errorf("%s: there is no command %q", name, m[0])
			}
			if m[1] == "rule" && !commands[m[1]+" "+m[2]] {
				t.Errorf("%s: there is no command %q", name, m[0])
			}
		}
		for _, m := range regexp.MustCompile(`--([a-z][a-z-]+)`).FindAllStringSubmatch(text, -1) {
			if !flags[m[1]] {
				t.Errorf("%s: there is no flag %s", name, m[0])
			}
		}
	}
}

// No Markdown is left in what a reader sees.
func TestNoMarkup(t *testing.T) {
	for name := range pages("1", "2026-11-23") {
		for _, m := range regexp.MustCompile("(?m)^.*(\\\\[^\\s]|\\*\\*|####|```).*$").FindAllString(rendered(t, name), -1) {
			t.Errorf("%s: %s", name, strings.TrimSpace(m))
		}
	}
}

// Exactly the exit codes there are.
func TestExitCodes(t *testing.T) {
	_, section, _ := strings.Cut(program, "# EXIT STATUS\n")
	section, _, _ = strings.Cut(section, "\n# ")
	var got []int
	for _, m := range regexp.MustCompile(`(?m)^\*\*(\d)\*\*$`).FindAllStringSubmatch(section, -1) {
		n, _ := strconv.Atoi(m[1])
		got = append(got, n)
	}
	if diff := cmp.Diff([]int{cli.ExitDone, cli.ExitNo, cli.ExitUsage, cli.ExitRefused}, got); diff != "" {
		t.Errorf("-there are, +in the page:\n%s", diff)
	}
}

// Exactly the keys of the configuration that its schema has.
func TestKeys(t *testing.T) {
	text, err := ruleio.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	keys(schema, "", want)
	got := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\*\*[a-z., *]+\*\*$`).FindAllString(configuration, -1) {
		for _, key := range strings.Split(strings.ReplaceAll(m, "*", ""), ", ") {
			got[key] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 15 {
		t.Errorf("-in the schema, +in the page:\n%s", diff)
	}
}

// keys notes the keys that a schema has, those of rules, lists and so on after a dot. Targets have the same wherever they are.
func keys(schema any, above string, into map[string]bool) {
	switch s := schema.(type) {
	case []any:
		for _, x := range s {
			keys(x, above, into)
		}
	case map[string]any:
		for name, x := range s {
			if name != "properties" {
				if !slices.Contains([]string{"if", "then", "not", "allOf", "oneOf"}, name) {
					keys(x, above, into)
				}
				continue
			}
			for key, value := range x.(map[string]any) {
				path := strings.TrimPrefix(above+"."+key, ".")
				into[path] = true
				if key == "target" {
					path = "targets"
				}
				keys(value, path, into)
			}
		}
	}
}

// mandoc finds nothing worse than long lines in the sources.
func TestLint(t *testing.T) {
	_, err := exec.LookPath("mandoc")
	harness.Need(t, err == nil, "mandoc")
	dir := t.TempDir()
	if err := write(dir, "1", "2026-11-23"); err != nil {
		t.Fatal(err)
	}
	for name := range pages("1", "2026-11-23") {
		if out, err := exec.Command("mandoc", "-Tlint", "-Wwarning", filepath.Join(dir, name)).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
