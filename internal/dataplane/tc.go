package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Device is an interface that the `tc` observer watches.
type Device struct {
	Index    int
	Name     string
	Ethernet bool // packets start with an Ethernet header; tun and WireGuard have none
}

func (d Device) hooks() []hook {
	program := learnProgDnsTcIp
	if d.Ethernet {
		program = learnProgDnsTcEthernet
	}
	return []hook{
		{pin: fmt.Sprintf("tc_%d_in", d.Index), program: program, attach: ebpf.AttachTCXIngress, ifindex: d.Index},
		{pin: fmt.Sprintf("tc_%d_out", d.Index), program: program, attach: ebpf.AttachTCXEgress, ifindex: d.Index},
	}
}

// Kernels below 6.6 have no tcx links. There a filter hangs on the interface's clsact qdisc, and a pin of the
// program says where: INDEX_DIRECTION, with _own if the qdisc is ours too.

// clsactPriority and clsactHandle tell our filter from others.
const (
	clsactPriority = 0xd0de
	clsactHandle   = 0xd0de
	clsactName     = "domain-route"
)

func clsactPin(t tree, h hook, ownQdisc bool) string {
	direction, own := "in", ""
	if h.attach == ebpf.AttachTCXEgress {
		direction = "out"
	}
	if ownQdisc {
		own = "_own"
	}
	return filepath.Join(t.dir("clsact"), fmt.Sprintf("%d_%s%s", h.ifindex, direction, own))
}

// attachClsact notes what is about to be added before adding it, so that nothing outlives a kill unnoticed.
func (s *System) attachClsact(h hook, p *ebpf.Program) error {
	dev, err := netlink.LinkByIndex(h.ifindex)
	if err != nil {
		return fmt.Errorf("find interface %d: %w", h.ifindex, err)
	}
	have, err := hasClsact(dev)
	if err != nil {
		return err
	}
	for _, pin := range []string{clsactPin(s.tree, h, true), clsactPin(s.tree, h, false)} {
		// An update: the filter is replaced below, whose the qdisc is does not change.
		if err := os.Remove(pin); err == nil {
			have = pin != clsactPin(s.tree, h, true)
		}
	}
	if err := p.Pin(clsactPin(s.tree, h, !have)); err != nil {
		return fmt.Errorf("pin the program for %s: %w", dev.Attrs().Name, err)
	}
	if err := netlink.QdiscAdd(clsactQdisc(h.ifindex)); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("add a clsact qdisc to %s: %w", dev.Attrs().Name, err)
	}
	filter := clsactFilter(h.ifindex, h.attach)
	filter.Fd = p.FD()
	if err := netlink.FilterReplace(filter); err != nil {
		return fmt.Errorf("add a filter to %s: %w", dev.Attrs().Name, err)
	}
	return nil
}

func clsactQdisc(ifindex int) *netlink.Clsact {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: ifindex, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
}

func clsactFilter(ifindex int, direction ebpf.AttachType) *netlink.BpfFilter {
	var parent uint32 = netlink.HANDLE_MIN_INGRESS
	if direction == ebpf.AttachTCXEgress {
		parent = netlink.HANDLE_MIN_EGRESS
	}
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: ifindex, Parent: parent, Handle: clsactHandle,
			Priority: clsactPriority, Protocol: unix.ETH_P_ALL,
		},
		Name: clsactName, DirectAction: true,
	}
}

func hasClsact(dev netlink.Link) (bool, error) {
	qdiscs, err := netlink.QdiscList(dev)
	if err != nil {
		return false, fmt.Errorf("list the qdiscs of %s: %w", dev.Attrs().Name, err)
	}
	for _, q := range qdiscs {
		if q.Type() == "clsact" {
			return true, nil
		}
	}
	return false, nil
}

// removeClsact removes the filters that a tree's pins tell of, and the qdiscs that were ours if nobody else
// has hung a filter there meanwhile.
func removeClsact(t tree) error {
	entries, err := os.ReadDir(t.dir("clsact"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list the filters: %w", err)
	}
	for _, e := range entries {
		var ifindex int
		var rest string
		if _, err := fmt.Sscanf(e.Name(), "%d_%s", &ifindex, &rest); err != nil {
			return fmt.Errorf("read the note %q: %w", e.Name(), err)
		}
		direction := ebpf.AttachTCXIngress
		if rest == "out" || rest == "out_own" {
			direction = ebpf.AttachTCXEgress
		}
		// Gone with its interface, or never added: fine.
		_ = netlink.FilterDel(clsactFilter(ifindex, direction))
		if rest == "in_own" || rest == "out_own" {
			removeQdisc(ifindex)
		}
		if err := os.Remove(filepath.Join(t.dir("clsact"), e.Name())); err != nil {
			return fmt.Errorf("remove the note %q: %w", e.Name(), err)
		}
	}
	return nil
}

func removeQdisc(ifindex int) {
	dev, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := netlink.FilterList(dev, parent)
		if err != nil || len(filters) > 0 {
			return
		}
	}
	_ = netlink.QdiscDel(clsactQdisc(ifindex))
}
