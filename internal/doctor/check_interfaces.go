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
		return one("interface-down", Fail, "is down: what is sent there fails, or is answered by nobody", "ip link set "+name+" up")
	}
	all := []Check{{ID: "interface", Level: OK, Found: linkText(l)}}
	if !l.Carrier {
		all = append(all, Check{ID: "interface-down", Level: Fail, Found: "is up and has no carrier: nothing passes", Cure: "plug its cable in, or connect it; see: ip link show " + name})
	}
	if l.RPFilter == 1 {
		// sysctl wants the dots of a name as slashes.
		all = append(all, Check{ID: "rp-filter", Level: Fail, Found: "rp_filter is 1: the kernel drops the IPv4 answers to what is steered there",
			Cure: "sysctl -w net.ipv4.conf." + quote(strings.ReplaceAll(l.Name, ".", "/")) + ".rp_filter=2"})
	}
	switch {
	case len(l.Addrs4) == 0 && len(l.Addrs6) == 0:
		return append(all, Check{ID: "interface-address", Level: Fail, Found: "has no address", Cure: "ip addr add ADDRESS/LENGTH dev " + name})
	case len(l.Addrs4) == 0:
		all = append(all, Check{ID: "interface-address", Level: Warn, Found: "has no IPv4 address: connections by IPv4 fail", Cure: "ip addr add ADDRESS/LENGTH dev " + name})
	case l.Ethernet && len(l.Default4) == 0:
		all = append(all, Check{ID: "interface-route", Level: Fail, Found: "no IPv4 default route leaves by it: only its own network can be reached",
			Cure: "ip route add default via GATEWAY dev " + name + " metric 9999"})
	}
	return append(all, linkIPv6(f, l)...)
}

// linkIPv6 tells where names have IPv6 addresses and their interface has none.
func linkIPv6(f *Facts, l netdev.Facts) []Check {
	lacks, cure := "", ""
	switch {
	case len(l.Addrs6) == 0:
		lacks, cure = "no IPv6 address", "ip -6 addr add ADDRESS/LENGTH dev "+quote(l.Name)
		if l.Ethernet && len(l.Default6) == 0 {
			cure += " && ip -6 route add default via GATEWAY dev " + quote(l.Name) + " metric 9999"
		}
	case l.Ethernet && len(l.Default6) == 0:
		lacks, cure = "no IPv6 default route", "ip -6 route add default via GATEWAY dev "+quote(l.Name)+" metric 9999"
	default:
		return nil
	}
	if n := f.Names6[l.Name]; n > 0 {
		return []Check{{ID: "interface-ipv6", Level: Warn, Cure: cure,
			Found: fmt.Sprintf("has %s, and names that go by it have IPv6 addresses (%d of them): that fails, and programs go on with IPv4, some slowly", lacks, n)}}
	}
	return []Check{{ID: "interface-ipv6", Level: Note, Found: "has " + lacks + ": what has IPv6 addresses is reached by IPv4", Cure: cure}}
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
