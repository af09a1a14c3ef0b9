package netdev

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrNoRoute is returned where a connect fails at once for want of a route.
var ErrNoRoute = errors.New("no route")

// RouteBy asks the kernel how a socket that is bound to an interface would get to an address: by which gateway (invalid: as
// to a neighbour) and with which source address (invalid: not told). ErrNoRoute if it would not.
func RouteBy(to netip.Addr, name string) (gateway, source netip.Addr, err error) {
	routes, err := netlink.RouteGetWithOptions(to.AsSlice(), &netlink.RouteGetOptions{Oif: name})
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.EINVAL):
		return gateway, source, ErrNoRoute
	case err != nil:
		return gateway, source, fmt.Errorf("ask for the route to %v by %s: %w", to, name, err)
	case len(routes) == 0 || routes[0].Type == unix.RTN_UNREACHABLE || routes[0].Type == unix.RTN_BLACKHOLE || routes[0].Type == unix.RTN_PROHIBIT:
		return gateway, source, ErrNoRoute
	}
	gateway, _ = netip.AddrFromSlice(routes[0].Gw)
	source, _ = netip.AddrFromSlice(routes[0].Src)
	return gateway.Unmap(), source.Unmap(), nil
}
