package netdev

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// elsewhere are addresses of whose networks no interface should be, though of documentation's there may be blackholes:
// a name server of the root comes last. Nothing is sent there.
var elsewhere = [2][]netip.Addr{
	{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("193.0.14.129")},
	{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("3fff::1"), netip.MustParseAddr("2001:7fd::1")},
}

// HasRoute asks the kernel whether a socket that is bound to an interface finds a route to an address, by whatever table.
// Without one the kernel takes an IPv4 address for a neighbour, which is right for tun and WireGuard and counts there, and
// is wrong for Ethernet.
func HasRoute(d Device, to netip.Addr) (bool, error) {
	routes, err := netlink.RouteGetWithOptions(to.AsSlice(), &netlink.RouteGetOptions{OifIndex: d.Index, FIBMatch: d.Ethernet && to.Is4()})
	switch {
	case slices.ContainsFunc(noRoute, func(e unix.Errno) bool { return errors.Is(err, e) }):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask for the route to %v by %s: %w", to, d.Name, err)
	}
	return len(routes) > 0 && !slices.Contains(noWay, routes[0].Type), nil
}

// noRoute are errors of the kernel that say that there is none: the interface may be gone, or there is no IPv6.
var noRoute = []unix.Errno{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN, unix.EINVAL, unix.EACCES, unix.ENODEV, unix.EAFNOSUPPORT, unix.EOPNOTSUPP}

// leadsElsewhere tells whether a socket that is bound to an interface finds a route out of the interface's own networks.
func leadsElsewhere(d Device, own []netip.Prefix, to []netip.Addr) (bool, error) {
	for _, a := range to {
		if slices.ContainsFunc(own, func(p netip.Prefix) bool { return p.Contains(a) }) {
			continue
		}
		if ok, err := HasRoute(d, a); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}
