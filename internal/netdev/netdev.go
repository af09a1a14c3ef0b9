// Package netdev asks the kernel about interfaces, addresses and routes, by netlink.
package netdev

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Device is an interface.
type Device struct {
	Index    int
	Name     string
	Ethernet bool // packets start with an Ethernet header; tun and WireGuard have none
	Loopback bool
	Tun      bool // a program reads what leaves by it
}

// ErrNoDevice is returned for an index or a name that no interface has.
var ErrNoDevice = errors.New("no such interface")

// ByIndex finds an interface by its index.
func ByIndex(index int) (Device, error) {
	l, err := netlink.LinkByIndex(index)
	return find(l, err, fmt.Sprintf("with index %d", index))
}

// ByName finds an interface by its name.
func ByName(name string) (Device, error) {
	l, err := netlink.LinkByName(name)
	return find(l, err, name)
}

func find(l netlink.Link, err error, what string) (Device, error) {
	if errors.As(err, &netlink.LinkNotFoundError{}) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) {
		return Device{}, fmt.Errorf("%w: %s", ErrNoDevice, what)
	}
	if err != nil {
		return Device{}, fmt.Errorf("find interface %s: %w", what, err)
	}
	return device(l), nil
}

func device(l netlink.Link) Device {
	a := l.Attrs()
	return Device{Index: a.Index, Name: a.Name, Ethernet: a.EncapType == "ether" || a.EncapType == "loopback",
		Loopback: a.Flags&net.FlagLoopback != 0, Tun: l.Type() == "tuntap"}
}

// List lists all interfaces.
func List() ([]Device, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the interfaces: %w", err)
	}
	all := make([]Device, 0, len(links))
	for _, l := range links {
		all = append(all, device(l))
	}
	return all, nil
}

// Addresses lists the addresses of this host, of all interfaces and both families.
func Addresses() ([]netip.Addr, error) {
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list the addresses: %w", err)
	}
	var all []netip.Addr
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			all = append(all, ip.Unmap())
		}
	}
	return all, nil
}

func isDefault(r netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	ones, _ := r.Dst.Mask.Size()
	return ones == 0
}

// StrictReversePath tells whether the kernel drops IPv4 packets that arrive by an interface by which it would not send
// to where they come from (RFC 3704, strict), as answers to steered packets do; and names the setting that mends it if
// it is 2.
func StrictReversePath(name string) (setting string, strict bool) {
	// sysctl wants the dots of a name as slashes.
	return "net.ipv4.conf." + strings.ReplaceAll(name, ".", "/") + ".rp_filter", reversePath(name) == 1
}
