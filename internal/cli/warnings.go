package cli

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/net/publicsuffix"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/doctor"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// publicSuffix tells whether a pattern is a public suffix, so that it is for everybody's names below it.
func publicSuffix(p pattern.Pattern) (string, bool) {
	if p.Kind != pattern.Suffix && p.Kind != pattern.Subdomains {
		return "", false
	}
	name := p.Name.String()
	suffix, icann := publicsuffix.PublicSuffix(name)
	return name, suffix == name && icann
}

// targetWarnings tells what is allowed but may surprise about targets: for each interface once.
func targetWarnings(targets []ruleset.Target, home bool) []string {
	return warningsTo(netip.Addr{}, targets, home)
}

// warningsTo is targetWarnings for a rule that is for some addresses only, of which one is given; or invalid.
func warningsTo(to netip.Addr, targets []ruleset.Target, home bool) []string {
	all := []string{}
	var names []string
	for _, t := range targets {
		names = append(names, t.Chain()...)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if !home && len(names) > 0 {
		return append(all, "interface names are those of the network namespace that start ran in, which is not this one")
	}
	facts, err := netdev.AllFacts(names)
	if err != nil {
		return all // what cannot be looked at is not warned of
	}
	exists := map[string]bool{}
	for _, f := range facts {
		exists[f.Name] = f.Exists
	}
	for _, f := range facts {
		if !f.Exists {
			all = append(all, missingWarnings(f.Name, targets, exists)...)
			continue
		}
		all = append(all, interfaceWarnings(f, to)...)
	}
	return all
}

// missingWarnings tells what becomes of what is sent to an interface that does not exist: the other interfaces of the targets
// that name it, and how these end, decide. What is the same for several targets is told once.
func missingWarnings(name string, targets []ruleset.Target, exists map[string]bool) []string {
	var all []string
	for _, t := range targets {
		chain := t.Chain()
		at, by := slices.Index(chain, name), slices.IndexFunc(chain, func(n string) bool { return exists[n] })
		then := "until it does, what the rule sends there fails"
		switch {
		case at < 0:
			continue
		case by > at:
			then = "until it does, the rule goes on to " + chain[by]
		case by >= 0:
			then = "the rule sends to " + chain[by] + ", which comes before it"
		case t.End == ruleset.EndDirect:
			then = "until it does, the rule leaves alone what it would send there (direct)"
		}
		if meant := meantByTarget(name); meant != "" {
			then += "; " + meant
		}
		if w := fmt.Sprintf("interface %s does not exist now; %s", name, then); !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	return all
}

// ruleWarnings tells the same of a rule, which is among set.
func ruleWarnings(s *dataplane.System, set *ruleset.Set, r ruleset.Rule) []string {
	var to netip.Addr
	if r.Pattern.Kind == pattern.Prefix {
		to = r.Pattern.Prefix.Addr()
	}
	all := warningsTo(to, []ruleset.Target{r.Target}, s.AtHome())
	if !s.AtHome() {
		return all
	}
	swept, err := sweptWarnings(s, set, r)
	if err != nil {
		return all // what cannot be looked at is not warned of
	}
	return append(all, swept...)
}

// interfaceWarnings is for one that exists.
func interfaceWarnings(f netdev.Facts, to netip.Addr) []string {
	name := f.Name
	var all []string
	if setting, strict := netdev.StrictReversePath(name); strict {
		all = append(all, fmt.Sprintf("the kernel drops IPv4 answers by %s (rp_filter is 1); let them in: sysctl -w %s=2", name, setting))
	}
	if f.Tun {
		all = append(all, name+" is a tun device: the program behind it must not be steered by this rule itself; except its server: "+
			"domain-route rule add =SERVER direct")
	}
	if !f.Up {
		return append(all, fmt.Sprintf("interface %s is down; until it is up, what the rule sends there fails: ip link set %s up", name, name))
	}
	return append(all, routeWarnings(f, to)...)
}

// routeWarnings tells of families for which a socket that is bound to an interface finds no route.
func routeWarnings(f netdev.Facts, to netip.Addr) []string {
	four, six := f.Routed4, f.Routed6 || !doctor.MeansIPv6(f)
	if to.IsValid() {
		routed, err := netdev.HasRoute(f.Device, to)
		four, six = err != nil || routed || to.Is6(), err != nil || routed || to.Is4()
	}
	var all []string
	if !four {
		all = append(all, fmt.Sprintf("no IPv4 default route by %s, so only its own network can be reached; add one: %s", f.Name, doctor.RouteCure(f, false)))
	}
	if !six {
		all = append(all, fmt.Sprintf("no IPv6 route by %s: connections by IPv6 fail (ENETUNREACH); add one: %s", f.Name, doctor.RouteCure(f, true)))
	}
	return all
}
