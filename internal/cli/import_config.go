package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/hostfile"
	"github.com/domain-route/domain-route/internal/listformat"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleio"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// importedRow is a list that was copied beside the configuration.
type importedRow struct {
	Config   string              `json:"config"` // the file that names it
	Lists    []string            `json:"lists"`  // the copy, and one of its exceptions if it has some
	Patterns int                 `json:"patterns"`
	Replaced bool                `json:"replaced"` // there was one of that name
	Removed  []string            `json:"removed"`  // the former's exceptions, which this one has none of
	Read     []ruleio.ListReport `json:"read"`
	Findings []ruleio.Finding    `json:"findings"`

	files map[string][]byte
}

// importedPrefix has what is imported read before what rule save writes, which is for all that the other files say.
const importedPrefix = "50-"

// importToConfig copies lists beside the configuration. Nothing is written before all of them are read.
func (a *app) importToConfig(files []string, o importOptions, bar *progress) error {
	c, err := a.configuration()
	if err != nil {
		return err
	}
	if c.path == "" {
		return c.errNoConfiguration()
	}
	rows := []importedRow{}
	for _, file := range files {
		row, err := a.readImport(c, file, o, bar)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(rows, func(r importedRow) bool { return r.Config == row.Config }) {
			return usageError{fmt.Errorf("two lists would be %s; import them one by one, renamed", row.Config)}
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		if o.apply.dry {
			break
		}
		if err := row.write(); err != nil {
			return err
		}
	}
	return a.print("Import", map[string]any{"imported": rows, "dry_run": o.apply.dry}, func() {
		for _, row := range rows {
			word := map[bool]string{false: "written", true: "replaced"}[row.Replaced]
			if o.apply.dry {
				word = "dry run, would be " + word
			}
			a.warn("%s: %s and %s, patterns: %d", word, row.Config, strings.Join(row.Lists, ", "), row.Patterns)
			for _, path := range row.Removed {
				a.warn("%s: %s", map[bool]string{false: "removed", true: "dry run, would be removed"}[o.apply.dry], path)
			}
		}
		if !o.apply.dry {
			a.warn("the running rules are as before; to have them so: domain-route apply")
		}
	})
}

// write writes the files, the one that names them last, and removes what it names no more.
func (r *importedRow) write() error {
	for _, path := range append(slices.Clone(r.Lists), r.Config) {
		if err := writeConfig(path, r.files[path]); err != nil {
			return err
		}
	}
	for _, path := range r.Removed {
		if _, err := removeFile(path); err != nil {
			return err
		}
	}
	return nil
}

// readImport reads one list.
func (a *app) readImport(c configuration, file string, o importOptions, bar *progress) (importedRow, error) {
	l, err := a.readLists([]string{file}, o, bar)
	if err != nil {
		return importedRow{}, err
	}
	bar.end()
	if a.output != "json" {
		a.printFindings(l)
	}
	if err := l.refused(o.apply.strict); err != nil {
		return importedRow{}, err
	}
	if l.Rules.Len() == 0 {
		return importedRow{}, usageError{fmt.Errorf("%s: there is nothing in it that a rule can say, so that it is taken for a mistake; nothing is written", file)}
	}
	return c.planImport(listName(file, o.category), l, o)
}

// planImport says what is to be written.
func (c configuration) planImport(name string, l *loaded, o importOptions) (importedRow, error) {
	row := importedRow{Config: c.beside("config.d", importedPrefix+name+".yaml"), Read: notNil(l.Lists), Findings: notNil(l.Findings), Patterns: l.Rules.Len(),
		Removed: []string{}, files: map[string][]byte{}}
	files, err := c.files()
	if err != nil {
		return row, err
	}
	row.Replaced = slices.Contains(files, row.Config)
	if err := notOurs(row.Config); err != nil {
		return row, err
	}
	target, err := ruleset.ParseTarget(o.target)
	if err != nil {
		return row, err
	}
	text := fmt.Appendf(nil, "%simport\".\nlists:\n", writtenMark)
	direct := ruleset.Target{Kind: ruleset.Direct}
	for _, t := range slices.Compact([]ruleset.Target{target, direct}) {
		file := name + ".txt"
		if t != target {
			file = name + ".exceptions" // later, so that it beats the list; no copy of a list ends so
		}
		list, err := plainList(l.Rules, t)
		if err != nil {
			return row, err
		}
		path := c.beside("lists", file)
		if len(list) == 0 && t != target {
			row.left(path)
			continue
		}
		if err := notOurs(path); err != nil {
			return row, err
		}
		list = append([]byte(writtenMark+"import\".\n"), list...)
		row.Lists, row.files[path] = append(row.Lists, path), list
		text = fmt.Appendf(text, "  - file: ../lists/%s\n    format: plain\n    match: suffix\n    target: %q\n", file, t.String())
	}
	row.files[row.Config] = text
	return row, nil
}

// left notes that an earlier import of the same name left a list there, which this one replaces by nothing.
func (r *importedRow) left(path string) {
	there, err := hostfile.Exists(path)
	if r.Replaced && there && err == nil && notOurs(path) == nil {
		r.Removed = append(r.Removed, path)
	}
}

// plainList is a list of the patterns that go to a target.
func plainList(set *ruleset.Set, t ruleset.Target) ([]byte, error) {
	var b bytes.Buffer
	report, err := listformat.Write(&b, listformat.WriteOptions{Format: listformat.Plain}, func(yield func(pattern.Pattern) bool) {
		for r := range set.All() {
			if r.Target == t && !yield(r.Pattern) {
				return
			}
		}
	})
	if err == nil && len(report.Skipped) > 0 {
		err = usageError{fmt.Errorf("a plain list cannot say %s (%s)", report.Skipped[0].First, report.Skipped[0].Kind)}
	}
	return b.Bytes(), err
}

// listName makes a name for the copy of a list.
func listName(file, category string) string {
	name := filepath.Base(file)
	if file == standardInput {
		name = "imported"
	}
	for _, ending := range []string{".gz", ".zst", ".txt", ".conf", ".dat", ".json", ".yaml", ".yml", ".list"} {
		name = strings.TrimSuffix(name, ending)
	}
	if category != "" {
		name += "-" + category
	}
	name = strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, name), "-.")
	return cmp.Or(name, "imported")
}
