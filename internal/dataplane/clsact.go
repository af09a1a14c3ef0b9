package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Kernels below 6.6 have no tcx links. There filters hang on the interface's clsact qdisc, and a pin of the
// program serves as the note that tells where: INDEX, or INDEX_own if the qdisc is ours too.

// What tells our filters from others.
const (
	clsactPriority = 0xd0de
	clsactHandle   = 0xd0de
	clsactName     = "domain-route"
)

const ownSuffix = "_own"

type clsactNote struct {
	name    string
	ifindex int
	own     bool
}

func clsactNotes(t tree) ([]clsactNote, error) {
	pins, err := pinsIn(t.dir("clsact"))
	if err != nil {
		return nil, err
	}
	var notes []clsactNote
	for _, name := range pins {
		number, own := strings.CutSuffix(name, ownSuffix)
		index, err := strconv.Atoi(number)
		if err != nil {
			continue // not ours
		}
		notes = append(notes, clsactNote{name, index, own})
	}
	return notes, nil
}

func (n clsactNote) pin(t tree) string { return filepath.Join(t.dir("clsact"), n.name) }

// attachClsact notes what is about to be added before adding it, so that nothing outlives a kill unnoticed. It
// returns the note's name.
func (s *System) attachClsact(d Device, programs map[string]*ebpf.Program) (string, error) {
	in, out := d.hooks()
	note, err := s.noteClsact(d, programs[in.program])
	if err != nil {
		return "", err
	}
	if err := netlink.QdiscAdd(clsactQdisc(d.Index)); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("add a clsact qdisc to %s: %w", d.Name, err)
	}
	for _, h := range []hook{in, out} {
		filter := clsactFilter(d.Index, h.attach)
		filter.Fd = programs[h.program].FD()
		if err := netlink.FilterReplace(filter); err != nil {
			return "", fmt.Errorf("add a filter to %s: %w", d.Name, err)
		}
	}
	return note.name, nil
}

// noteClsact returns a device's note, making it where there is none. Whose the qdisc is is decided once.
func (s *System) noteClsact(d Device, p *ebpf.Program) (clsactNote, error) {
	notes, err := clsactNotes(s.tree)
	if err != nil {
		return clsactNote{}, err
	}
	for _, n := range notes {
		if n.ifindex == d.Index {
			return n, nil
		}
	}
	have, err := hasClsact(d)
	if err != nil {
		return clsactNote{}, err
	}
	n := clsactNote{name: strconv.Itoa(d.Index), ifindex: d.Index, own: !have}
	if n.own {
		n.name += ownSuffix
	}
	// Pinning a program that is pinned already would move the pin; a clone has none.
	clone, err := p.Clone()
	if err != nil {
		return clsactNote{}, fmt.Errorf("clone the program for %s: %w", d.Name, err)
	}
	defer clone.Close()
	if err := clone.Pin(n.pin(s.tree)); err != nil {
		return clsactNote{}, fmt.Errorf("pin the program for %s: %w", d.Name, err)
	}
	return n, nil
}

// remove removes a device's filters, then the qdisc if it was ours and nobody else has hung a filter there
// meanwhile, then the note.
func (n clsactNote) remove(t tree) error {
	for _, direction := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		if err := netlink.FilterDel(clsactFilter(n.ifindex, direction)); err != nil && !isGone(err) {
			return fmt.Errorf("remove the filter from interface %d: %w", n.ifindex, err)
		}
	}
	if n.own {
		if err := removeQdisc(n.ifindex); err != nil {
			return err
		}
	}
	if err := os.Remove(n.pin(t)); err != nil {
		return fmt.Errorf("remove the note %s: %w", n.name, err)
	}
	return nil
}

// isGone tells that there is nothing to remove: the interface, its qdisc or the filter went before.
func isGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL)
}

func removeQdisc(ifindex int) error {
	dev, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return nil // it went with its qdisc
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := netlink.FilterList(dev, parent)
		if err != nil {
			return fmt.Errorf("list the filters of interface %d: %w", ifindex, err)
		}
		if len(filters) > 0 {
			return nil
		}
	}
	if err := netlink.QdiscDel(clsactQdisc(ifindex)); err != nil && !isGone(err) {
		return fmt.Errorf("remove the clsact qdisc from interface %d: %w", ifindex, err)
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

// filterProgram finds our filter at a hook. An interface that is gone has none.
func filterProgram(h hook) (id ebpf.ProgramID, found bool, err error) {
	dev, err := netlink.LinkByIndex(h.ifindex)
	if err != nil {
		return 0, false, nil
	}
	want := clsactFilter(h.ifindex, h.attach)
	filters, err := netlink.FilterList(dev, want.Parent)
	if err != nil && !isGone(err) {
		return 0, false, fmt.Errorf("list the filters of %s: %w", dev.Attrs().Name, err)
	}
	for _, f := range filters {
		if ours, ok := f.(*netlink.BpfFilter); ok && ours.Handle == want.Handle && ours.Priority == want.Priority {
			return ebpf.ProgramID(ours.Id), true, nil
		}
	}
	return 0, false, nil
}

func hasClsact(d Device) (bool, error) {
	dev, err := netlink.LinkByIndex(d.Index)
	if err != nil {
		return false, fmt.Errorf("find interface %s: %w", d.Name, err)
	}
	qdiscs, err := netlink.QdiscList(dev)
	if err != nil {
		return false, fmt.Errorf("list the qdiscs of %s: %w", d.Name, err)
	}
	for _, q := range qdiscs {
		if q.Type() == "clsact" {
			return true, nil
		}
	}
	return false, nil
}
