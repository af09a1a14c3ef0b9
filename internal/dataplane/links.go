package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

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

var steerHooks = []hook{
	{pin: "connect4", program: steerProgSteerConnect4, attach: ebpf.AttachCGroupInet4Connect},
	{pin: "connect6", program: steerProgSteerConnect6, attach: ebpf.AttachCGroupInet6Connect},
	{pin: "sendmsg4", program: steerProgSteerSendmsg4, attach: ebpf.AttachCGroupUDP4Sendmsg},
	{pin: "sendmsg6", program: steerProgSteerSendmsg6, attach: ebpf.AttachCGroupUDP6Sendmsg},
}

var socketHooks = []hook{
	{pin: "ingress", program: learnProgDnsIngress, attach: ebpf.AttachCGroupInetIngress},
	{pin: "egress", program: learnProgDnsEgress, attach: ebpf.AttachCGroupInetEgress},
}

// hooks lists what the options want attached, observers before what they feed.
func (o StartOptions) hooks() []hook {
	var all []hook
	if o.Sockets {
		all = append(all, socketHooks...)
	}
	for _, d := range o.Devices {
		all = append(all, d.hooks()...)
	}
	return append(all, steerHooks...)
}

// attach puts the wanted hooks in place: links that are there go on with the new programs, and what is not
// wanted any more is taken away.
func (s *System) attach(o StartOptions, programs map[string]*ebpf.Program) error {
	dir, err := os.Open(s.cgroup())
	if err != nil {
		return fmt.Errorf("open the cgroup: %w", err)
	}
	defer dir.Close()
	wanted := map[string]bool{}
	for _, h := range o.hooks() {
		if err := s.attachHook(h, programs[h.program], dir); err != nil {
			return err
		}
		wanted[h.pin] = true
	}
	entries, err := os.ReadDir(s.tree.dir("links"))
	if err != nil {
		return fmt.Errorf("list the pinned links: %w", err)
	}
	for _, e := range entries {
		if !wanted[e.Name()] {
			if err := detach(s.tree.linkPin(e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
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
		// The device or the cgroup is gone, and with it what the link stood for.
		if err := os.Remove(pin); err != nil {
			return fmt.Errorf("remove the dead link %s: %w", pin, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("open the pinned link %s: %w", pin, err)
	}
	l, err := h.link(p, cgroup)
	if err != nil {
		if h.ifindex != 0 && errors.Is(err, ebpf.ErrNotSupported) {
			return s.attachClsact(h, p)
		}
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
	entries, err := os.ReadDir(t.dir("links"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list the pinned links: %w", err)
	}
	for _, e := range entries {
		if err := detach(t.linkPin(e.Name())); err != nil {
			return err
		}
	}
	if err := removeClsact(t); err != nil {
		return err
	}
	if err := os.RemoveAll(string(t)); err != nil {
		return fmt.Errorf("remove %s: %w", t, err)
	}
	return nil
}
