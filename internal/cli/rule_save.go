package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/hostfile"
	"github.com/domain-route/domain-route/internal/ruleio"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// savedName is the file of config.d that rule save writes: it is read last, so that it has the last word.
const savedName = "99-saved.yaml"

type savedResult struct {
	File  string `json:"file"`
	Saved bool   `json:"saved"` // false: there is nothing to save, and no such file, or not any more
	Rules int    `json:"rules"` // that run

	Removed bool `json:"removed"` // there was such a file
}

func (a *app) ruleSave() *cobra.Command {
	return &cobra.Command{
		Use:   "save",
		Short: "Write to the configuration what the running rules have more, less or otherwise",
		Long: `Writes to config.d/` + savedName + `, beside the configuration, the rules that run and are not in the other files, and which of theirs
do not run, so that the configuration comes to the rules that run now. Where it does without, the file is removed.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.configuration()
			if err != nil {
				return err
			}
			if c.path == "" {
				return usageError{errors.New("--config none: there is nowhere to save to")}
			}
			result, err := a.save(c)
			if err != nil {
				return err
			}
			return a.print("RuleSave", result, func() {
				switch {
				case result.Saved:
					a.warn("written: %s", result.File)
				case result.Removed:
					a.warn("nothing to save any more: the running rules are those of the other files; removed: %s", result.File)
				default:
					a.warn("nothing to save: the running rules are those of the configuration")
				}
			})
		},
	}
}

// saveTries is how often save begins anew where the rules change meanwhile.
const saveTries = 10

// errRulesChanged is for a file that would not say what runs.
var errRulesChanged = fmt.Errorf("%w: the rules change all the time; again, once they do not: domain-route rule save", dataplane.ErrRefused)

// save writes the file, or removes it where it has nothing to say. What it says is worked out without the lock, since
// lists may take long; it is written under the lock, while it is true.
func (a *app) save(c configuration) (savedResult, error) {
	for range saveTries {
		running, err := runningRules()
		if err != nil {
			return savedResult{}, err
		}
		plan, err := a.planSave(c, running)
		if err != nil {
			return plan.savedResult, err
		}
		err = withSystem(func(s *dataplane.System) error {
			now, err := s.Digest()
			switch {
			case err != nil:
				return err
			case now != plan.running:
				return errRulesChanged
			case !plan.Saved:
				plan.Removed, err = removeFile(plan.File)
				return err
			}
			return writeConfig(plan.File, plan.text)
		})
		if !errors.Is(err, errRulesChanged) {
			return plan.savedResult, err
		}
	}
	return savedResult{}, errRulesChanged
}

// savePlan is what the file is to have, and of which rules that is true.
type savePlan struct {
	savedResult
	text    []byte
	running [32]byte // their digest: of a million rules one set less is held
}

// planSave says what the file is to have.
func (a *app) planSave(c configuration, running *ruleset.Set) (savePlan, error) {
	path := c.beside("config.d", savedName)
	plan := savePlan{savedResult: savedResult{File: path, Rules: running.Len()}, running: digestOf(running)}
	files, err := c.files()
	if err != nil {
		return plan, err
	}
	if err := notOurs(path); err != nil {
		return plan, err
	}
	others := slices.DeleteFunc(slices.Clone(files), func(f string) bool { return f == path })
	bar := a.progress("reading the configuration")
	defer bar.end()
	configured, err := rulesOf(others, nil, bar)
	bar.end()
	if err != nil || digestOf(configured) == plan.running {
		return plan, err
	}
	if plan.text, err = ruleio.SaveFile(running, configured); err != nil {
		return plan, usageError{fmt.Errorf("these rules cannot be saved: %w", err)}
	}
	plan.Saved = true
	return plan, c.proveSaved(files, plan)
}

// proveSaved loads the configuration as it will be: it must come to the running rules. A file that is read later may
// have another opinion.
func (c configuration) proveSaved(files []string, plan savePlan) error {
	path := plan.File
	if !slices.Contains(files, path) {
		files = append(slices.Clone(files), path)
		slices.SortFunc(files, c.compare)
	}
	then, err := rulesOf(files, map[string][]byte{path: plan.text}, nil)
	if err != nil {
		return fmt.Errorf("these rules cannot be saved: %w", err)
	}
	if digestOf(then) == plan.running {
		return nil
	}
	if last := files[len(files)-1]; last != path {
		return usageError{fmt.Errorf("%s would be read after %s and says otherwise; give it a name that comes before", last, savedName)}
	}
	return usageError{errors.New("these rules cannot be saved: the configuration would not come to them; keep them: domain-route rule list > FILE")}
}

// compare is the order in which configuration files are read.
func (c configuration) compare(x, y string) int {
	switch {
	case x == y:
		return 0
	case x == c.path || y != c.path && x < y:
		return -1
	}
	return 1
}

// rulesOf loads configuration files; those in texts have other contents than on disk.
func rulesOf(files []string, texts map[string][]byte, bar *progress) (*ruleset.Set, error) {
	in := newTrustedInputs()
	config, err := readConfig(in, files, texts)
	if err != nil {
		return nil, err
	}
	l, err := config.Load(loadOptions{bar: bar}.with(in))
	if err != nil {
		return nil, err
	}
	return l.Rules, nil
}

// writtenMark begins what commands of ours write among the user's own files, and may replace.
const writtenMark = `# Written by "domain-route `

// notOurs refuses to replace a file beside the configuration that somebody wrote himself.
func notOurs(path string) error {
	if there, err := hostfile.Exists(path); err != nil || !there {
		return err
	}
	f, err := hostfile.Open(path, hostfile.Trusted)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, len(writtenMark))
	if _, err := io.ReadFull(f, head); err != nil || string(head) != writtenMark {
		return usageError{fmt.Errorf("%s is there already, and not by domain-route, whose files begin with %q; rename it first", path, writtenMark)}
	}
	return nil
}

// writeConfig writes a file beside the configuration, and makes its directory if need be.
func writeConfig(path string, text []byte) error {
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = hostfile.Replace(path, 0o644, func(w io.Writer) error { _, err := w.Write(text); return err })
	}
	return writeFailure(err)
}

func removeFile(path string) (removed bool, err error) {
	err = os.Remove(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, writeFailure(err)
}

// writeFailure names the cure where there is one.
func writeFailure(err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%w: %w", dataplane.ErrRefused, err)
	if errors.Is(err, unix.EROFS) {
		return &dataplane.CureError{Err: err, Cure: "make it writable, or keep the rules elsewhere: domain-route rule list > FILE"}
	}
	return err
}
