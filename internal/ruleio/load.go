package ruleio

import (
	"fmt"
	"maps"
	"slices"

	"github.com/domain-route/domain-route/internal/listformat"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// MaxRules is how many rules a configuration can come to: four times what the rest is made for.
const MaxRules = 4_000_000

// LoadOptions say how to load a configuration.
type LoadOptions struct {
	Open     Opener                            // opens lists; nil: there are none
	Users    func(name string) (uint32, error) // number of a user; nil: names of users are refused
	Progress func(done, of int64)              // told from time to time how many bytes of the lists' files are read; of is 0 if not known. May be nil.
	Size     func(path string) (n int64)       // bytes of a list's file, 0 if not known. May be nil.
	Thorough bool                              // look for rules that are redundant or unreachable, too, which takes about as long again

	Findings int // how many of each kind to keep; 0: MaxFindings

	most int // MaxRules, but for tests
}

// ListReport says what was made of a list.
type ListReport struct {
	Path    string            `json:"path"`
	Format  listformat.Format `json:"format"`
	Guessed bool              `json:"guessed"` // the format is not from the configuration
	Without int               `json:"without"` // patterns left out because of `without`
	listformat.Report
}

// Loaded is a configuration with its lists.
type Loaded struct {
	Rules    *ruleset.Set      `json:"-"`
	Findings []Finding         `json:"findings"` // the first of each kind
	Counts   map[Kind]int      `json:"counts"`   // all findings of each kind
	Lists    []ListReport      `json:"lists"`    // in the order of the configuration
	Inputs   []string          `json:"inputs"`   // paths of all files that were read, includes of lists, too; sorted, each once
	Users    map[string]uint32 `json:"users"`    // users that were asked for by name
}

// key is what there is one rule of.
type key struct {
	p pattern.Pattern
	c ruleset.Condition
}

func (k key) String() string {
	if k.c == (ruleset.Condition{}) {
		return k.p.String()
	}
	return k.p.String() + " " + k.c.String()
}

// inline is a rule of a configuration file.
type inline struct {
	part   int
	at     pos
	target ruleset.Target
}

// loader makes Loaded from Config.
type loader struct {
	*Config
	o       LoadOptions
	out     *Loaded
	notes   findings
	inline  map[key]inline
	lists   []*list
	sought  []sought
	again   bool  // lists are read for the second time
	done    int64 // bytes of lists read
	of      int64
	inputs  map[string]bool
	removed map[*patternItem]bool // removals that took something away
}

// Load makes the rules. Lists come first, a later one beating an earlier; rules of the files beat lists, those of a
// later file beating an earlier's; what a file removes, it removes from earlier files and their lists. Errors are *Error;
// those of Open and Users are in it.
func (c *Config) Load(o LoadOptions) (*Loaded, error) {
	if o.most == 0 {
		o.most = MaxRules
	}
	l := &loader{
		Config: c, o: o,
		out:    &Loaded{Rules: &ruleset.Set{}, Users: make(map[string]uint32), Lists: []ListReport{}},
		notes:  c.notes.clone(),
		inline: make(map[key]inline), inputs: make(map[string]bool), removed: make(map[*patternItem]bool),
	}
	l.notes.most = o.Findings
	steps := []func() error{l.readInline, l.planLists, l.readLists, l.addInline, l.check, l.findPlaces}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	l.unusedRemovals()
	l.out.Findings, l.out.Counts = l.notes.list, l.notes.counts
	l.out.Inputs = slices.Sorted(maps.Keys(l.inputs))
	return l.out, nil
}

// condition makes what a rule or list asks of the program.
func (l *loader) condition(f *File, c condition) (ruleset.Condition, error) {
	var words []string
	at := c.Cgroup.at
	if c.Cgroup.s != "" {
		words = append(words, "cgroup="+c.Cgroup.s)
	}
	if c.User.s != "" {
		words, at = append(words, "user="+c.User.s), c.User.at
	}
	if words == nil {
		return ruleset.Condition{}, nil
	}
	users := func(name string) (uint32, error) {
		if uid, ok := l.out.Users[name]; ok {
			return uid, nil
		}
		uid, err := l.o.Users(name)
		if err == nil {
			l.out.Users[name] = uid
		}
		return uid, err
	}
	if l.o.Users == nil {
		users = nil
	}
	cond, err := ruleset.ParseCondition(words, users)
	if err != nil {
		return cond, f.fail(at, "%w", err)
	}
	return cond, nil
}

// readInline collects the rules of the files, later ones over earlier ones.
func (l *loader) readInline() error {
	for i := range l.parts {
		if err := l.remove(i, func(k key) bool { _, ok := l.inline[k]; delete(l.inline, k); return ok }); err != nil {
			return err
		}
		for j := range l.parts[i].doc.Rules {
			if err := l.readRule(i, j); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove calls del for all that part i removes.
func (l *loader) remove(i int, del func(key) bool) error {
	p := &l.parts[i]
	for j := range p.doc.Remove {
		r := &p.doc.Remove[j]
		cond, err := l.condition(p.File, r.condition)
		if err != nil {
			return err
		}
		for m := range r.Match {
			if del(key{r.Match[m].p, cond}) {
				l.removed[&r.Match[m]] = true
			}
		}
	}
	return nil
}

func (l *loader) readRule(part, number int) error {
	p := &l.parts[part]
	item, target := &p.doc.Rules[number], p.ruleTargets[number]
	cond, err := l.condition(p.File, item.condition)
	if err != nil {
		return err
	}
	for _, m := range item.Match {
		k := key{m.p, cond}
		old, twice := l.inline[k]
		switch {
		case twice && old.target == target:
		case twice && old.part == part:
			return p.fail(m.at, "%s goes to %s here, and to %s on line %d", k, target, old.target, old.at.line)
		case twice:
			l.notes.add(Overridden, p.place(m.at), l.parts[old.part].place(old.at), func() string {
				return fmt.Sprintf("%s goes to %s here, not to %s as in an earlier file", k, target, old.target)
			})
		}
		l.inline[k] = inline{part, m.at, target}
	}
	return nil
}

// addInline puts the rules of the files over those of lists, in the order they stand there.
func (l *loader) addInline() error {
	for i := range l.parts {
		p := &l.parts[i]
		for j := range p.doc.Rules {
			cond, err := l.condition(p.File, p.doc.Rules[j].condition)
			if err != nil {
				return err
			}
			for _, m := range p.doc.Rules[j].Match {
				k := key{m.p, cond}
				if r, ok := l.inline[k]; ok && r.part == i && r.at == m.at {
					l.addRule(k, r)
				}
			}
		}
	}
	if l.out.Rules.Len() > l.o.most {
		return &Error{Path: l.parts[0].path, Reason: l.tooMany()}
	}
	return nil
}

func (l *loader) tooMany() string { return fmt.Sprintf("this makes more than %d rules", l.o.most) }

func (l *loader) addRule(k key, r inline) {
	here := l.parts[r.part].place(r.at)
	old, replaced := l.out.Rules.Add(ruleset.Rule{Pattern: k.p, Condition: k.c, Target: r.target})
	if replaced && old != r.target {
		i := l.notes.add(Overridden, here, Place{}, func() string {
			return fmt.Sprintf("%s goes to %s here, not to %s as in a list", k, r.target, old)
		})
		l.seek(i, k, old, len(l.lists))
	}
	l.outranked(k, r.target, here)
	l.lone(k.p, func() Place { return here })
}

// unusedRemovals tells of removals that took nothing away.
func (l *loader) unusedRemovals() {
	for _, p := range l.parts {
		for i := range p.doc.Remove {
			for j := range p.doc.Remove[i].Match {
				if m := &p.doc.Remove[i].Match[j]; !l.removed[m] {
					l.notes.add(Unused, p.place(m.at), Place{}, func() string {
						return fmt.Sprintf("%s is removed here, and no earlier file has a rule of exactly this", m.p)
					})
				}
			}
		}
	}
}
