package cli

import (
	"fmt"
	"strings"

	"github.com/domain-route/domain-route/internal/dataplane"
)

// configState is how the running rules stand to the configuration.
type configState struct {
	Files    []string  `json:"files"`           // none: there is no configuration
	Differs  bool      `json:"differs"`         // the running rules are not those of the configuration
	Settings []setting `json:"settings"`        // of the configuration, that run otherwise
	Cached   bool      `json:"cached"`          // it was read from the cache
	Error    string    `json:"error,omitempty"` // why it cannot be read
}

// cureDiffers is what to do about it.
const cureDiffers = "take its: domain-route apply; or have it take the running ones: domain-route rule save"

// loadAsked loads the configuration. One that was asked for must be there.
func (a *app) loadAsked(o loadOptions) (*loaded, error) {
	l, err := a.loadConfig(o)
	if err != nil || len(l.files) > 0 {
		return l, err
	}
	if c, err := a.configuration(); err != nil || c.asked && c.path != "" {
		return nil, c.errNoConfiguration()
	}
	return l, nil
}

// loadForStart loads the configuration, and says if there is something to be looked at.
func (a *app) loadForStart() (*loaded, error) {
	bar := a.progress("reading the configuration")
	defer bar.end()
	l, err := a.loadAsked(loadOptions{bar: bar})
	bar.end()
	if err != nil {
		return nil, err
	}
	if a.output != "json" && len(l.files) > 0 {
		a.hintAtFindings(l)
	}
	return l, nil
}

// hintAtFindings says in a line that there is something to be looked at.
func (a *app) hintAtFindings(l *loaded) {
	notMeant := 0
	for _, n := range l.Counts {
		notMeant += n
	}
	if skipped := l.skipped(); skipped+notMeant > 0 {
		a.warn("of lists skipped: %d, found in rules: %d; see: domain-route apply --dry-run", skipped, notMeant)
	}
}

// skipped is how many entries of lists no rule can say.
func (l *loaded) skipped() int {
	n := 0
	for _, list := range l.Lists {
		for _, s := range list.Skipped {
			n += s.Count
		}
	}
	return n
}

// stateStarted is the state after a start, but for the rules. Flags may have said otherwise.
func (l *loaded) stateStarted(done dataplane.Started, present []dataplane.Device) configState {
	running := dataplane.Settings{Observers: done.Observers.Strings(), Cgroup: done.Cgroup, History: done.History, Audit: done.Audit}
	return configState{Files: notNil(l.files), Cached: l.cached, Settings: notNil(l.otherSettings(running, present, true))}
}

// runningDigest is that of the rules in force.
func runningDigest() (d [32]byte, err error) {
	err = withSystem(func(s *dataplane.System) error {
		d, err = s.Digest()
		return err
	})
	return d, err
}

// stateOf compares the configuration with what runs. That it cannot be read is told, and no failure.
func stateOf(l *loaded, failed error, running dataplane.Status, present []dataplane.Device) configState {
	state := noConfigState()
	switch {
	case failed != nil:
		state.Error = failed.Error()
	case len(l.files) > 0:
		l.keepNow() // whoever asks again, or boots, has it quickly
		state.Files, state.Differs, state.Cached = l.files, l.digest() != running.Digest, l.cached
		state.Settings = notNil(l.otherSettings(dataplane.Settings{Observers: running.Observers, Cgroup: running.Cgroup, History: running.History, Audit: running.Audit}, present, running.Home))
	}
	return state
}

// noConfigState is that of a system without a configuration.
func noConfigState() configState { return configState{Files: []string{}, Settings: []setting{}} }

// warnings are what status warns of.
func (c configState) warnings() []string {
	switch {
	case c.Error != "":
		return []string{"the configuration cannot be read: " + c.Error}
	case c.Differs:
		return append([]string{"the running rules differ from the configuration; " + cureDiffers}, settingWarnings(c.Settings)...)
	}
	return settingWarnings(c.Settings)
}

// String is the line of status --all.
func (c configState) String() string {
	switch {
	case c.Error != "":
		return "cannot be read"
	case len(c.Files) == 0:
		return "none"
	case c.Differs:
		return strings.Join(c.Files, " ") + " (the running rules differ)"
	}
	return fmt.Sprintf("%s (its rules run)", strings.Join(c.Files, " "))
}

// short is the line of status: what matters first.
func (c configState) short() string {
	if c.Error != "" || len(c.Files) == 0 {
		return c.String()
	}
	files := c.Files[0]
	if more := len(c.Files) - 1; more > 0 {
		files += fmt.Sprintf(" and %d more", more)
	}
	if c.Differs {
		return "the running rules differ from " + files
	}
	return "its rules run: " + files
}
