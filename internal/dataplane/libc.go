package dataplane

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/domain-route/domain-route/internal/libc"
)

// A probe is one end of functions of a C library: where they begin, or where they return. Since Linux 6.6 one link
// does for all of them; and it is gone within 30 ms, where the kernel takes 130 ms, and a lock that starts wait for,
// for each link of the older kind (measured on 6.18).
type probe struct {
	library   *libc.Library
	functions []libc.Function
	program   string
}

// multi tells whether the kernel has such links.
var multi = sync.OnceValue(func() bool {
	release, err := kernelRelease()
	old, err2 := olderThan(release, version{6, 6})
	return err == nil && err2 == nil && !old
})

// loadProbes is loadLibc for the kind of links that is used.
func loadProbes() (*ebpf.CollectionSpec, error) {
	spec, err := loadLibc()
	if err == nil && multi() {
		for _, p := range spec.Programs {
			p.AttachType = ebpf.AttachTraceUprobeMulti
		}
	}
	return spec, err
}

// probesOf lists the probes of a library, for links of one kind. Ends come after beginnings: an end whose beginning was
// not seen is nothing to the programs.
func probesOf(l *libc.Library, multi bool) []probe {
	var all []probe
	for _, program := range []string{libcProgLibcEnter, libcProgLibcReturn} {
		if multi {
			all = append(all, probe{l, l.Functions, program})
			continue
		}
		for i := range l.Functions {
			all = append(all, probe{l, l.Functions[i : i+1], program})
		}
	}
	return all
}

// pin names what is probed, by file and places: a library that was replaced has other names. bpffs wants no dots.
func (p probe) pin() string {
	places := fnv.New64a()
	for _, f := range p.functions {
		fmt.Fprintln(places, f.Name, f.Number, f.Offset)
	}
	return fmt.Sprintf("%s_%x_%s", p.library.ID(), places.Sum64(), p.program)
}

func (p probe) link(executable *link.Executable, program *ebpf.Program) (link.Link, error) {
	var places, numbers []uint64
	for _, f := range p.functions {
		places, numbers = append(places, f.Offset), append(numbers, f.Number)
	}
	several := &link.UprobeMultiOptions{Addresses: places, Cookies: numbers}
	one := &link.UprobeOptions{Address: places[0], Cookie: numbers[0]}
	switch {
	case multi() && p.program == libcProgLibcReturn:
		return executable.UretprobeMulti(nil, program, several)
	case multi():
		return executable.UprobeMulti(nil, program, several)
	case p.program == libcProgLibcReturn:
		return executable.Uretprobe("", program, one)
	}
	return executable.Uprobe("", program, one)
}

// newProbe ends the name of a pin that is on its way to replace an older one.
const newProbe = "_new"

// uprobes is there in kernels that can do it.
const uprobes = "/sys/bus/event_source/devices/uprobe"

// checkUprobes refuses the observer `libc` where the kernel cannot do it.
func checkUprobes() error {
	_, err := os.Stat(uprobes)
	if errors.Is(err, fs.ErrNotExist) {
		return refusedf("observe without it: domain-route start --observe sockets",
			"the observer libc needs a kernel with CONFIG_UPROBE_EVENTS, and /sys")
	}
	return err
}

// attachLibc does what is wanted of the observer `libc`. Where the kernel cannot do it, or does not allow it, and nobody
// asked for it, the rest starts without. An update is refused then: it would end what is observed already.
func (s *System) attachLibc(o *Observers, asked bool, programs map[string]*ebpf.Program) error {
	if !o.Libc {
		return s.detachLibraries(nil)
	}
	err := checkUprobes()
	if errors.Is(err, ErrRefused) && !asked {
		o.Libc = false
		s.warn("names that are resolved without DNS are not learnt: %v", err)
		return s.detachLibraries(nil)
	}
	if err != nil {
		return err
	}
	before, err := pinsIn(s.tree.dir("libc"))
	if err != nil {
		return err
	}
	err = s.attachLibraries(programs)
	if errors.Is(err, fs.ErrPermission) && !asked && len(before) == 0 {
		o.Libc = false
		s.warn("names that are resolved without DNS are not learnt: %v", err)
		return s.detachLibraries(nil)
	}
	return err
}

func (s *System) warn(format string, args ...any) {
	s.warnings = append(s.warnings, fmt.Sprintf(format, args...))
}

// attachLibraries observes all C libraries there are, with new programs in the place of old ones, and leaves those
// that are gone. One that is not installed may be any user's: it is told when it cannot be observed, and that is all.
func (s *System) attachLibraries(programs map[string]*ebpf.Program) error {
	if err := os.Mkdir(s.tree.dir("libc"), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make %s: %w", s.tree.dir("libc"), err)
	}
	found, err := libc.Find()
	if err != nil {
		return err
	}
	defer found.Close()
	s.warnings = append(s.warnings, leftOut(found)...)
	wanted := map[string]bool{}
	for _, l := range found.Libraries {
		err := s.attachLibrary(l, programs, wanted)
		if err != nil && l.PID == 0 {
			return refusedf(cureLibrary(err), "observe %s: %w", l.Path, err)
		}
		if err != nil {
			s.warn("%s of process %d is not observed: %v; restart the program that uses it, or leave it", l.Path, l.PID, err)
		}
	}
	return s.detachLibraries(wanted)
}

func cureLibrary(err error) string {
	const without = "start without: domain-route start --observe sockets"
	if errors.Is(err, fs.ErrPermission) && !multi() {
		return "below Linux 6.6 Debian's kernels want CAP_SYS_ADMIN for that; " + without
	}
	return without
}

// attachLibrary puts new links in the place of older ones, if there are any: such links take no other program. For a
// moment there are both, which does no harm: who comes second finds the call done.
func (s *System) attachLibrary(l *libc.Library, programs map[string]*ebpf.Program, wanted map[string]bool) error {
	executable, err := link.OpenExecutable(l.Open())
	if err != nil {
		return err
	}
	probes := probesOf(l, multi())
	for _, p := range probes {
		if err := s.attachProbe(p, executable, programs[p.program]); err != nil {
			return err
		}
	}
	for _, p := range probes {
		pin := s.tree.probePin(p.pin())
		if err := os.Rename(pin+newProbe, pin); err != nil {
			return fmt.Errorf("replace the link %s: %w", pin, err)
		}
		wanted[p.pin()] = true
	}
	return nil
}

func (s *System) attachProbe(p probe, executable *link.Executable, program *ebpf.Program) error {
	l, err := p.link(executable, program)
	if err != nil {
		return err
	}
	defer l.Close()
	pin := s.tree.probePin(p.pin()) + newProbe
	if err := os.Remove(pin); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what was left at %s: %w", pin, err)
	}
	if err := l.Pin(pin); err != nil {
		return fmt.Errorf("pin the link at %s: %w", pin, err)
	}
	return nil
}

// detachLibraries removes all probes that are not wanted. The kernel ends them a moment later.
func (s *System) detachLibraries(wanted map[string]bool) error {
	pins, err := pinsIn(s.tree.dir("libc"))
	if err != nil {
		return err
	}
	for _, name := range pins {
		if wanted[name] {
			continue
		}
		if err := os.Remove(s.tree.probePin(name)); err != nil {
			return fmt.Errorf("remove the link %s: %w", name, err)
		}
	}
	return nil
}

// Library is a C library as status tells of it.
type Library struct {
	Path      string
	PID       int      // a process that maps it; 0: it is installed
	Attached  bool     // all of its functions are
	Functions []string // those that are observed, by name
}

// libraries tells which C libraries there are now, and which of them are observed.
func (s *System) libraries() ([]Library, []string, error) {
	pins, err := pinsIn(s.tree.dir("libc"))
	if err != nil {
		return nil, nil, err
	}
	there := map[string]bool{}
	for _, name := range pins {
		there[name] = true
	}
	found, err := libc.Find()
	if err != nil {
		return nil, nil, err
	}
	defer found.Close()
	var all []Library
	for _, l := range found.Libraries {
		row := Library{Path: l.Path, PID: l.PID, Attached: true}
		for _, f := range l.Functions {
			if observed(l, f, there) {
				row.Functions = append(row.Functions, f.Name)
			} else {
				row.Attached = false
			}
		}
		slices.Sort(row.Functions)
		all = append(all, row)
	}
	return all, append(leftOut(found), unobserved(all)...), nil
}

// observed tells whether both ends of a function have a link.
func observed(l *libc.Library, f libc.Function, pins map[string]bool) bool {
	for _, p := range probesOf(l, multi()) {
		if slices.Contains(p.functions, f) && !pins[p.pin()] {
			return false
		}
	}
	return true
}

// leftOut warns of what there is that may not be observed.
func leftOut(found libc.Found) []string {
	var warnings []string
	if len(found.Libraries) == 0 {
		warnings = append(warnings, "no C library is found to observe; once there is one: domain-route start")
	}
	if found.Skipped > 0 {
		warnings = append(warnings, fmt.Sprintf("%d more C libraries of programs are not observed: %s", found.Skipped, strings.Join(found.Why, ", ")))
	}
	if found.Hidden {
		warnings = append(warnings, "not all programs could be looked at for C libraries: root needs CAP_SYS_PTRACE and CAP_CHECKPOINT_RESTORE")
	}
	if found.Late {
		warnings = append(warnings, "there was no time to look at the C libraries of all programs: some may not be observed")
	}
	return warnings
}

// unobserved warns of libraries that came after start, as a package's upgrade brings them, and of those that start could
// not observe.
func unobserved(all []Library) []string {
	var warnings []string
	for _, l := range all {
		switch {
		case l.Attached:
		case l.PID == 0:
			warnings = append(warnings, l.Path+" is not observed: it is new, or was replaced; mend it: domain-route start")
		default:
			warnings = append(warnings, fmt.Sprintf("%s of process %d is not observed: it is new (domain-route start), or cannot be: "+
				"restart the program that uses it, or leave it", l.Path, l.PID))
		}
	}
	return warnings
}
