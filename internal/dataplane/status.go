package dataplane

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/ruleset"
)

// States of the whole.
const (
	StateStarted    = "started"
	StateStopped    = "stopped"
	StateUnfinished = "unfinished" // a start or stop was cut short: nothing is steered
	StateForeign    = "foreign"    // another version's layout
	StateDamaged    = "damaged"    // parts are missing
)

// Status is all there is to say about what runs in the kernel.
type Status struct {
	State      string
	Home       bool // this process is in the network namespace that is steered
	Observers  []string
	Cgroup     string
	Rules      int
	Targets    []ruleset.TargetRules // those of the rules, by their text
	Digest     [32]byte              // of the rules, as Digest computes it
	Generation uint32
	History    bool // names without a rule are kept
	Programs   []Program
	Libraries  []Library // C libraries, where they are observed
	Counters   []Counter
	Memory     uint64 // bytes of kernel memory, all maps
	Warnings   []string
	Since      time.Time // of start
	Version    string    // of the binary that loaded the programs
	Audit      bool      // connections that were not steered are looked at
}

// Program is one attached program.
type Program struct {
	Name     string
	Hook     string
	ID       uint32
	Attached bool
	Verified uint32 // instructions the verifier walked; 0 where the kernel does not say
}

// Counter is one named counter, summed over the CPUs.
type Counter struct {
	Name  string
	Value uint64
}

// Inspect tells the status, given the interfaces there are. That nothing is started is no error.
func Inspect(present []Device) (Status, error) {
	return Look(present, nil)
}

// without is the status where there is no whole system to ask.
func (l *lock) without(err error) (Status, error) {
	var layout *LayoutError
	switch {
	case errors.As(err, &layout):
		return Status{State: StateForeign, Warnings: []string{err.Error()}}, nil
	case errors.Is(err, ErrDamaged):
		return Status{State: StateDamaged, Warnings: []string{err.Error()}}, nil
	case !errors.Is(err, ErrNotStarted):
		return Status{}, err
	}
	names, err := pinsIn(base)
	if slices.ContainsFunc(names, stale) {
		return Status{State: StateUnfinished, Warnings: []string{"a command was cut short; tidy up: domain-route start, or stop"}}, err
	}
	return Status{State: StateStopped}, err
}

func (s *System) status(present []Device) (Status, error) {
	st := Status{State: StateStarted, Home: s.AtHome(), Cgroup: s.cgroup(), Generation: s.generation(), History: s.history(), Audit: s.audit()}
	if s.state.Enabled == 0 {
		st.State = StateUnfinished
		st.Warnings = append(st.Warnings, "a start was cut short; finish it: domain-route start")
	}
	if s.state.Staged != 0 {
		st.Warnings = append(st.Warnings, "a rule change was cut short; any command finishes or forgets it, such as: domain-route rule list")
	}
	if !st.Home {
		present = nil
	}
	st.Since = clockTime(s.state.Started)
	st.Version = unix.ByteSliceToString(s.state.Version[:])
	observers, err := s.observers(present)
	if err != nil {
		return st, err
	}
	st.Observers = observers.Strings()
	// The text, too: without it the rules cannot be told, nor changed.
	if st.Targets, err = s.targetRules(); err != nil {
		return st, err
	}
	meta, err := s.meta()
	if err != nil {
		return st, err
	}
	st.Rules, st.Digest = int(meta.Rules), meta.Digest
	if st.Programs, err = s.programs(); err != nil {
		return st, err
	}
	st.Warnings = append(st.Warnings, s.missing(st.Programs)...)
	if observers.Libc && st.Home {
		var warnings []string
		if st.Libraries, warnings, err = s.libraries(); err != nil {
			return st, err
		}
		st.Warnings = append(st.Warnings, warnings...)
	}
	if st.Counters, err = s.counters(); err != nil {
		return st, err
	}
	st.Memory, err = s.memory()
	return st, err
}

func (s *System) programs() ([]Program, error) {
	var all []Program
	links, err := pinsIn(s.tree.dir("links"))
	if err != nil {
		return nil, err
	}
	for _, name := range links {
		l, err := link.LoadPinnedLink(s.tree.linkPin(name), nil)
		if err != nil {
			return nil, fmt.Errorf("open the pinned link %s: %w", name, err)
		}
		p, err := linkedProgram(name, l)
		l.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	notes, err := clsactNotes(s.tree)
	if err != nil {
		return nil, err
	}
	if !s.AtHome() {
		return all, nil // the interfaces are not to be seen from here
	}
	for _, n := range notes {
		rows, err := n.programs()
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// programs looks for the filters that a note tells of.
func (n clsactNote) programs() ([]Program, error) {
	in, out := Device{Index: n.ifindex}.hooks()
	rows := []Program{{Hook: in.pin}, {Hook: out.pin}}
	for i, h := range []hook{in, out} {
		id, found, err := filterProgram(h)
		if err != nil || !found {
			if err != nil {
				return nil, err
			}
			continue
		}
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			return nil, fmt.Errorf("open the program of the filter %s: %w", h.pin, err)
		}
		rows[i].Attached = true
		err = rows[i].describe(p)
		p.Close()
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func linkedProgram(hook string, l link.Link) (Program, error) {
	row := Program{Hook: hook}
	info, err := l.Info()
	if err != nil {
		return row, fmt.Errorf("ask about the link %s: %w", hook, err)
	}
	p, err := ebpf.NewProgramFromID(info.Program)
	if err != nil {
		return row, fmt.Errorf("open the program of the link %s: %w", hook, err)
	}
	defer p.Close()
	row.Attached = true
	if c := info.Cgroup(); c != nil {
		row.Attached = c.CgroupId != 0
	}
	if t := info.TCX(); t != nil {
		row.Attached = t.Ifindex != 0
	}
	return row, row.describe(p)
}

func (row *Program) describe(p *ebpf.Program) error {
	info, err := p.Info()
	if err != nil {
		return fmt.Errorf("ask about the program at %s: %w", row.Hook, err)
	}
	row.Name = info.Name
	if id, ok := info.ID(); ok {
		row.ID = uint32(id)
	}
	row.Verified, _ = info.VerifiedInstructions()
	return nil
}

// missing warns of what should be attached and is not: somebody removed a pin, or an interface is gone.
func (s *System) missing(have []Program) []string {
	var warnings []string
	for _, h := range s.hooks() {
		if !slices.ContainsFunc(have, func(p Program) bool { return p.Hook == h.pin }) {
			warnings = append(warnings, h.pin+" is not attached; mend it: domain-route start")
		}
	}
	if _, err := os.Stat(s.cgroup()); err != nil {
		return append(warnings, "nothing is steered: the cgroup "+s.cgroup()+" is gone; keep the rules with "+
			"`domain-route rule list > FILE`, then: "+again)
	}
	for _, p := range have {
		switch {
		case p.Attached:
		case strings.HasPrefix(p.Hook, "tc_"):
			warnings = append(warnings, p.Hook+": the interface is gone; if it is back, watch it again: domain-route start --observe ...")
		default:
			warnings = append(warnings, p.Hook+" lost what it was attached to; mend it: domain-route start")
		}
	}
	return warnings
}

// counterNames returns the counters' names, by number: those of the enum in bpf/abi.h, from the programs' type
// information. Read once, and only where they are wanted: it takes 8 ms.
var counterNames = sync.OnceValues(readCounterNames)

func readCounterNames() (map[uint32]string, error) {
	spec, err := loadLearn()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programs: %w", err)
	}
	var enum *btf.Enum
	if err := spec.Types.TypeByName("counter", &enum); err != nil {
		return nil, fmt.Errorf("find the counters' names: %w", err)
	}
	names := map[uint32]string{}
	for _, v := range enum.Values {
		if name, ok := strings.CutPrefix(v.Name, "COUNT_"); ok {
			names[uint32(v.Value)] = strings.ToLower(name)
		}
	}
	return names, nil
}

// counters reads all counters.
func (s *System) counters() ([]Counter, error) {
	names, err := counterNames()
	if err != nil {
		return nil, err
	}
	var all []Counter
	for _, i := range slices.Sorted(maps.Keys(names)) {
		var perCPU []uint64
		if err := s.maps[learnMapCounters].Lookup(i, &perCPU); err != nil {
			return nil, fmt.Errorf("read the counter %s: %w", names[i], err)
		}
		c := Counter{Name: names[i]}
		for _, n := range perCPU {
			c.Value += n
		}
		all = append(all, c)
	}
	return all, nil
}

// memory sums up what the kernel charges for the maps.
func (s *System) memory() (uint64, error) {
	all := slices.Collect(maps.Values(s.maps))
	for _, outer := range innerMaps {
		m, err := s.inner(outer)
		if err != nil {
			return 0, err
		}
		if m != nil {
			defer m.Close()
			all = append(all, m)
		}
	}
	text, err := ebpf.LoadPinnedMap(s.tree.textPin(s.generation()), nil)
	if err == nil { // without rules there is none
		defer text.Close()
		all = append(all, text)
	}
	var sum uint64
	for _, m := range all {
		info, err := m.Info()
		if err != nil {
			return 0, fmt.Errorf("ask about the map %v: %w", m, err)
		}
		if bytes, ok := info.Memlock(); ok {
			sum += bytes
		}
	}
	return sum, nil
}
