package ruleio

import (
	"errors"
	"slices"

	"github.com/domain-route/domain-route/internal/listformat"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// sought is a place in a list that a finding names. A million entries do not remember where they stand: the few that
// are shown are found by reading the lists again.
type sought struct {
	finding int
	first   bool // it is the finding's first place, not the other
	key     key
	target  ruleset.Target // that the list gives it
	before  int            // the list is before this one
}

// seek asks for the place of a list's rule as the other one of a finding; finding -1 is not shown.
func (l *loader) seek(finding int, k key, target ruleset.Target, before int) {
	if finding >= 0 {
		l.sought = append(l.sought, sought{finding, false, k, target, before})
	}
}

// errFound ends the reading of a list when there is nothing more to be found in it.
var errFound = errors.New("found")

// findPlaces finds all places that are sought, each in the last list that is asked about.
func (l *loader) findPlaces() error {
	l.again = true
	for number, one := range l.lists {
		missing := make(map[key][]sought)
		for _, s := range l.sought {
			if number < s.before && s.key.c == one.cond {
				missing[s.key] = append(missing[s.key], s)
			}
		}
		if len(missing) == 0 {
			continue
		}
		// A list that was read once may not be there a second time: a place then remains unknown.
		_, _ = l.read(one, func(i listformat.Item) error {
			k := key{i.Pattern, one.cond}
			if _, ok := missing[k]; !ok || one.without.covers(i.Pattern) {
				return nil
			}
			target := one.targetOf(i)
			missing[k] = slices.DeleteFunc(missing[k], func(s sought) bool {
				if s.target != target {
					return false
				}
				if s.first {
					l.notes.list[s.finding].At = one.place(i)
				} else {
					l.notes.list[s.finding].Other = one.place(i)
				}
				return true
			})
			if len(missing[k]) == 0 {
				delete(missing, k)
			}
			if len(missing) == 0 {
				return errFound
			}
			return nil
		})
	}
	return nil
}
