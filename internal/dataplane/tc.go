package dataplane

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// A Device is an interface that the `tc` observer can watch.
type Device struct {
	Index    int
	Name     string
	Ethernet bool // packets start with an Ethernet header; tun and WireGuard have none
	Loopback bool
}

// hooks returns where a device's packets are watched: as they come in, and as they go out.
func (d Device) hooks() (in, out hook) {
	in = hook{pin: fmt.Sprintf("tc_%d_in", d.Index), program: learnProgTcIpIn, attach: ebpf.AttachTCXIngress, ifindex: d.Index}
	out = hook{pin: fmt.Sprintf("tc_%d_out", d.Index), program: learnProgTcIpOut, attach: ebpf.AttachTCXEgress, ifindex: d.Index}
	if d.Ethernet {
		in.program, out.program = learnProgTcEthernetIn, learnProgTcEthernetOut
	}
	return in, out
}

// attachDevice watches a device, and adds the pins that stand for it to wanted.
func (s *System) attachDevice(d Device, programs map[string]*ebpf.Program, wanted map[string]bool) error {
	in, out := d.hooks()
	err := s.attachHook(in, programs[in.program], nil)
	if errors.Is(err, unix.ENODEV) {
		return nil // gone since it was listed
	}
	if errors.Is(err, ebpf.ErrNotSupported) {
		note, err := s.attachClsact(d, programs)
		wanted[note] = true
		return err
	}
	if err != nil {
		return err
	}
	wanted[in.pin], wanted[out.pin] = true, true
	return s.attachHook(out, programs[out.program], nil)
}

// watched returns the indices of the devices that are watched now.
func (s *System) watched() (map[int]bool, error) {
	all := map[int]bool{}
	links, err := pinsIn(s.tree.dir("links"))
	if err != nil {
		return nil, err
	}
	for _, name := range links {
		var index int
		if _, err := fmt.Sscanf(name, "tc_%d_", &index); err == nil {
			all[index] = true
		}
	}
	notes, err := clsactNotes(s.tree)
	if err != nil {
		return nil, err
	}
	for _, n := range notes {
		all[n.ifindex] = true
	}
	return all, nil
}
