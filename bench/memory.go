package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// measureMemory takes the kernel memory of a large rule set in two ways: what the kernel says of every map (memlock in
// its fdinfo), and what a memory cgroup of its own is charged for `start` and `apply`.
func (b *bench) measureMemory() error {
	w, err := b.newWorld()
	if err != nil {
		return err
	}
	defer w.close()
	many := b.rules[len(b.rules)-1]
	book, err := w.writeRules([]int{many})
	if err != nil {
		return err
	}
	group, err := newMemoryGroup()
	if err != nil {
		return err
	}
	defer group.remove()
	if err := group.run(w, "start", "--config", "none", "--cgroup", w.Cgroup); err != nil {
		return err
	}
	empty, err := group.charged()
	if err != nil {
		return err
	}
	if err := group.run(w, "apply", "-f", book.config(many, false)); err != nil {
		return err
	}
	charged, err := group.charged()
	if err != nil {
		return err
	}
	maps, err := kernelMemory()
	if err != nil {
		return err
	}
	one := func(r row, v uint64) row {
		r.Unit, r.Rounds, r.Value = "MB", 1, float64(v)/1e6
		return r
	}
	b.report.add(
		one(row{ID: "rules.memory", What: fmt.Sprintf("kernel memory, %d names, every map's fdinfo", many), Limit: atMost(120),
			Note: fmt.Sprintf("%s; %d patterns, since names whose parent is there say nothing new", maps, maps.entries)}, maps.total()),
		one(row{ID: "rules.memory.cgroup", What: fmt.Sprintf("kernel memory, %d names, by the cgroup's account", many), Limit: atMost(120),
			Note: fmt.Sprintf("%s; after start alone %.0f MB; programs and links included", group.file(), float64(empty)/1e6)}, charged),
	)
	return nil
}

// memoryGroup is a memory cgroup for commands, whichever of the two versions has that controller.
type memoryGroup struct {
	dir string
	v2  bool
}

// newMemoryGroup makes one below the cgroup that this process is in.
func newMemoryGroup() (*memoryGroup, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(mounts)) {
		mount, kind, _ := strings.Cut(strings.TrimSpace(line), " - ")
		where := strings.Fields(mount)[4]
		g := &memoryGroup{v2: strings.HasPrefix(kind, "cgroup2 ")}
		options := strings.Split(kind[strings.LastIndex(kind, " ")+1:], ",")
		if !g.v2 && (!strings.HasPrefix(kind, "cgroup ") || !slices.Contains(options, "memory")) {
			continue
		}
		for entry := range strings.Lines(string(own)) {
			f := strings.SplitN(strings.TrimSpace(entry), ":", 3)
			if g.v2 && f[1] == "" || !g.v2 && f[1] == "memory" {
				g.dir = filepath.Join(where, f[2], fmt.Sprintf("domain-route-bench-%d", os.Getpid()))
			}
		}
		if g.dir == "" || os.Mkdir(g.dir, 0o755) != nil {
			continue
		}
		if _, err := g.charged(); err == nil {
			return g, nil
		}
		g.remove()
	}
	return nil, errors.New("no cgroup with the memory controller")
}

func (g *memoryGroup) remove() { _ = unix.Rmdir(g.dir) }

func (g *memoryGroup) file() string {
	if g.v2 {
		return "memory.stat kernel (cgroup v2)"
	}
	return "memory.kmem.usage_in_bytes (cgroup v1)"
}

// charged is how much kernel memory the group is charged for, in bytes.
func (g *memoryGroup) charged() (uint64, error) {
	if !g.v2 {
		b, err := os.ReadFile(filepath.Join(g.dir, "memory.kmem.usage_in_bytes"))
		if err != nil {
			return 0, err
		}
		return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	}
	b, err := os.ReadFile(filepath.Join(g.dir, "memory.stat"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "kernel "); ok {
			return strconv.ParseUint(strings.TrimSpace(n), 10, 64)
		}
	}
	return 0, errors.New("memory.stat tells nothing of kernel memory")
}

// run runs domain-route in the group.
func (g *memoryGroup) run(w *world, args ...string) error {
	enter := `echo $$ > "$0" && exec "$@"`
	cmd := w.HostCommand(context.Background(), "sh", append([]string{"-c", enter, filepath.Join(g.dir, "cgroup.procs"), w.bin}, args...)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("domain-route %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return nil
}

// mapMemory is bytes charged for maps.
type mapMemory struct {
	patterns, text, rest uint64
	entries              uint32 // that the patterns' map has room for
	seen                 map[ebpf.MapID]bool
}

func (m *mapMemory) total() uint64 { return m.patterns + m.text + m.rest }

func (m *mapMemory) String() string {
	return fmt.Sprintf("patterns %.0f MB, text %.0f, the rest %.0f", float64(m.patterns)/1e6, float64(m.text)/1e6, float64(m.rest)/1e6)
}

// kernelMemory sums up every map there is of a started system: pinned, inside of others, or only used by a program.
func kernelMemory() (*mapMemory, error) {
	sum := &mapMemory{seen: map[ebpf.MapID]bool{}}
	live := filepath.Dir(linkPins)
	for _, kind := range []string{"maps", "text", "links", "libc"} {
		pins, err := filepath.Glob(filepath.Join(live, kind, "*"))
		if err != nil || kind != "libc" && len(pins) == 0 {
			return nil, fmt.Errorf("no %s are pinned: %w", kind, err)
		}
		for _, pin := range pins {
			if kind == "links" || kind == "libc" {
				err = sum.ofLink(pin)
			} else {
				err = sum.ofPin(pin, kind)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", pin, err)
			}
		}
	}
	return sum, nil
}

func (m *mapMemory) ofPin(pin, kind string) error {
	p, err := ebpf.LoadPinnedMap(pin, nil)
	if err != nil {
		return err
	}
	defer p.Close()
	into := &m.rest
	if kind == "text" {
		into = &m.text
	}
	if err := m.add(p, into); err != nil || p.Type() != ebpf.ArrayOfMaps && p.Type() != ebpf.HashOfMaps {
		return err
	}
	if filepath.Base(pin) == "rules" {
		into = &m.patterns
	}
	for slot := range p.MaxEntries() {
		var inner *ebpf.Map
		if err := p.Lookup(slot, &inner); errors.Is(err, ebpf.ErrKeyNotExist) {
			continue
		} else if err != nil {
			return fmt.Errorf("open the map in slot %d: %w", slot, err)
		}
		if into == &m.patterns {
			m.entries = inner.MaxEntries()
		}
		err := m.add(inner, into)
		inner.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// ofLink adds the maps of a link's program that are pinned nowhere.
func (m *mapMemory) ofLink(pin string) error {
	l, err := link.LoadPinnedLink(pin, nil)
	if err != nil {
		return err
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return err
	}
	if info.Program == 0 {
		return nil
	}
	program, err := ebpf.NewProgramFromID(info.Program)
	if err != nil {
		return err
	}
	defer program.Close()
	about, err := program.Info()
	if err != nil {
		return err
	}
	ids, _ := about.MapIDs()
	for _, id := range ids {
		used, err := ebpf.NewMapFromID(id)
		if err != nil {
			return err
		}
		err = m.add(used, &m.rest)
		used.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *mapMemory) add(one *ebpf.Map, into *uint64) error {
	info, err := one.Info()
	if err != nil {
		return err
	}
	id, there := info.ID()
	n, told := info.Memlock()
	if !there || !told {
		return fmt.Errorf("%v: the kernel does not say what it takes", one)
	}
	if !m.seen[id] {
		m.seen[id] = true
		*into += n
	}
	return nil
}
