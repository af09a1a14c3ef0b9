package ruleio

import (
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// Config is what configuration files come to together.
type Config struct {
	Observe []string // observers, as start takes them; empty: the default
	Cgroup  string   // directory of the cgroup to steer; "": the default
	History *bool    // nil: the default
	Audit   *bool    // likewise
	Flush   *bool    // nil: the default

	parts   []part
	targets map[string]ruleset.Target
	notes   findings // of Merge
}

// part is one file with its targets found.
type part struct {
	*File
	ruleTargets, listTargets []ruleset.Target // of doc.Rules and doc.Lists
}

// Merge puts files together in their order. Of observe, cgroup, history, audit, flush and of a target's name the later file's
// word counts. Errors are *Error.
func Merge(files []*File) (*Config, error) {
	c := &Config{targets: make(map[string]ruleset.Target)}
	for _, f := range files {
		d := &f.doc
		if len(d.Observe) > 0 {
			c.Observe = nil
		}
		for _, o := range d.Observe {
			c.Observe = append(c.Observe, o.s)
		}
		if d.Cgroup.s != "" {
			c.Cgroup = d.Cgroup.s
		}
		if d.History.v != nil {
			c.History = d.History.v
		}
		if d.Audit.v != nil {
			c.Audit = d.Audit.v
		}
		if d.Flush.v != nil {
			c.Flush = d.Flush.v
		}
		maps.Copy(c.targets, f.targets)
	}
	for _, f := range files {
		p := part{File: f}
		for i := range f.doc.Rules {
			t, err := c.resolve(f, f.doc.Rules[i].Target)
			if err != nil {
				return nil, err
			}
			p.ruleTargets = append(p.ruleTargets, t)
		}
		for i := range f.doc.Lists {
			t, err := c.resolve(f, f.doc.Lists[i].Target)
			if err != nil {
				return nil, err
			}
			p.listTargets = append(p.listTargets, t)
		}
		c.parts = append(c.parts, p)
	}
	return c, nil
}

// resolve makes the target that o says. A chain of interfaces that has the name of a target in it is refused: the name
// would be taken for an interface's.
func (c *Config) resolve(f *File, o outcome) (ruleset.Target, *Error) {
	if o.text == "" {
		return o.target, nil
	}
	if t, ok := c.targets[o.text]; ok {
		return t, nil
	}
	t, err := ruleset.ParseTarget(o.text)
	names := slices.Sorted(maps.Keys(c.targets))
	near := nearest(o.text, names)
	switch {
	case err != nil && near != "":
		return t, f.fail(o.at, "%w; did you mean the target %q?", err, near)
	case err != nil:
		return t, f.fail(o.at, "%w", err)
	}
	for _, name := range t.Chain() {
		if _, ok := c.targets[name]; ok {
			return t, f.fail(o.at, "%q is a target, and %.80q a chain of interfaces; if the interface is meant, write {chain: [...]}", name, o.text)
		}
	}
	const short = 4 // wg0 and wg1 are near, and both meant
	if len(o.text) < short || len(near) < short {
		near = transposed(o.text, names)
	}
	if near != "" && t.Kind == ruleset.Interface {
		c.notes.add(NearTarget, f.place(o.at), Place{}, func() string {
			return fmt.Sprintf("%s is taken for an interface; did you mean the target %q?", o.text, near)
		})
	}
	return t, nil
}

// beside returns where a file is that f names.
func (f *File) beside(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(path.Dir(f.path), name)
}

// ListPaths returns the paths of all lists, in their order, each once. Lists that these include are not among them; see
// Loaded.Inputs.
func (c *Config) ListPaths() []string {
	var out []string
	for _, p := range c.parts {
		for i := range p.doc.Lists {
			if at := p.beside(p.doc.Lists[i].File.s); !slices.Contains(out, at) {
				out = append(out, at)
			}
		}
	}
	return out
}
