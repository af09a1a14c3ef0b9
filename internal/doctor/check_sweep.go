package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

var sweepChecks = []check{
	{Interfaces, []string{"tunnel-server"}, func(f *Facts) []Check { return f.tunnelServers(netip.Addr.IsValid) }},
	{Interfaces, []string{"tailscale"}, func(f *Facts) []Check {
		c, _ := f.tailscale()
		return c
	}},
}

// Tunnel is a program that has a tun device, and connections to servers that it would get to by that device itself.
type Tunnel struct {
	Device  string
	Program string
	PID     uint32
	Servers []netip.Addr
}

// Tailscale's own addresses, and the one of these at which it is a name server.
var (
	tailnet  = netip.MustParsePrefix("100.64.0.0/10")
	magicDNS = netip.MustParseAddr("100.100.100.100")
)

// Swept says what goes where a rule for addresses or for everything else sends it and is better excepted: name servers,
// Tailscale's network and tunnels' own servers.
func Swept(f *Facts, by pattern.Pattern) []Check {
	var all []Check
	if by.Kind != pattern.Prefix && by.Kind != pattern.Default {
		return nil
	}
	for _, a := range f.nameServerList() {
		if r, ok := f.ruleFor(a); ok && r.Pattern == by && r.Target.Kind != ruleset.Direct {
			all = append(all, f.nameServer(a, r))
		}
	}
	if c, rule := f.tailscale(); rule == by {
		all = append(all, c...)
	}
	all = append(all, f.tunnelServers(func(a netip.Addr) bool { return by.Kind == pattern.Default || by.Contains(a) })...)
	return slices.DeleteFunc(all, func(c Check) bool { return !c.Level.Wrong() })
}

// sweeping tells whether a rule is for everything, and may so be for more than was thought of.
func sweeping(r ruleset.Rule) bool {
	return r.Pattern.Kind == pattern.Default || r.Pattern.Kind == pattern.Prefix && r.Pattern.Prefix.Bits() == 0
}

// tailscale tells whether a rule sends Tailscale's network elsewhere; by which one.
func (f *Facts) tailscale() ([]Check, pattern.Pattern) {
	if !f.Home || f.Rules == nil || !f.Tailscale && !slices.Contains(f.Host.Resolver.Servers, magicDNS) && !slices.Contains(f.Host.Resolver.Upstream, magicDNS) {
		return nil, pattern.Pattern{}
	}
	r, ok := f.ruleFor(magicDNS)
	if !ok || r.Target.Kind == ruleset.Direct {
		return nil, pattern.Pattern{}
	}
	if i := slices.IndexFunc(r.Target.Chain(), f.exists); i >= 0 && r.Target.Chain()[i] == "tailscale0" {
		return nil, pattern.Pattern{}
	}
	return []Check{{ID: "tailscale", Level: Warn, Subject: tailnet.String(), Cure: "domain-route rule add " + tailnet.String() + " direct",
		Found: fmt.Sprintf("the rule %s sends Tailscale's network to %s: its hosts and its name server are not reached", r.Pattern, r.Target)}}, r.Pattern
}

// tunnelServers tells of tunnels that rules send into themselves, by the servers that are meant.
func (f *Facts) tunnelServers(meant func(netip.Addr) bool) []Check {
	var all []Check
	for _, t := range f.Tunnels {
		for _, a := range t.Servers {
			if !meant(a) {
				continue
			}
			all = append(all, Check{ID: "tunnel-server", Level: Fail, Subject: t.Device, Cure: "domain-route rule add " + a.String() + " direct",
				Found: fmt.Sprintf("a rule sends what %s (pid %d), the program behind it, sends to its server %s into the tunnel itself", t.Program, t.PID, a)})
		}
	}
	return all
}

// ReadResolver reads how names are looked up, without the programs that do.
func ReadResolver(dir string) Resolver { return root(dir).resolver(nil) }
