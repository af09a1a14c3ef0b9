package storm

import (
	"errors"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	ownTable    = 100  // a routing table of the test
	lastMetric  = 9999 // of the route that is taken when there is no other
	rulePlace   = 1000
	unnamedLink = "going0"
)

func (s *storm) deleteVPN() error { return s.DeleteUplink(theirs) }

// createVPN makes the interface step by step: it has its name before it has an address and a route.
func (s *storm) createVPN() error { return s.CreateUplink(theirs) }

// takeVPNAway has the interface lose its name before it goes.
func (s *storm) takeVPNAway() error {
	return errors.Join(s.RenameUplink(theirs, unnamedLink), s.DeleteUplink(unnamedLink))
}

// bringVPNBack gives the interface its name when it is complete.
func (s *storm) bringVPNBack() error {
	if err := s.CreateUplink(unnamedLink); err != nil {
		return err
	}
	if err := s.addSourceRoutes(s.Uplink(unnamedLink).Index); err != nil {
		return err
	}
	return s.RenameUplink(unnamedLink, theirs)
}

// addSourceRules has everything from the interface's own addresses take a table that leads nowhere else.
func (s *storm) addSourceRules() {
	s.t.Helper()
	for _, a := range []netip.Addr{s.vpn.Addr4, s.vpn.Addr6} {
		rule := netlink.NewRule()
		rule.Family, rule.Table, rule.Priority, rule.Src = familyOf(a), ownTable, rulePlace, whole(a)
		hole := &netlink.Route{Dst: anywhere(a), Table: ownTable, Type: unix.RTN_BLACKHOLE, Priority: lastMetric}
		s.check(errors.Join(s.Client.NL.RuleAdd(rule), s.Client.NL.RouteAdd(hole)))
	}
	s.check(s.addSourceRoutes(s.vpn.Index))
}

// addSourceRoutes fills the table; the kernel empties it with the interface.
func (s *storm) addSourceRoutes(index int) error {
	var errs []error
	for _, gateway := range []netip.Addr{s.vpn.Gateway4, s.vpn.Gateway6} {
		errs = append(errs, s.Client.NL.RouteAdd(&netlink.Route{
			LinkIndex: index, Dst: anywhere(gateway), Gw: gateway.AsSlice(), Table: ownTable, Priority: 1,
		}))
	}
	return errors.Join(errs...)
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}

func whole(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
}

// anywhere is the default route's destination in the family of an address.
func anywhere(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: make(net.IP, a.BitLen()/8), Mask: net.CIDRMask(0, a.BitLen())}
}
