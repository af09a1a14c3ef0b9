package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/hostfile"
	"github.com/domain-route/domain-route/internal/listformat"
	"github.com/domain-route/domain-route/internal/ruleio"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// printFindings tells what was made of lists, and what may not be meant, on standard error.
func (a *app) printFindings(l *loaded) {
	for _, list := range l.Lists {
		a.printListReport(list)
	}
	shown := map[ruleio.Kind]int{}
	for _, f := range l.Findings {
		shown[f.Kind]++
		other := ""
		if f.Other != (ruleio.Place{}) {
			other = fmt.Sprintf(" (%s)", f.Other)
		}
		a.warn("%s: %s: %s%s", f.At, findingWord(f.Kind), f.Text, other)
	}
	for _, kind := range slices.Sorted(maps.Keys(l.Counts)) {
		if more := l.Counts[kind] - shown[kind]; more > 0 {
			a.warn("%s: %d more%s", findingWord(kind), more, seeAll(shown[kind]))
		}
	}
}

// seeAll says how to see more findings of a kind than are shown.
func seeAll(shown int) string {
	if shown >= mostFindings {
		return ""
	}
	return fmt.Sprintf("; up to %d of each kind: domain-route apply --dry-run --all", mostFindings)
}

// counts are all findings of each kind, not nil.
func (l *loaded) counts() map[ruleio.Kind]int {
	if l.Counts == nil {
		return map[ruleio.Kind]int{}
	}
	return l.Counts
}

func findingWord(k ruleio.Kind) string { return strings.ReplaceAll(string(k), "_", " ") }

// printListReport says what format was guessed, and what of a list is not among the rules.
func (a *app) printListReport(list ruleio.ListReport) {
	if list.Guessed {
		a.warn("%s: no format is given; by its looks it is %s", list.Path, list.Format)
	}
	a.printSkipped(list.Path, list.Report)
}

// printSkipped tells of each kind how much there is, and where it begins.
func (a *app) printSkipped(path string, r listformat.Report) {
	for _, s := range r.Skipped {
		where := ""
		if len(s.Lines) > 0 {
			lines := strings.Trim(strings.ReplaceAll(fmt.Sprint(s.Lines), " ", ", "), "[]")
			if s.Count > len(s.Lines) {
				lines += ", ..."
			}
			where = " on line " + lines
		}
		hint := s.Hint()
		if hint != "" {
			hint = "; " + hint
		}
		a.warn("%s: skipped, since no rule can say it: %d of %s%s, first: %s%s", path, s.Count, s.Kind, where, s.First, hint)
	}
}

// refused is the error for findings that --strict does not let pass.
func (l *loaded) refused(strict bool) error {
	if what := l.Strict(); strict && what != "" {
		return usageError{fmt.Errorf("%s; nothing is changed; without --strict they are taken", what)}
	}
	return nil
}

// isInputError tells what is wrong with an input from what is wrong with the system.
func isInputError(err error) bool {
	var config *ruleio.Error
	var list *listformat.Error
	var file *hostfile.Error
	var words *ruleset.ConditionError
	var line *ruleset.LineError
	if errors.Is(err, fs.ErrPermission) {
		return false
	}
	return errors.As(err, &config) || errors.As(err, &list) || errors.As(err, &file) || errors.As(err, &words) || errors.As(err, &line)
}
