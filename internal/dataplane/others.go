package dataplane

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// Support is what this kernel and this host say when asked.
type Support struct {
	Refused     error  // why start would be refused
	Cgroup      string // the root of cgroup v2
	NoCgroup    error  // why there is none
	BPFFS       bool   // is mounted
	Uprobes     bool   // the observer `libc` can be
	ReadsKernel bool   // programs may read the kernel's memory: conditions on cgroups can be tested
	Resends     bool   // the kernel sends a first datagram again by itself
}

// AskSupport asks without changing anything.
func AskSupport() Support {
	s := Support{Refused: checkHost(), BPFFS: isBPFFS(filepath.Dir(base)), Uprobes: checkUprobes() == nil}
	s.Cgroup, s.NoCgroup = findCgroup()
	if s.Refused == nil {
		s.ReadsKernel = readsKernel()
	}
	var f *btf.Func
	if types, err := btf.LoadKernelSpec(); err == nil {
		s.Resends = types.TypeByName("bpf_task_work_schedule_signal", &f) == nil ||
			types.TypeByName("bpf_task_work_schedule_signal_impl", &f) == nil
	}
	return s
}

// Other is a program that somebody else attached where ours are, or would be.
type Other struct {
	Hook   string // connect4, ...
	Cgroup string // the directory, or empty
	Device string // the interface, or empty
	Side   Side   // of the cgroup, as seen from the attached one
	ID     uint32
	Name   string // of the program, as whoever loaded it calls it
	Link   uint32 // by which it is attached; 0: by none
	After  bool   // it runs after ours

	Redirects bool // a filter that sends what leaves by another interface
}

// Side is where a cgroup is as seen from the attached one.
type Side string

// The sides. The kernel runs the programs of the deepest cgroup first.
const (
	Above Side = "above"
	Here  Side = "here"
	Below Side = "below"
)

// moreHooks are no hooks of ours, but what programs there do reaches the same sockets.
var moreHooks = []hook{{pin: "sock_create", attach: ebpf.AttachCGroupInetSockCreate}}

// mostCgroups is how many below the attached one are looked at: each costs a call for each hook.
const mostCgroups = 1000

// Others lists the programs of others on our hooks: of the cgroup, those above it and those below it. partly: there
// are more cgroups below than were looked at.
func Others(cgroup, top string) (all []Other, partly bool, err error) {
	ours, err := ourPrograms()
	if err != nil {
		return nil, false, err
	}
	ids := linkIDs()
	for dir := filepath.Dir(cgroup); len(dir) >= len(top) && cgroup != top; dir = filepath.Dir(dir) {
		some, err := othersIn(dir, Above, ours, ids)
		if err != nil {
			return nil, false, err
		}
		all = append(all, some...)
	}
	seen := 0
	err = filepath.WalkDir(cgroup, func(dir string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // gone meanwhile
		case err != nil:
			return err
		case !e.IsDir():
			return nil
		case seen == mostCgroups:
			partly = true
			return fs.SkipAll
		}
		seen++
		side := Below
		if dir == cgroup {
			side = Here
		}
		some, err := othersIn(dir, side, ours, ids)
		all = append(all, some...)
		return err
	})
	return all, partly, err
}

// othersIn lists those of one cgroup.
func othersIn(dir string, side Side, ours map[ebpf.ProgramID]bool, links map[ebpf.ProgramID]uint32) ([]Other, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the cgroup: %w", err)
	}
	defer f.Close()
	var all []Other
	for _, h := range slices.Concat(cgroupHooks, moreHooks) {
		found, err := link.QueryPrograms(link.QueryOptions{Target: int(f.Fd()), Attach: h.attach})
		if err != nil {
			return nil, fmt.Errorf("ask which programs are at %s of %s: %w", h.pin, dir, err)
		}
		after := side == Above
		for _, p := range found.Programs {
			if ours[p.ID] {
				after = true
				continue
			}
			all = append(all, Other{Hook: h.pin, Cgroup: dir, Side: side, ID: uint32(p.ID), Name: programName(p.ID), Link: links[p.ID], After: after})
		}
	}
	return all, nil
}

// OthersOf lists what others have to do with packets of an interface: tcx programs (Linux 6.6 and later), and filters of
// traffic control on what leaves.
func OthersOf(d Device) []Other {
	ours, err := ourPrograms()
	if err != nil {
		return nil
	}
	all := otherFilters(d)
	for _, h := range []hook{{pin: "tcx_ingress", attach: ebpf.AttachTCXIngress}, {pin: "tcx_egress", attach: ebpf.AttachTCXEgress}} {
		found, err := link.QueryPrograms(link.QueryOptions{Target: d.Index, Attach: h.attach})
		if err != nil {
			continue // an older kernel
		}
		for _, p := range found.Programs {
			if l, _ := p.LinkID(); !ours[p.ID] {
				all = append(all, Other{Hook: h.pin, Device: d.Name, ID: uint32(p.ID), Name: programName(p.ID), Link: uint32(l)})
			}
		}
	}
	return all
}

// otherFilters lists the filters on what leaves by an interface that are none of ours.
func otherFilters(d Device) []Other {
	dev, err := netlink.LinkByIndex(d.Index)
	if err != nil {
		return nil
	}
	filters, err := netlink.FilterList(dev, netlink.HANDLE_MIN_EGRESS)
	if err != nil {
		return nil // no clsact there
	}
	var all []Other
	for _, f := range filters {
		o := Other{Hook: "tc_egress", Device: d.Name, Name: f.Type(), Redirects: redirects(f)}
		if p, ok := f.(*netlink.BpfFilter); ok {
			if p.Handle == clsactHandle && p.Priority == clsactPriority {
				continue
			}
			o.ID, o.Name = uint32(p.Id), p.Name
		}
		all = append(all, o)
	}
	return all
}

// redirects tells whether a filter has an action that sends packets by another interface.
func redirects(f netlink.Filter) bool {
	var actions []netlink.Action
	switch f := f.(type) {
	case *netlink.U32:
		actions = f.Actions
	case *netlink.MatchAll:
		actions = f.Actions
	case *netlink.Flower:
		actions = f.Actions
	}
	return slices.ContainsFunc(actions, func(a netlink.Action) bool {
		m, ok := a.(*netlink.MirredAction)
		return ok && (m.MirredAction == netlink.TCA_EGRESS_REDIR || m.MirredAction == netlink.TCA_INGRESS_REDIR)
	})
}

// ourPrograms are those of the pinned links; none where nothing is started.
func ourPrograms() (map[ebpf.ProgramID]bool, error) {
	ours := map[ebpf.ProgramID]bool{}
	names, err := pinsIn(live + "/links")
	for _, name := range names {
		l, err := link.LoadPinnedLink(tree(live).linkPin(name), nil)
		if err != nil {
			continue // stopped meanwhile
		}
		if info, err := l.Info(); err == nil {
			ours[info.Program] = true
		}
		l.Close()
	}
	return ours, err
}

// linkIDs tells by which links programs are attached to cgroups.
func linkIDs() map[ebpf.ProgramID]uint32 {
	all := map[ebpf.ProgramID]uint32{}
	it := new(link.Iterator)
	defer it.Close()
	for it.Next() {
		if info, err := it.Link.Info(); err == nil && info.Type == link.CgroupType {
			all[info.Program] = cmp.Or(all[info.Program], uint32(info.ID))
		}
	}
	return all
}

func programName(id ebpf.ProgramID) string {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return ""
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return ""
	}
	return info.Name
}
