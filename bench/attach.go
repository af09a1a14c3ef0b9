package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// linkPins is where `domain-route start` pins its links.
const linkPins = "/sys/fs/bpf/domain-route/live/links"

// programs are those of a started domain-route, which this process attaches and detaches in its place: with the same
// maps and at the same hooks, but within milliseconds, so that rounds with and without them can alternate.
type programs struct {
	cgroup *os.File
	hooks  []hookedProgram
	links  []link.Link // while attached
}

type hookedProgram struct {
	pin     string
	attach  ebpf.AttachType
	program *ebpf.Program
}

// takeOver detaches what start attached to a cgroup and leaves the programs detached.
func takeOver(cgroup string) (*programs, error) {
	dir, err := os.Open(cgroup)
	if err != nil {
		return nil, fmt.Errorf("take the programs over: %w", err)
	}
	p := &programs{cgroup: dir}
	pins, err := filepath.Glob(filepath.Join(linkPins, "*"))
	if err != nil || len(pins) == 0 {
		return nil, errors.Join(fmt.Errorf("take the programs over: no links in %s", linkPins), p.close())
	}
	for _, pin := range pins {
		if err := p.take(pin); err != nil {
			return nil, errors.Join(fmt.Errorf("take over %s: %w", pin, err), p.close())
		}
	}
	return p, nil
}

func (p *programs) take(pin string) error {
	l, err := link.LoadPinnedLink(pin, nil)
	if err != nil {
		return err
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return err
	}
	c := info.Cgroup()
	if c == nil {
		return nil // a C library's: in the way of nothing that is measured with these
	}
	program, err := ebpf.NewProgramFromID(info.Program)
	if err != nil {
		return err
	}
	p.hooks = append(p.hooks, hookedProgram{filepath.Base(pin), ebpf.AttachType(c.AttachType), program})
	return l.Detach()
}

// attach attaches the programs of the hooks named, all without names.
func (p *programs) attach(pins ...string) error {
	for _, h := range p.hooks {
		if len(pins) > 0 && !slices.Contains(pins, h.pin) {
			continue
		}
		l, err := link.AttachRawLink(link.RawLinkOptions{Target: int(p.cgroup.Fd()), Program: h.program, Attach: h.attach})
		if err != nil {
			return errors.Join(fmt.Errorf("attach %s: %w", h.pin, err), p.detach())
		}
		p.links = append(p.links, l)
	}
	return nil
}

// detach returns when none of the programs is attached.
func (p *programs) detach() error {
	var errs []error
	for _, l := range p.links {
		errs = append(errs, l.Detach(), l.Close())
	}
	p.links = nil
	return errors.Join(errs...)
}

func (p *programs) close() error {
	err := errors.Join(p.detach(), p.cgroup.Close())
	for _, h := range p.hooks {
		h.program.Close()
	}
	return err
}

// emptied is programs at the same hooks that do nothing: what being attached costs whatever a program does.
func (p *programs) emptied() (*programs, error) {
	dir, err := os.Open(p.cgroup.Name())
	if err != nil {
		return nil, err
	}
	empty := &programs{cgroup: dir}
	for _, h := range p.hooks {
		program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Name: "empty", Type: h.program.Type(), AttachType: h.attach, License: "MIT",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()},
		})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("load an empty program for %s: %w", h.pin, err), empty.close())
		}
		empty.hooks = append(empty.hooks, hookedProgram{h.pin, h.attach, program})
	}
	return empty, nil
}

// at is the program of a hook, by the name of its pin.
func (p *programs) at(pin string) (*ebpf.Program, error) {
	for _, h := range p.hooks {
		if h.pin == pin {
			return h.program, nil
		}
	}
	return nil, fmt.Errorf("no program at %s", pin)
}

// runs is what the kernel's statistics say of a program between two moments.
type runs struct {
	count uint64
	ns    float64 // a run, mean
}

// during runs f with the kernel's statistics on, and returns what they say of a program meanwhile.
func during(p *ebpf.Program, f func() error) (runs, error) {
	off, err := ebpf.EnableStats(bpfStatsRunTime)
	if err != nil {
		return runs{}, fmt.Errorf("turn the kernel's program statistics on: %w", err)
	}
	defer off.Close()
	before, err := p.Stats()
	if err != nil {
		return runs{}, err
	}
	if err := f(); err != nil {
		return runs{}, err
	}
	after, err := p.Stats()
	if err != nil {
		return runs{}, err
	}
	r := runs{count: after.RunCount - before.RunCount}
	if r.count > 0 {
		r.ns = float64(after.Runtime-before.Runtime) / float64(r.count)
	}
	return r, nil
}

// exactly is during, and an error unless the program ran n times.
func exactly(n int, p *ebpf.Program, f func() error) (float64, error) {
	r, err := during(p, f)
	if err == nil && r.count != uint64(n) {
		err = fmt.Errorf("%v ran %d times, not %d", p, r.count, n)
	}
	return r.ns, err
}

// bpfStatsRunTime is BPF_STATS_RUN_TIME of linux/bpf.h.
const bpfStatsRunTime = 0
