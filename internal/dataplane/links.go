package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// A hook is a place in the kernel that a program of ours is attached to.
type hook struct {
	pin     string
	program string
	attach  ebpf.AttachType
	ifindex int // 0: the cgroup
}

// cgroupHooks are in the order in which they are attached: observers before what they feed. All are attached whatever the
// observers: the packets' hooks also guard datagrams.
var cgroupHooks = []hook{
	{pin: "ingress", program: learnProgDnsIngress, attach: ebpf.AttachCGroupInetIngress},
	{pin: "egress", program: learnProgDnsEgress, attach: ebpf.AttachCGroupInetEgress},
	{pin: "connect4", program: steerProgSteerConnect4, attach: ebpf.AttachCGroupInet4Connect},
	{pin: "connect6", program: steerProgSteerConnect6, attach: ebpf.AttachCGroupInet6Connect},
	{pin: "sendmsg4", program: steerProgSteerSendmsg4, attach: ebpf.AttachCGroupUDP4Sendmsg},
	{pin: "sendmsg6", program: steerProgSteerSendmsg6, attach: ebpf.AttachCGroupUDP6Sendmsg},
	{pin: "bind4", program: steerProgSteerBind4, attach: ebpf.AttachCGroupInet4Bind},
	{pin: "bind6", program: steerProgSteerBind6, attach: ebpf.AttachCGroupInet6Bind},
}

// auditHook is attached only with the audit: behind dns_egress, whose drops it need not see.
var auditHook = hook{pin: "audit", program: auditProgAuditEgress, attach: ebpf.AttachCGroupInetEgress}

// hooks are those that are to be attached to the cgroup.
func (s *System) hooks() []hook {
	if s.audit() {
		return append(slices.Clone(cgroupHooks), auditHook)
	}
	return cgroupHooks
}

// attach puts the wanted hooks in place, observers before what they feed: links that are there go on with the
// new programs, and what is not wanted any more is taken away. If observers were not `asked` for, those that cannot be
// had are taken out.
func (s *System) attach(o *Observers, asked bool, programs map[string]*ebpf.Program) error {
	dir, err := os.Open(s.cgroup())
	if err != nil {
		return fmt.Errorf("open the cgroup: %w", err)
	}
	defer dir.Close()
	if err := s.attachLibc(o, asked, programs); err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, d := range o.Devices {
		if err := s.attachDevice(d, programs, wanted); err != nil {
			return err
		}
	}
	for _, h := range s.hooks() {
		if err := s.attachHook(h, programs[h.program], dir); err != nil {
			return err
		}
		wanted[h.pin] = true
	}
	return s.detachUnwanted(wanted)
}

func (s *System) detachUnwanted(wanted map[string]bool) error {
	pins, err := pinsIn(s.tree.dir("links"))
	if err != nil {
		return err
	}
	for _, name := range pins {
		if !wanted[name] {
			if err := detach(s.tree.linkPin(name)); err != nil {
				return err
			}
		}
	}
	notes, err := clsactNotes(s.tree)
	if err != nil {
		return err
	}
	for _, n := range notes {
		if !wanted[n.name] {
			if err := n.remove(s.tree); err != nil {
				return err
			}
		}
	}
	return nil
}

// pinsIn lists a directory of pins; one that is not there has none.
func pinsIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the pins: %w", err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

func (s *System) attachHook(h hook, p *ebpf.Program, cgroup *os.File) error {
	pin := s.tree.linkPin(h.pin)
	old, err := link.LoadPinnedLink(pin, nil)
	switch {
	case err == nil:
		err = old.Update(p)
		old.Close()
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.ENOLINK) {
			return fmt.Errorf("update the link %s: %w", pin, err)
		}
		// The device or the cgroup is gone, and with it what the link stood for.
		if err := os.Remove(pin); err != nil {
			return fmt.Errorf("remove the dead link %s: %w", pin, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("open the pinned link %s: %w", pin, err)
	}
	l, err := h.link(p, cgroup)
	if err != nil {
		return attachError(h, err)
	}
	defer l.Close()
	if err := l.Pin(pin); err != nil {
		return fmt.Errorf("pin the link at %s: %w", pin, err)
	}
	return nil
}

func (h hook) link(p *ebpf.Program, cgroup *os.File) (link.Link, error) {
	if h.ifindex != 0 {
		return link.AttachTCX(link.TCXOptions{Interface: h.ifindex, Program: p, Attach: h.attach})
	}
	return link.AttachRawLink(link.RawLinkOptions{Target: int(cgroup.Fd()), Program: p, Attach: h.attach})
}

func attachError(h hook, err error) error {
	if errors.Is(err, unix.EPERM) {
		return refusedf("see what is there: bpftool cgroup tree",
			"attach at %s: another tool is attached there in a way that leaves no room: %w", h.pin, err)
	}
	return fmt.Errorf("attach at %s: %w", h.pin, err)
}

// detach ends a pinned link: detached first, so that the program no longer runs when this returns.
func detach(pin string) error {
	l, err := link.LoadPinnedLink(pin, nil)
	if err == nil {
		// What is gone already, or cannot be detached but by its last reference, ends with the pin.
		_ = l.Detach()
		defer l.Close()
	}
	if err := os.Remove(pin); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the link %s: %w", pin, err)
	}
	return nil
}

// dismantle removes a tree of pins and all it keeps alive.
func dismantle(t tree) error {
	links, err := pinsIn(t.dir("links"))
	if err != nil {
		return err
	}
	for _, name := range links {
		if err := detach(t.linkPin(name)); err != nil {
			return err
		}
	}
	if err := checkReach(t); err != nil {
		return err
	}
	notes, err := clsactNotes(t)
	if err != nil {
		return err
	}
	for _, n := range notes {
		if err := n.remove(t); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(string(t)); err != nil {
		return fmt.Errorf("remove %s: %w", t, err)
	}
	return nil
}
