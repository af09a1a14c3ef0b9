package netdev

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Route is a default route by an interface.
type Route struct {
	Gateway netip.Addr // invalid: none, everything is taken for a neighbour
	Metric  int        // the lowest counts; 0 is the best
	Table   int        // the main table's number
}

// Facts is what decides whether connections by an interface can work.
type Facts struct {
	Device
	Exists             bool
	Up                 bool           // administratively
	Carrier            bool           // and it has a link, or does not tell
	Addrs4, Addrs6     []netip.Prefix // of its own, link-local ones left out
	Default4, Default6 []Route        // by it, in the main table, the best first
	Routed4, Routed6   bool           // a socket that is bound to it finds a route to addresses elsewhere, see HasRoute
	Other4, Other6     bool           // the main table has a default route by another interface
	RPFilter           int            // 0 to 2, the larger of its own and that of all
	Main4              bool           // by it go those that are not bound, of IPv4, so that a strict RPFilter takes answers by it
}

// FactsOf looks at one interface, by name. That it does not exist is no error.
func FactsOf(name string) (Facts, error) {
	all, err := AllFacts([]string{name})
	if err != nil {
		return Facts{}, err
	}
	return all[0], nil
}

// AllFacts looks at interfaces, by name, and returns as many in the same order.
func AllFacts(names []string) ([]Facts, error) {
	all := make([]Facts, len(names))
	if len(names) == 0 {
		return all, nil
	}
	var routes [2][]netlink.Route
	for i, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		var err error
		routes[i], err = netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, fmt.Errorf("list the routes: %w", err)
		}
	}
	// To the last of them, which is nobody's own: not of documentation.
	unbound, err := PathBy(elsewhere[0][len(elsewhere[0])-1], "", 0, 0)
	if err != nil && !errors.Is(err, ErrNoRoute) {
		return nil, err
	}
	for i, name := range names {
		f, err := lookAt(name)
		if err != nil {
			return nil, err
		}
		if f.Exists {
			f.Main4 = unbound.Interface == f.Name
			if err := f.route(routes); err != nil {
				return nil, err
			}
		}
		all[i] = f
	}
	return all, nil
}

// route fills in what is to be said of routes, given those of the main table.
func (f *Facts) route(main [2][]netlink.Route) (err error) {
	f.Default4, f.Default6 = defaultsBy(main[0], f.Index), defaultsBy(main[1], f.Index)
	f.Other4, f.Other6 = defaultsBeside(main[0], f.Index), defaultsBeside(main[1], f.Index)
	if !f.Up {
		return nil
	}
	if f.Routed4, err = leadsElsewhere(f.Device, f.Addrs4, elsewhere[0]); err != nil {
		return err
	}
	f.Routed6, err = leadsElsewhere(f.Device, f.Addrs6, elsewhere[1])
	return err
}

// defaultsBeside tells whether a default route leaves by another interface.
func defaultsBeside(routes []netlink.Route, index int) bool {
	return slices.ContainsFunc(routes, func(r netlink.Route) bool {
		return isDefault(r) && r.Type == unix.RTN_UNICAST && (r.LinkIndex != 0 && r.LinkIndex != index ||
			slices.ContainsFunc(r.MultiPath, func(hop *netlink.NexthopInfo) bool { return hop.LinkIndex != index }))
	})
}

// lookAt finds all but the routes.
func lookAt(name string) (Facts, error) {
	f := Facts{Device: Device{Name: name}}
	l, err := netlink.LinkByName(name)
	d, err := find(l, err, name)
	if errors.Is(err, ErrNoDevice) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	a := l.Attrs()
	f.Device, f.Exists = d, true
	f.Up = a.Flags&net.FlagUp != 0
	f.Carrier = f.Up && a.RawFlags&unix.IFF_LOWER_UP != 0
	f.RPFilter = reversePath(d.Name)
	addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return f, fmt.Errorf("list the addresses of %s: %w", name, err)
	}
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		if ip = ip.Unmap(); !ok || ip.IsLinkLocalUnicast() {
			continue
		}
		ones, _ := a.Mask.Size()
		if p := netip.PrefixFrom(ip, ones); ip.Is4() {
			f.Addrs4 = append(f.Addrs4, p)
		} else {
			f.Addrs6 = append(f.Addrs6, p)
		}
	}
	return f, nil
}

// defaultsBy are the default routes that leave by an interface, and are no blackholes or the like.
func defaultsBy(routes []netlink.Route, index int) []Route {
	var all []Route
	for _, r := range routes {
		if !isDefault(r) || r.Type != unix.RTN_UNICAST {
			continue
		}
		gateway, leaves := r.Gw, r.LinkIndex == index
		for _, hop := range r.MultiPath {
			if hop.LinkIndex == index {
				gateway, leaves = hop.Gw, true
			}
		}
		if leaves {
			to, _ := netip.AddrFromSlice(gateway)
			all = append(all, Route{Gateway: to.Unmap(), Metric: r.Priority, Table: r.Table})
		}
	}
	slices.SortFunc(all, func(a, b Route) int { return cmp.Compare(a.Metric, b.Metric) })
	return all
}

// reversePath is the rp_filter in effect on an interface: the larger of its value and that of all counts
// (ip-sysctl, "rp_filter"); 0 where it cannot be read.
func reversePath(name string) int {
	most := 0
	for _, scope := range []string{"all", name} {
		text, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + scope + "/rp_filter")
		if err != nil {
			return 0
		}
		value, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			return 0
		}
		most = max(most, value)
	}
	return most
}
