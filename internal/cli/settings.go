package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/dataplane"
)

// setting is a key of the configuration that start obeys, and that runs otherwise.
type setting struct {
	Key        string `json:"key"` // observe, history, audit, cgroup
	Configured string `json:"configured"`
	Running    string `json:"running"`
}

// otherSettings are the keys that the configuration has, and that run otherwise. What it has no word about is nobody's
// concern.
func (l *loaded) otherSettings(running dataplane.Settings, present []dataplane.Device, home bool) []setting {
	var all []setting
	if len(l.Observe) > 0 && home {
		o, err := observers(l.Observe, present) // in error where an interface is gone: what runs is not that
		if err != nil || !sameObservers(o.Strings(), running.Observers) {
			all = append(all, setting{"observe", strings.Join(l.Observe, " "), strings.Join(running.Observers, " ")})
		}
	}
	if l.History != nil && *l.History != running.History {
		all = append(all, setting{"history", yesOrNo(*l.History), yesOrNo(running.History)})
	}
	if l.Audit != nil && *l.Audit != running.Audit {
		all = append(all, setting{"audit", yesOrNo(*l.Audit), yesOrNo(running.Audit)})
	}
	if l.Cgroup != "" && !sameDirectory(l.Cgroup, running.Cgroup) {
		all = append(all, setting{"cgroup", l.Cgroup, running.Cgroup})
	}
	return all
}

// sameObservers compares observers, in whatever order their interfaces are.
func sameObservers(a, b []string) bool {
	return slices.EqualFunc(a, b, func(x, y string) bool {
		words := func(s string) []string {
			kind, list, _ := strings.Cut(s, ":")
			names := strings.Split(list, ",")
			slices.Sort(names)
			return append(slices.Compact(names), kind)
		}
		return slices.Equal(words(x), words(y))
	})
}

func sameDirectory(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return a == b
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// settingWarnings say what to do about them: start takes over all but the cgroup, and is refused as long as that is
// another one.
func settingWarnings(all []setting) []string {
	var words []string
	cure := "take it over: domain-route start"
	for _, s := range all {
		if s.Key == "cgroup" {
			cure = "take it over: domain-route stop, then start, which also forgets rules that are not in the configuration"
		}
	}
	for _, s := range all {
		words = append(words, fmt.Sprintf("%s is %s in the configuration, and %s as it runs; %s", s.Key, s.Configured, s.Running, cure))
	}
	return words
}

// runningSettings compares the configuration with how a system runs.
func (l *loaded) runningSettings(s *dataplane.System) ([]setting, error) {
	if len(l.files) == 0 {
		return nil, nil
	}
	present, err := devices()
	if err != nil {
		return nil, err
	}
	running, err := s.Settings(present)
	if err != nil {
		return nil, err
	}
	return l.otherSettings(running, present, s.AtHome()), nil
}
