package dataplane

import (
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// Glance is the part of the status that a live view reads again and again: what it costs does not grow with the rules.
// Observers, programs, libraries, memory and targets are left out.
func (s *System) Glance() (Status, error) {
	st := Status{State: StateStarted, Home: s.AtHome(), Cgroup: s.cgroup(), Generation: s.generation(), History: s.history()}
	st.Since, st.Version = clockTime(s.state.Started), unix.ByteSliceToString(s.state.Version[:])
	meta, err := s.meta()
	if err != nil {
		return st, err
	}
	st.Rules, st.Digest = int(meta.Rules), meta.Digest
	st.Counters, err = s.counters()
	return st, err
}

// Targets counts the rules in force by target; with a million it takes a good part of a second.
func (s *System) Targets() ([]ruleset.TargetRules, error) { return s.targetRules() }
