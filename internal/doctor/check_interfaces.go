package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/ruleset"
)

var interfaceChecks = []check{
	{Interfaces, []string{"targets"}, targets},
	{Interfaces, []string{"interface", "interface-down", "interface-address", "interface-route", "interface-ipv6", "rp-filter"}, links},
	{Interfaces, []string{"mark"}, marks},
}

// targetList are the targets that rules have.
func (f *Facts) targetList() []ruleset.Target {
	if f.Rules == nil {
		return nil
	}
	return f.Rules.Targets()
}

// exists tells whether there is an interface.
func (f *Facts) exists(name string) bool {
	return slices.ContainsFunc(f.Links, func(l netdev.Facts) bool { return l.Name == name && l.Exists })
}

// targets says which targets have no interface at all.
func targets(f *Facts) []Check {
	if !f.Home || f.Rules == nil {
		return nil
	}
	var all []Check
	chains := 0
	for _, t := range f.targetList() {
		names := t.Chain()
		if len(names) == 0 {
			continue
		}
		chains++
		switch {
		case slices.ContainsFunc(names, f.exists):
		case t.End == ruleset.EndDirect:
			all = append(all, Check{ID: "targets", Level: Warn, Subject: t.String(),
				Found: "none of its interfaces exists: connections are left alone, as without the rule", Cure: "bring one up, such as " + names[0]})
		default:
			all = append(all, Check{ID: "targets", Level: Fail, Subject: t.String(),
				Found: "no interface of it exists: connections by it fail (ENODEV)", Cure: "bring " + names[0] + " up, or change its rules: domain-route rule list"})
		}
	}
	switch {
	case f.Rules.Len() == 0:
		return one("targets", Note, "there are no rules", "domain-route rule add example.com wg0")
	case all == nil:
		return one("targets", OK, fmt.Sprintf("of each with interfaces one exists: %d", chains), "")
	}
	return all
}

// links judges each interface of a target.
func links(f *Facts) []Check {
	if !f.Home {
		return nil
	}
	var all []Check
	for _, l := range f.Links {
		found := link(f, l)
		for i := range found {
			found[i].Subject = l.Name
		}
		all = append(all, found...)
	}
	return all
}

// link judges one interface. What is wrong has a line each; the first says what there is.
func link(f *Facts, l netdev.Facts) []Check {
	name := quote(l.Name)
	switch {
	case !l.Exists:
		return one("interface", Note, "does not exist; until it does, the next of its targets is taken, or none", "")
	case !l.Up:
		return one("interface-down", Fail, "is down: what is sent there fails, or is answered by nobody"+f.stays(l.Name), "ip link set "+name+" up"+f.orAway(l))
	}
	all := []Check{{ID: "interface", Level: OK, Found: linkText(l)}}
	if !l.Carrier {
		all = append(all, Check{ID: "interface-down", Level: Fail, Found: "is up and has no carrier: nothing passes" + f.stays(l.Name),
			Cure: "plug its cable in, or connect it" + f.orAway(l) + "; see: ip link show " + name})
	}
	if l.RPFilter == 1 && !l.Main4 {
		// sysctl wants the dots of a name as slashes.
		all = append(all, Check{ID: "rp-filter", Level: Fail, Found: "rp_filter is 1: the kernel drops the IPv4 answers to what is steered there",
			Cure: "sysctl -w net.ipv4.conf." + quote(strings.ReplaceAll(l.Name, ".", "/")) + ".rp_filter=2"})
	}
	switch {
	case len(l.Addrs4) == 0 && len(l.Addrs6) == 0:
		return append(all, Check{ID: "interface-address", Level: Fail, Found: "has no address", Cure: "ip addr add ADDRESS/LENGTH dev " + name})
	case len(l.Addrs4) == 0:
		all = append(all, Check{ID: "interface-address", Level: Warn, Found: "has no IPv4 address: connections by IPv4 fail", Cure: "ip addr add ADDRESS/LENGTH dev " + name})
	}
	if len(l.Addrs4) > 0 {
		all = append(all, linkRoute(l, f.Goers4[l.Name], "IPv4")...)
	}
	return append(all, linkIPv6(f, l)...)
}

// chained tells whether there is something behind an interface in a chain.
func (f *Facts) chained(name string) bool {
	return slices.ContainsFunc(f.targetList(), func(t ruleset.Target) bool {
		i := slices.Index(t.Chain(), name)
		return i >= 0 && (i < len(t.Chain())-1 || t.End == ruleset.EndDirect)
	})
}

// stays says that an interface keeps what is sent to it.
func (f *Facts) stays(name string) string {
	if f.chained(name) {
		return "; targets with more behind it do not go on to that while it exists"
	}
	return ""
}

// orAway is the other cure where a chain would go on without it.
func (f *Facts) orAway(l netdev.Facts) string {
	switch {
	case !f.chained(l.Name):
		return ""
	case l.Ethernet:
		return ", or have it removed by what made it, or leave it out of the target"
	}
	return ", or remove it by what made it, such as wg-quick down, or: ip link del " + quote(l.Name)
}

// linkRoute tells where a socket that is bound to an interface finds no route.
func linkRoute(l netdev.Facts, g Goers, family string) []Check {
	routed, id := l.Routed4, "interface-route"
	if family == "IPv6" {
		routed, id = l.Routed6, "interface-ipv6"
	}
	c := Check{ID: id, Level: Warn, Cure: RouteCure(l, family == "IPv6"), Details: g.Lost}
	switch {
	case routed && len(g.Lost) == 0:
		return nil
	case routed:
		c.Found = fmt.Sprintf("no %s route leaves by it to some of what goes by it (%d of %d names): %s", family, len(g.Lost), g.Names, few(g.Lost))
		c.Cure = "ip route get ADDRESS oif " + quote(l.Name) + "; ip rule"
	case g.Names > 0 && len(g.Lost) == 0:
		c.Level, c.Found = Note, fmt.Sprintf("no %s default route leaves by it; the names that go by it now are on networks that have routes", family)
	case family == "IPv4":
		c.Level, c.Found = Fail, "no IPv4 default route leaves by it: only its own network can be reached"
	case len(g.Lost) > 0:
		c.Found = sixFails("no IPv6 route", len(g.Lost))
	case MeansIPv6(l):
		c.Found = "has an IPv6 address and no IPv6 route: connections by IPv6 fail (ENETUNREACH), and programs go on with IPv4, some slowly"
	default:
		c.Level, c.Found = Note, "has no IPv6 route: what has IPv6 addresses is reached by IPv4"
	}
	return []Check{c}
}

// MeansIPv6 tells whether an interface has an address by which IPv6 is to work: a private one may be for an Ethernet's own
// network alone.
func MeansIPv6(l netdev.Facts) bool {
	return slices.ContainsFunc(l.Addrs6, func(p netip.Prefix) bool { return !l.Ethernet || !p.Addr().IsPrivate() })
}

// RouteCure is how an interface gets a default route that only what is bound to it takes: in the main table behind another
// interface's, or else in a table of its own, since it would be everybody's.
func RouteCure(l netdev.Facts, six bool) string {
	ip, beside, by := "ip ", l.Other4, "dev "+quote(l.Name)
	if six {
		ip, beside = "ip -6 ", l.Other6
	}
	if l.Ethernet {
		by = "via GATEWAY " + by
	}
	if beside {
		return ip + "route add default " + by + " metric 9999"
	}
	return ip + "route add default " + by + " table TABLE && " + ip + "rule add oif " + quote(l.Name) + " lookup TABLE"
}

// linkIPv6 tells where an interface is none for IPv6.
func linkIPv6(f *Facts, l netdev.Facts) []Check {
	g := f.Goers6[l.Name]
	if len(l.Addrs6) > 0 {
		return linkRoute(l, g, "IPv6")
	}
	cure := "ip -6 addr add ADDRESS/LENGTH dev " + quote(l.Name)
	if !l.Routed6 {
		cure += " && " + RouteCure(l, true)
	}
	if g.Names > 0 {
		return []Check{{ID: "interface-ipv6", Level: Warn, Cure: cure, Found: sixFails("no IPv6 address", g.Names)}}
	}
	return []Check{{ID: "interface-ipv6", Level: Note, Found: "has no IPv6 address: what has IPv6 addresses is reached by IPv4", Cure: cure}}
}

func sixFails(lacks string, names int) string {
	return fmt.Sprintf("has %s, and names that go by it have IPv6 addresses (%d of them): that fails, and programs go on with IPv4, some slowly", lacks, names)
}

func linkText(l netdev.Facts) string {
	parts := []string{"up"}
	for _, a := range slices.Concat(firstOf(l.Addrs4), firstOf(l.Addrs6)) {
		parts = append(parts, a.String())
	}
	if len(l.Default4) > 0 {
		parts = append(parts, fmt.Sprintf("IPv4 default route (metric %d)", l.Default4[0].Metric))
	}
	if len(l.Default6) > 0 {
		parts = append(parts, fmt.Sprintf("IPv6 default route (metric %d)", l.Default6[0].Metric))
	}
	if l.Tun {
		parts = append(parts, "tun: except the server of the program behind it from rules")
	}
	return strings.Join(parts, ", ")
}

func firstOf(all []netip.Prefix) []netip.Prefix { return all[:min(1, len(all))] }

// marks judges the targets that mark: what the mark leads to is the user's own.
func marks(f *Facts) []Check {
	if !f.Home {
		return nil
	}
	var all []Check
	for _, t := range f.targetList() {
		if t.Kind != ruleset.Mark {
			continue
		}
		good := true
		for _, family := range []struct {
			word, option string
			six          bool
			tables       map[int]bool
		}{{"IPv4", "", false, f.Tables4}, {"IPv6", "-6 ", true, f.Tables6}} {
			i := slices.IndexFunc(f.Policy, func(p netdev.Policy) bool { return p.IPv6 == family.six && p.Marked(t.Mark) })
			c := Check{ID: "mark", Subject: t.String(), Level: Fail}
			if family.six {
				c.Level = Warn // IPv4 may be all there is
			}
			switch {
			case i < 0:
				c.Found = fmt.Sprintf("no routing rule of %s is for the mark: connections go where they would without it", family.word)
				c.Cure = fmt.Sprintf("ip %srule add fwmark 0x%x lookup TABLE && ip %sroute add default dev INTERFACE table TABLE", family.option, t.Mark, family.option)
			case !family.tables[f.Policy[i].Table]:
				c.Found = fmt.Sprintf("its routing table %d has no default route for %s", f.Policy[i].Table, family.word)
				c.Cure = fmt.Sprintf("ip %sroute add default dev INTERFACE table %d", family.option, f.Policy[i].Table)
			default:
				continue
			}
			good = false
			all = append(all, c)
		}
		if good {
			all = append(all, Check{ID: "mark", Subject: t.String(), Level: OK, Found: "routing rules and tables of both families are there"})
		}
	}
	return all
}
