package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

// States of the whole.
const (
	StateStarted    = "started"
	StateStopped    = "stopped"
	StateUnfinished = "unfinished" // a start or stop was cut short: nothing is steered
)

// Status is all there is to say about what runs in the kernel.
type Status struct {
	State      string
	Home       bool // this process is in the network namespace that is steered
	Observers  []string
	Cgroup     string
	Rules      int
	Generation uint32
	Programs   []Program
	Counters   []Counter
	Memory     uint64 // bytes of kernel memory, all maps
	Warnings   []string
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

// Inspect tells the status. That nothing is started is no error.
func Inspect() (Status, error) {
	if os.Geteuid() != 0 {
		return Status{}, refusedf("run it as root, by sudo", "not root")
	}
	l, err := acquire(false)
	if errors.Is(err, ErrNotStarted) {
		return Status{State: StateStopped}, nil
	}
	if err != nil {
		return Status{}, err
	}
	defer l.release()
	s, err := l.open()
	if errors.Is(err, ErrNotStarted) {
		return Status{State: StateUnfinished, Warnings: []string{"a command was cut short; tidy up: domain-route start, or stop"}}, nil
	}
	if err != nil {
		return Status{}, err
	}
	defer s.closeMaps()
	return s.status()
}

func (s *System) status() (Status, error) {
	st := Status{State: StateStarted, Home: s.AtHome(), Cgroup: s.cgroup(), Generation: s.generation()}
	if s.state.Enabled == 0 {
		st.State = StateUnfinished
		st.Warnings = append(st.Warnings, "a start was cut short; finish it: domain-route start")
	}
	if s.state.Observers&observeSockets != 0 {
		st.Observers = append(st.Observers, "sockets")
	}
	if s.state.Observers&observeTC != 0 {
		st.Observers = append(st.Observers, "tc")
	}
	set, err := s.Rules()
	if err != nil {
		return st, err
	}
	st.Rules = set.Len()
	if st.Programs, err = s.programs(); err != nil {
		return st, err
	}
	st.Warnings = append(st.Warnings, s.missing(st.Programs)...)
	if st.Counters, err = s.counters(); err != nil {
		return st, err
	}
	st.Memory, err = s.memory()
	return st, err
}

func (s *System) programs() ([]Program, error) {
	var all []Program
	entries, err := os.ReadDir(s.tree.dir("links"))
	if err != nil {
		return nil, fmt.Errorf("list the pinned links: %w", err)
	}
	for _, e := range entries {
		l, err := link.LoadPinnedLink(s.tree.linkPin(e.Name()), nil)
		if err != nil {
			return nil, fmt.Errorf("open the pinned link %s: %w", e.Name(), err)
		}
		p, err := linkedProgram(e.Name(), l)
		l.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	filters, err := os.ReadDir(s.tree.dir("clsact"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the filters: %w", err)
	}
	for _, e := range filters {
		p, err := ebpf.LoadPinnedProgram(filepath.Join(s.tree.dir("clsact"), e.Name()), nil)
		if err != nil {
			return nil, fmt.Errorf("open the filter's program %s: %w", e.Name(), err)
		}
		row := Program{Hook: "clsact_" + strings.TrimSuffix(e.Name(), "_own"), Attached: true}
		err = row.describe(p)
		p.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, nil
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
	want := slices.Clone(steerHooks)
	if s.state.Observers&observeSockets != 0 {
		want = append(want, socketHooks...)
	}
	var warnings []string
	for _, h := range want {
		if !slices.ContainsFunc(have, func(p Program) bool { return p.Hook == h.pin }) {
			warnings = append(warnings, h.pin+" is not attached; mend it: domain-route start")
		}
	}
	for _, p := range have {
		if !p.Attached {
			warnings = append(warnings, p.Hook+" lost what it was attached to; mend it: domain-route start")
		}
	}
	return warnings
}

// counters reads all counters. Their names are those of the enum in bpf/abi.h, from the programs' type
// information.
func (s *System) counters() ([]Counter, error) {
	spec, err := loadLearn()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programs: %w", err)
	}
	var enum *btf.Enum
	if err := spec.Types.TypeByName("counter", &enum); err != nil {
		return nil, fmt.Errorf("find the counters' names: %w", err)
	}
	var all []Counter
	for _, v := range enum.Values {
		name, ok := strings.CutPrefix(v.Name, "COUNT_")
		if !ok {
			continue
		}
		var perCPU []uint64
		if err := s.maps[learnMapCounters].Lookup(uint32(v.Value), &perCPU); err != nil {
			return nil, fmt.Errorf("read the counter %s: %w", name, err)
		}
		c := Counter{Name: strings.ToLower(name)}
		for _, n := range perCPU {
			c.Value += n
		}
		all = append(all, c)
	}
	return all, nil
}

// memory sums up what the kernel charges for the maps.
func (s *System) memory() (uint64, error) {
	var sum uint64
	for name, m := range s.maps {
		info, err := m.Info()
		if err != nil {
			return 0, fmt.Errorf("ask about the map %s: %w", name, err)
		}
		if bytes, ok := info.Memlock(); ok {
			sum += bytes
		}
	}
	var patterns *ebpf.Map
	if err := s.maps[learnMapRules].Lookup(s.slot(), &patterns); err != nil {
		return 0, fmt.Errorf("open the patterns: %w", err)
	}
	defer patterns.Close()
	info, err := patterns.Info()
	if err != nil {
		return 0, fmt.Errorf("ask about the patterns: %w", err)
	}
	bytes, _ := info.Memlock()
	return sum + bytes, nil
}
