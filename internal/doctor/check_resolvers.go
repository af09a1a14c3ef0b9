package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/ruleset"
)

var resolverChecks = []check{
	{Resolvers, []string{"resolver"}, resolver},
	{Resolvers, []string{"name-service"}, nameService},
	{Resolvers, []string{"dns-over-tls"}, dnsOverTLS},
	{Resolvers, []string{"name-server"}, nameServers},
}

// sees tells whether an observer runs; before start, whether it will by default.
func (f *Facts) sees(observer string) bool {
	observers := f.Observe
	switch {
	case f.Running != nil:
		observers = f.Running.Status.Observers
	case len(observers) == 0:
		return observer == "sockets" || observer == "libc" && f.Support.Uprobes
	}
	return slices.ContainsFunc(observers, func(o string) bool { return o == observer || strings.HasPrefix(o, observer+":") })
}

const observeBoth = "domain-route start --observe sockets --observe libc"

// nssResolve tells whether C libraries ask systemd-resolved without DNS on a wire.
func (r Resolver) nssResolve() bool {
	return slices.Contains(r.NSS, "resolve") && r.has("systemd-resolved")
}

func resolver(f *Facts) []Check {
	r := f.Host.Resolver
	var servers []string
	local := false
	for _, a := range r.Servers {
		servers = append(servers, a.String())
		local = local || a.IsLoopback()
	}
	found := "programs ask " + strings.Join(servers, ", ")
	if local {
		found += " here"
	}
	if len(r.Daemons) > 0 {
		found += "; running: " + strings.Join(r.Daemons, ", ")
	}
	switch {
	case !f.Home:
		return nil
	case len(r.Servers) == 0:
		return one("resolver", Warn, "/etc/resolv.conf names no name server", "echo nameserver ADDRESS > /etc/resolv.conf")
	case !f.sees("sockets") && !f.sees("tc"):
		return one("resolver", Warn, found+"; programs that ask without a C library (Go, static ones) are not observed", observeBoth)
	}
	return one("resolver", OK, found, "")
}

func nameService(f *Facts) []Check {
	if !f.Home {
		return nil
	}
	r := f.Host.Resolver
	var unseen []string // by sockets
	if r.nssResolve() {
		unseen = append(unseen, "nss-resolve")
	}
	for _, daemon := range []string{"nscd", "nsncd", "sssd_nss"} {
		if r.has(daemon) {
			unseen = append(unseen, daemon)
		}
	}
	sources := strings.Join(r.NSS, " ")
	switch {
	case f.sees("libc"):
		return one("name-service", OK, fmt.Sprintf("C libraries look names up by %q, and are observed", sources), "")
	case len(unseen) > 0 && r.nssResolve() && r.DoT != "no":
		return one("name-service", Fail, "programs have names from nss-resolve, which has them by DNS over TLS: nobody sees them", observeBoth)
	case len(unseen) > 0:
		return one("name-service", Warn, fmt.Sprintf("programs have names from %s, which may have them without asking: those are not learnt", strings.Join(unseen, " and ")), observeBoth)
	}
	return one("name-service", Note, fmt.Sprintf("C libraries look names up by %q; those of /etc/hosts are not learnt without the observer libc", sources), observeBoth)
}

func dnsOverTLS(f *Facts) []Check {
	r := f.Host.Resolver
	if !f.Home || !r.has("systemd-resolved") || r.DoT == "no" {
		return nil
	}
	said := fmt.Sprintf("systemd-resolved: DNSOverTLS=%s in %s", r.DoT, r.DoTFile)
	stub := slices.ContainsFunc(r.Servers, netip.Addr.IsLoopback)
	switch {
	case !f.sees("libc") && !f.sees("sockets"):
		return one("dns-over-tls", Fail, said+": nobody sees what is asked", observeBoth)
	case !f.sees("libc") && !stub:
		return one("dns-over-tls", Warn, said+": what it is asked without DNS on a wire is not seen", observeBoth)
	}
	return one("dns-over-tls", OK, said+"; what programs ask it is observed", "")
}

// nameServers tells which rules name servers fall under.
func nameServers(f *Facts) []Check {
	if !f.Home || f.Rules == nil {
		return nil
	}
	var all []Check
	for _, a := range f.nameServerList() {
		if r, ok := f.ruleFor(a); ok && r.Target.Kind != ruleset.Direct {
			all = append(all, f.nameServer(a, r))
		}
	}
	if all == nil {
		return one("name-server", OK, "no rule covers the name servers", "")
	}
	return all
}

// nameServerList are the name servers, but Tailscale's where its network is told of.
func (f *Facts) nameServerList() []netip.Addr {
	var all []netip.Addr
	told, _ := f.tailscale()
	for _, a := range slices.Concat(f.Host.Resolver.Servers, f.Host.Resolver.Upstream) {
		if !slices.Contains(all, a) && (told == nil || !tailnet.Contains(a)) {
			all = append(all, a)
		}
	}
	return all
}

// ruleFor is the rule that decides for an address without a name, for all programs.
func (f *Facts) ruleFor(a netip.Addr) (ruleset.Rule, bool) {
	if a.IsLoopback() || a.IsLinkLocalUnicast() {
		return ruleset.Rule{}, false
	}
	r, ok := f.Rules.MatchAddr(a, ruleset.Who{})
	if !ok && !a.IsPrivate() {
		return f.Rules.Default(ruleset.Who{})
	}
	return r, ok
}

func (f *Facts) nameServer(a netip.Addr, r ruleset.Rule) Check {
	except := "domain-route rule add " + a.String() + " direct"
	c := Check{ID: "name-server", Subject: a.String(), Level: Note, Found: fmt.Sprintf("a rule sends what it is asked to %s: %s", r.Target, r.Pattern)}
	switch {
	case r.Target.Kind == ruleset.Block:
		c.Level, c.Cure, c.Found = Fail, except, fmt.Sprintf("a rule blocks it, so that no name can be resolved: %s", r.Pattern)
	case r.Target.Kind == ruleset.Interface && r.Target.End == ruleset.EndBlock && !slices.ContainsFunc(r.Target.Chain(), f.exists):
		c.Level, c.Cure, c.Found = Fail, except, fmt.Sprintf("a rule sends what it is asked to %s, which does not exist: %s", r.Target, r.Pattern)
	case sweeping(r):
		c.Level, c.Cure = Warn, fmt.Sprintf("%s; or, if meant: domain-route rule add %s %s", except, a, r.Target)
		c.Found = fmt.Sprintf("the rule %s sends what it is asked to %s, where it may not answer", r.Pattern, r.Target)
	}
	return c
}
