package cli

import (
	"errors"
	"fmt"

	"golang.org/x/net/publicsuffix"

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
	all := []string{}
	asked := map[string]bool{}
	for _, t := range targets {
		for _, name := range t.Chain() {
			if !asked[name] && home {
				all = append(all, interfaceWarnings(name)...)
			}
			asked[name] = true
		}
	}
	if !home && len(asked) > 0 {
		return append(all, "interface names are those of the network namespace that start ran in, which is not this one")
	}
	return all
}

func interfaceWarnings(name string) []string {
	var all []string
	d, err := netdev.ByName(name)
	if errors.Is(err, netdev.ErrNoDevice) {
		return []string{fmt.Sprintf("interface %s does not exist now; until it does, what the rule sends there fails", name)}
	}
	if err != nil {
		return nil
	}
	if setting, strict := netdev.StrictReversePath(name); strict {
		all = append(all, fmt.Sprintf("the kernel drops IPv4 answers by %s (rp_filter is 1); let them in: sysctl -w %s=2", name, setting))
	}
	if d.Tun {
		all = append(all, name+" is a tun device: the program behind it must not be steered by this rule itself; except its server: "+
			"domain-route rule add =SERVER direct")
	}
	if lacks, err := netdev.LacksDefaultRoute(d); err == nil && lacks {
		all = append(all, fmt.Sprintf("no IPv4 default route by %s, so only its own network can be reached; add one: "+
			"ip route add default via GATEWAY dev %s metric 9999", name, name))
	}
	return all
}
