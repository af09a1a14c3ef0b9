// Package doctor looks at a host and says what keeps domain-route from working there, and what mends it. Gathering
// (Read, and what package cli asks the kernel) is apart from judging (Examine), which is pure. It changes nothing.
package doctor

import (
	"cmp"
	"slices"
	"strings"
)

// Level says how bad a finding is. Warn and Fail are wrong; Note is information.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Note Level = "note"
	Warn Level = "warn" // may not do what is meant
	Fail Level = "fail" // does not work
)

// Wrong tells whether something is to be mended.
func (l Level) Wrong() bool { return l == Warn || l == Fail }

// Group is what a check is about.
type Group string

// The groups, in the order in which they are told.
const (
	Kernel     Group = "kernel"
	Attachment Group = "attachment"
	Interfaces Group = "interfaces"
	Resolvers  Group = "resolvers"
	Names      Group = "names"
	Tables     Group = "tables"
)

var groups = []Group{Kernel, Attachment, Interfaces, Resolvers, Names, Tables}

// Check is one finding. IDs are stable; docs/doctor.md explains each.
type Check struct {
	ID      string   `json:"id"`
	Group   Group    `json:"group"`
	Level   Level    `json:"level"`
	Subject string   `json:"subject,omitempty"` // what of several: an interface, a browser, a map
	Found   string   `json:"found"`
	Cure    string   `json:"cure,omitempty"` // a command, or a short instruction
	Details []string `json:"details,omitempty"`
}

// check is a function that judges facts, and the IDs that it may give, which tests compare with the manual.
type check struct {
	group Group
	ids   []string
	judge func(*Facts) []Check
}

// checks are all there are, in the order in which they are told.
var checks = slices.Concat(kernelChecks, attachmentChecks, interfaceChecks, sweepChecks, resolverChecks, nameChecks, tableChecks)

// IDs lists the identifiers of all checks with their groups.
func IDs() map[string]Group {
	all := map[string]Group{}
	for _, c := range checks {
		for _, id := range c.ids {
			all[id] = c.group
		}
	}
	return all
}

// Examine judges the facts: group by group, in each what is wrong first.
func Examine(f *Facts) []Check {
	var all []Check
	for _, c := range checks {
		for _, one := range c.judge(f) {
			one.Group = c.group
			all = append(all, one)
		}
	}
	slices.SortStableFunc(all, func(a, b Check) int {
		return cmp.Or(slices.Index(groups, a.Group)-slices.Index(groups, b.Group), rank(a.Level)-rank(b.Level))
	})
	return all
}

func rank(l Level) int { return slices.Index([]Level{Fail, Warn, Note, OK}, l) }

// Sound tells whether nothing is wrong.
func Sound(all []Check) bool {
	return !slices.ContainsFunc(all, func(c Check) bool { return c.Level.Wrong() })
}

// few joins the first of a list, and says that there are more.
func few(all []string) string {
	const most = 3
	if len(all) <= most {
		return strings.Join(all, ", ")
	}
	return strings.Join(all[:most], ", ") + ", ..."
}

// quote makes a path safe to paste into a shell: it may be any user's.
func quote(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,", r)
	}
	if path != "" && strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// one is for checks that give a single line.
func one(id string, level Level, found, cure string) []Check {
	return []Check{{ID: id, Level: level, Found: found, Cure: cure}}
}
