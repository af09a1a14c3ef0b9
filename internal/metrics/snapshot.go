// Package metrics tells what domain-route does in the words of Prometheus.
package metrics

import "time"

// Snapshot is all that is told, of one moment. Texts are to be printable.
type Snapshot struct {
	State   string   // the one it is in
	States  []string // all there are
	Started bool

	CommandVersion string

	// What follows is told only of a started system.
	Version       string // of the loaded programs
	Layout        int
	Since         time.Time // zero: not known
	Warnings      int
	History       bool
	Audit         bool
	Configuration Configuration
	Rules         int
	RulesHit      int
	Hits          []Hit  // of rules that get a series of their own
	OtherHits     uint64 // of all others, in sum
	Targets       []Target
	Counters      map[string]uint64
	LastLeak      time.Time // zero: none
	Learnt        Learnt
	Maps          []Map
	Interfaces    []Interface // nil: they are not to be seen from here
	Memory        uint64      // bytes
}

// Configuration is how the configuration is, and how what runs stands to it.
type Configuration struct{ Readable, Differs bool }

// Hit is how many connections a rule decided.
type Hit struct {
	Pattern, Condition, Target string
	Count                      uint64
}

// Target is a target of rules in force.
type Target struct {
	Text  string
	Rules int
	Hits  uint64
}

// Learnt is how many names are known.
type Learnt struct {
	Addresses, Conflicts int
	Names                map[string]int // by level
}

// Map is how full one of the kernel's maps is.
type Map struct {
	Name              string
	Entries, Capacity int
}

// Interface is one that rules lead to.
type Interface struct {
	Name              string
	Exists, Up        bool
	Addresses4        int
	Addresses6, Rules int
}

// OtherRules stands for the pattern of the rules that have no series of their own. No pattern has brackets.
const OtherRules = "(others)"
