package netdev

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Policy is a routing rule (ip-rule(8)).
type Policy struct {
	IPv6     bool
	Priority int
	Mark     uint32 // 0: whatever the mark
	Mask     uint32 // of the mark
	Table    int    // 0: it leads to none
	Invert   bool   // it is for what it does not describe
	Narrow   bool   // it is for some sources, destinations, users or interfaces only
}

// Marked tells whether the rule is for a mark.
func (p Policy) Marked(mark uint32) bool {
	return p.Mark != 0 && !p.Invert && mark&p.Mask == p.Mark&p.Mask
}

// Policies lists the routing rules of both families, in the order in which they count.
func Policies() ([]Policy, error) {
	var all []Policy
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		rules, err := netlink.RuleList(family)
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list the routing rules: %w", err)
		}
		for _, r := range rules {
			p := Policy{IPv6: family == netlink.FAMILY_V6, Priority: max(r.Priority, 0), Mark: r.Mark, Mask: ^uint32(0), Table: r.Table, Invert: r.Invert,
				Narrow: r.Src != nil || r.Dst != nil || r.IifName != "" || r.OifName != "" || r.UIDRange != nil || r.Sport != nil || r.Dport != nil || r.IPProto > 0}
			if r.Mask != nil {
				p.Mask = *r.Mask
			}
			all = append(all, p)
		}
	}
	return all, nil
}

// TablesWithDefault lists the routing tables that have a default route, for IPv4 and IPv6.
func TablesWithDefault() (v4, v6 map[int]bool, err error) {
	var found [2]map[int]bool
	for i, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		found[i] = map[int]bool{}
		routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
			return nil, nil, fmt.Errorf("list the routes: %w", err)
		}
		for _, r := range routes {
			if isDefault(r) {
				found[i][r.Table] = true
			}
		}
	}
	return found[0], found[1], nil
}
