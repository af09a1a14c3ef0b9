package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/hostfile"
	"github.com/domain-route/domain-route/internal/ruleio"
	"github.com/domain-route/domain-route/internal/ruleset"
)

const (
	defaultConfig = "/etc/domain-route/config.yaml"
	noConfig      = "none" // --config none
)

// loaded is a rule set that was read, with what there is to say about it.
type loaded struct {
	*ruleio.Config // never nil
	*ruleio.Loaded // never nil

	files      []string  // the configuration's; empty: there is none
	sum        *[32]byte // digest, once it is known
	cached     bool      // it is from the cache
	meantEmpty bool      // it says itself that it has no rules
	keep       func()    // writes the cache, if that is to be written
}

// keepNow writes the cache, if that is to be written and was not yet.
func (l *loaded) keepNow() {
	if l != nil && l.keep != nil {
		l.keep()
		l.keep = nil
	}
}

// digest is what System.Digest gives when these rules run.
func (l *loaded) digest() [32]byte {
	if l.sum == nil {
		d := digestOf(l.Rules)
		l.sum = &d
	}
	return *l.sum
}

// digestOf is dataplane.Digest, whose error is of a set that cannot be written as text: there is none.
func digestOf(set *ruleset.Set) [32]byte {
	d, _ := dataplane.Digest(set)
	return d
}

// loadOptions say how to load.
type loadOptions struct {
	bar      *progress
	thorough bool // look for rules that are redundant or can never match, too
	quiet    bool // say nothing about the cache
	all      bool // keep mostFindings
}

func (o loadOptions) with(in *inputs) ruleio.LoadOptions {
	return ruleio.LoadOptions{Open: in.open, Users: in.user, Progress: o.bar.step, Size: fileSize, Thorough: o.thorough, Findings: o.findings()}
}

// mostFindings is how many findings of each kind are told where all are asked for.
const mostFindings = 10_000

func (o loadOptions) findings() int {
	if o.all {
		return mostFindings
	}
	return ruleio.MaxFindings
}

// fileSize is for the progress bar.
func fileSize(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.Size()
}

// configuration is where the configuration is: one file, and those beside it in config.d.
type configuration struct {
	path  string // absolute, or empty: --config none
	asked bool   // named by --config
}

func (a *app) configuration() (configuration, error) {
	c := configuration{path: a.config, asked: a.config != defaultConfig}
	switch a.config {
	case noConfig:
		return configuration{}, nil
	case "":
		return c, usageError{errors.New("--config is empty; it is a file, or none")}
	}
	path, err := filepath.Abs(a.config)
	if err != nil {
		return c, fmt.Errorf("find the configuration: %w", err)
	}
	c.path = path
	return c, nil
}

// beside is the path of something that lies beside the configuration.
func (c configuration) beside(name ...string) string {
	return filepath.Join(append([]string{filepath.Dir(c.path)}, name...)...)
}

// files lists the files there are, in the order they are read.
func (c configuration) files() ([]string, error) {
	if c.path == "" {
		return nil, nil
	}
	var all []string
	there, err := hostfile.Exists(c.path)
	if err != nil {
		return nil, err
	}
	if there {
		all = append(all, c.path)
	}
	more, err := hostfile.Names(c.beside("config.d"), ".yaml")
	if err != nil {
		return nil, err
	}
	if len(more) > 0 { // of each file its own directory is looked at when it is opened
		err = hostfile.TrustedDir(c.beside())
	}
	return append(all, more...), err
}

// errNoConfiguration says what to do where there is none.
func (c configuration) errNoConfiguration() error {
	if c.path == "" {
		return usageError{errors.New("--config none is no configuration; give a file, or apply -f FILE")}
	}
	return usageError{fmt.Errorf("there is no configuration: no %s, and nothing in %s; write one, or have the running rules be it: domain-route rule save",
		c.path, c.beside("config.d"))}
}

// readConfig reads the configuration's files, and what they come to together. Nothing of their lists is read. Files in
// texts have other contents than on disk.
func readConfig(in *inputs, files []string, texts map[string][]byte) (*ruleio.Config, error) {
	var parsed []*ruleio.File
	for _, path := range files {
		data, given := texts[path]
		if !given {
			var err error
			if data, err = readWhole(in, path); err != nil {
				return nil, err
			}
		}
		f, err := ruleio.Parse(ruleio.Source{Path: path, Data: data})
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, f)
	}
	return ruleio.Merge(parsed)
}

// readWhole reads a configuration file; one that is too large is left for Parse to refuse.
func readWhole(in *inputs, path string) ([]byte, error) {
	f, err := in.open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, ruleio.MaxFile+1))
}

// loadConfig loads the system's configuration, by the cache if that is of the same files. Where there is none, it is
// empty: no options, no rules.
func (a *app) loadConfig(o loadOptions) (*loaded, error) {
	c, err := a.configuration()
	if err != nil {
		return nil, err
	}
	files, err := c.files()
	if err != nil {
		return nil, err
	}
	if !o.quiet {
		a.warnUnread(c)
	}
	l := &loaded{files: files}
	if len(files) == 0 {
		l.Config, l.Loaded = &ruleio.Config{}, &ruleio.Loaded{Rules: ruleset.New()}
		return l, nil
	}
	in := newTrustedInputs()
	if l.Config, err = readConfig(in, files, nil); err != nil {
		return nil, err
	}
	cache := cacheOf(c.path)
	if !o.thorough && !o.all { // for which there is no word in the cache
		if l.Loaded, l.sum = cache.read(a, files, o.quiet); l.Loaded != nil {
			l.cached = true
			return l, nil
		}
	}
	l.Loaded, err = l.Load(o.with(in))
	if err != nil {
		return nil, err
	}
	if !o.all {
		l.keep = func() { cache.write(files, in, l) }
	}
	return l, nil
}
