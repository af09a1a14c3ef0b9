package ruleio

import (
	"errors"

	"github.com/domain-route/domain-route/internal/listformat"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// Asked is a rule whose place is asked for: of one pattern and condition a configuration comes to one rule.
type Asked struct {
	Pattern   pattern.Pattern
	Condition ruleset.Condition
}

// Where is where a rule of the configuration stands: the line that decides, of a file of it or of one of its lists.
type Where struct {
	Place
	Category string // of a geosite.dat, which has no lines
	List     bool   // the place is in a list
	Target   ruleset.Target
}

// String returns "PATH:LINE", or "PATH, category NAME".
func (w Where) String() string {
	if w.Category != "" {
		return w.Path + ", category " + w.Category
	}
	return w.Place.String()
}

// Where finds where the rules asked for stand; what is not in the result is not in the configuration. Nothing is kept of
// the lists but that: they are read one by one, the last first, since the last decides, and none in which nothing is
// sought any more. A list that cannot be read is an *Error, as in Load.
func (c *Config) Where(o LoadOptions, rules []Asked) (map[Asked]Where, error) {
	l := &loader{
		Config: c, o: o,
		out:    &Loaded{Rules: &ruleset.Set{}, Users: make(map[string]uint32)},
		inline: make(map[key]inline), inputs: make(map[string]bool), removed: make(map[*patternItem]bool),
	}
	for _, step := range []func() error{l.readInline, l.planLists} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	s := &search{loader: l, missing: make(map[key]bool), found: make(map[Asked]Where)}
	for _, r := range rules {
		k := key{r.Pattern, r.Condition}
		if at, ok := l.inline[k]; ok {
			s.found[r] = Where{Place: l.parts[at.part].place(at.at), Target: at.target}
			continue
		}
		s.missing[k] = true
	}
	return s.found, s.lists()
}

// search looks for rules in the lists.
type search struct {
	*loader
	missing map[key]bool
	found   map[Asked]Where
}

// lists goes through the lists from the last to the first. What a file removes is in no list of earlier files.
func (s *search) lists() error {
	next := len(s.loader.lists)
	for i := len(s.parts) - 1; i >= 0; i-- {
		for range s.parts[i].doc.Lists {
			next--
			if err := s.list(s.loader.lists[next]); err != nil {
				return err
			}
		}
		err := s.remove(i, func(k key) bool {
			delete(s.missing, k)
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// list looks into one list, and no further than need be: all entries for one pattern in it lead to the same.
func (s *search) list(one *list) error {
	left := 0
	for k := range s.missing {
		if k.c == one.cond {
			left++
		}
	}
	if left == 0 {
		return nil
	}
	_, err := s.read(one, func(i listformat.Item) error {
		k := key{i.Pattern, one.cond}
		if !s.missing[k] || one.without.covers(i.Pattern) {
			return nil
		}
		delete(s.missing, k)
		at := Where{Place: one.place(i), List: true, Target: one.targetOf(i)}
		if at.Line == 0 {
			at.Category = one.item.Category.s
		}
		s.found[Asked{k.p, k.c}] = at
		left--
		if left == 0 {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return nil
	}
	return err
}
