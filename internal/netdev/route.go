package netdev

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrNoRoute is returned where a connect fails at once for want of a route.
var ErrNoRoute = errors.New("no route")

// Path is how a connection gets to an address.
type Path struct {
	Interface string
	Gateway   netip.Addr // invalid: none, the address is taken for a neighbour
	Source    netip.Addr // invalid: not told
}

// PathBy asks the kernel how a user's socket that is bound to an interface, or has a mark, would get to an address: "" and
// 0 are neither. ErrNoRoute if it would not.
func PathBy(to netip.Addr, name string, mark, uid uint32) (Path, error) {
	routes, err := netlink.RouteGetWithOptions(to.AsSlice(), &netlink.RouteGetOptions{Oif: name, Mark: mark, UID: &uid})
	switch {
	case slices.ContainsFunc(noRoute, func(e unix.Errno) bool { return errors.Is(err, e) }):
		return Path{}, ErrNoRoute
	case err != nil:
		return Path{}, fmt.Errorf("ask for the route to %v: %w", to, err)
	case len(routes) == 0 || slices.Contains(noWay, routes[0].Type):
		return Path{}, ErrNoRoute
	}
	p := Path{}
	p.Gateway, _ = netip.AddrFromSlice(routes[0].Gw)
	p.Source, _ = netip.AddrFromSlice(routes[0].Src)
	p.Gateway, p.Source = p.Gateway.Unmap(), p.Source.Unmap()
	d, err := ByIndex(routes[0].LinkIndex)
	if errors.Is(err, ErrNoDevice) {
		return p, ErrNoRoute // gone meanwhile
	}
	p.Interface = d.Name
	return p, err
}

// noWay are kinds of routes that lead nowhere.
var noWay = []int{unix.RTN_UNREACHABLE, unix.RTN_BLACKHOLE, unix.RTN_PROHIBIT}
