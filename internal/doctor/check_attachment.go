package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/dataplane"
)

var attachmentChecks = []check{
	{Attachment, []string{"started"}, started},
	{Attachment, []string{"namespace"}, namespace},
	{Attachment, []string{"programs"}, programs},
	{Attachment, []string{"cgroup", "cgroup-condition"}, cgroup},
	{Attachment, []string{"other-programs"}, otherPrograms},
	{Attachment, []string{"other-tools"}, otherTools},
	{Attachment, []string{"routing-rules"}, routingRules},
	{Attachment, []string{"configuration"}, configuration},
	{Attachment, []string{"at-boot"}, atBoot},
}

func started(f *Facts) []Check {
	switch f.State {
	case dataplane.StateStarted:
		s := f.Running.Status
		return one("started", OK, fmt.Sprintf("rules in force: %d; observers: %s", s.Rules, strings.Join(s.Observers, " ")), "")
	case dataplane.StateStopped:
		if f.hidden() {
			found, cure, _ := strings.Cut(f.Said[0], ": ")
			return one("started", Warn, found, cure)
		}
		return one("started", Warn, "domain-route is not started: nothing is steered", "domain-route start")
	}
	cure := map[string]string{dataplane.StateUnfinished: "domain-route start", dataplane.StateDamaged: "domain-route stop && domain-route start"}[f.State]
	return one("started", Fail, f.State+": "+strings.Join(f.Said, "; "), cure)
}

func namespace(f *Facts) []Check {
	switch {
	case f.Running == nil:
		return nil
	case f.Home:
		return one("namespace", OK, "this network namespace is the one that is steered", "")
	}
	return one("namespace", Note, "this is not the network namespace that is steered: interfaces, programs and sockets are not looked at; run it there", "")
}

func programs(f *Facts) []Check {
	if f.Running == nil {
		return nil
	}
	var lost []string
	for _, p := range f.Running.Status.Programs {
		if !p.Attached {
			lost = append(lost, p.Hook)
		}
	}
	for _, w := range f.Running.Status.Warnings { // hooks whose pin is gone
		if hook, ok := strings.CutSuffix(w, " is not attached; mend it: domain-route start"); ok {
			lost = append(lost, hook)
		}
	}
	if len(lost) > 0 {
		return one("programs", Fail, "not attached: "+strings.Join(lost, ", "), "domain-route start")
	}
	return one("programs", OK, fmt.Sprintf("all are attached: %d", len(f.Running.Status.Programs)), "")
}

// restart is how to begin anew, elsewhere, with the rules that run; again ends it.
const (
	restart = "domain-route rule list > FILE; domain-route stop; domain-route start"
	again   = "; domain-route apply -f FILE"
)

func cgroup(f *Facts) []Check {
	switch {
	case !f.Home || f.Support.NoCgroup != nil:
		return nil
	case f.Running != nil:
		return append(unreachableConditions(f), attachedCgroup(f))
	case !f.Host.Attached:
		return one("cgroup", Fail, f.Cgroup+" does not exist: start will be refused", "set cgroup: in the configuration, or leave it out")
	}
	return unreachableConditions(f)
}

// attachedCgroup says whom the attached cgroup has in it.
func attachedCgroup(f *Facts) Check {
	gone := func(w string) bool { return strings.HasPrefix(w, "nothing is steered: the cgroup ") }
	names := programsOutside(f)
	switch {
	case slices.ContainsFunc(f.Running.Status.Warnings, gone):
		return Check{ID: "cgroup", Level: Fail, Found: f.Cgroup + " is gone: nothing is steered", Cure: restart + again}
	case f.Cgroup == f.Support.Cgroup:
		return Check{ID: "cgroup", Level: OK, Found: "programs of all cgroups are steered"}
	case !f.Host.Populated:
		wide := restart
		if above := common(f.Host.Procs); above != "" && above != f.Support.Cgroup {
			wide += " --cgroup " + quote(above)
		}
		return Check{ID: "cgroup", Level: Fail, Cure: wide + again, Details: names,
			Found: fmt.Sprintf("no program runs in %s: nothing is steered; outside it: %s", f.Cgroup, few(names))}
	case len(names) > 0:
		return Check{ID: "cgroup", Level: Note, Found: fmt.Sprintf("programs outside %s are not steered: %s", f.Cgroup, few(names)), Details: names}
	}
	return Check{ID: "cgroup", Level: OK, Found: "all programs of this network namespace run in " + f.Cgroup}
}

// programsOutside are those of this network namespace that run outside the attached cgroup, with how many of each do.
func programsOutside(f *Facts) []string {
	outside := map[string]int{}
	for _, p := range f.Host.Procs {
		if p.Cgroup != "" && !within(p.Cgroup, f.Cgroup) {
			outside[p.Program]++
		}
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(outside)) {
		names = append(names, fmt.Sprintf("%s (%d)", name, outside[name]))
	}
	return names
}

// common is the deepest cgroup that all processes are in.
func common(procs []Process) string {
	var parts []string
	for _, p := range procs {
		if p.Cgroup == "" {
			continue
		}
		these := strings.Split(p.Cgroup, "/")
		if parts == nil {
			parts = these
		}
		n := 0
		for n < len(parts) && n < len(these) && parts[n] == these[n] {
			n++
		}
		parts = parts[:n]
	}
	return strings.Join(parts, "/")
}

// unreachableConditions finds rules for cgroups that nothing is attached to.
func unreachableConditions(f *Facts) []Check {
	if f.Rules == nil || f.Support.Cgroup == "" || f.Cgroup == f.Support.Cgroup {
		return nil
	}
	if f.Rules.Len() > mostLookedAt {
		return one("cgroup-condition", Note, fmt.Sprintf("%d rules are too many to look for such as never hold here", f.Rules.Len()), "")
	}
	var never []string
	for r := range f.Rules.All() {
		path := r.Condition.Cgroup
		dir := strings.TrimSuffix(f.Support.Cgroup, "/") + path
		if path != "" && !within(dir, f.Cgroup) && !within(f.Cgroup, dir) {
			never = append(never, r.Pattern.String()+" "+r.Condition.String())
		}
	}
	if len(never) == 0 {
		return nil
	}
	return []Check{{ID: "cgroup-condition", Level: Warn, Details: never, Cure: restart + again,
		Found: fmt.Sprintf("rules for cgroups outside %s never hold: %s", f.Cgroup, few(never))}}
}

// tunnels are programs of tunnels and proxies that a rule for their server would send into themselves, or that have
// rules of their own.
var tunnels = []string{"sing-box", "mihomo", "clash", "clash-meta", "dae", "xray", "v2ray", "tailscaled", "openvpn", "openconnect", "wireguard-go",
	"boringtun", "redsocks", "tun2socks", "warp-svc", "mullvad-daemon", "nordvpnd", "cilium-agent", "hysteria", "AdGuardVPN"}

func otherTools(f *Facts) []Check {
	var found []string
	for _, p := range f.Host.Procs {
		if slices.Contains(tunnels, p.Program) && !slices.Contains(found, p.Program) {
			found = append(found, p.Program)
		}
	}
	if len(found) == 0 {
		return one("other-tools", OK, "no VPN or proxy program that is known runs beside", "")
	}
	slices.Sort(found)
	return one("other-tools", Note, strings.Join(found, ", ")+" runs: a rule that covers its server sends the tunnel into itself", "domain-route rule add =SERVER direct")
}

// mainTable is where default routes are, RT_TABLE_MAIN.
const mainTable = 254

// routingRules notes rules above the main table that may send steered connections by another table.
func routingRules(f *Facts) []Check {
	if !f.Home {
		return nil
	}
	var above []string
	for _, p := range f.Policy {
		if p.Priority > 0 && p.Priority < 32766 && p.Table != mainTable {
			family := "IPv4"
			if p.IPv6 {
				family = "IPv6"
			}
			text := fmt.Sprintf("%s %d: table %d", family, p.Priority, p.Table)
			if p.Mark != 0 {
				text = fmt.Sprintf("%s %d: mark 0x%x, table %d", family, p.Priority, p.Mark, p.Table)
			}
			above = append(above, text)
		}
	}
	if len(above) == 0 {
		return one("routing-rules", OK, "none comes before the main table", "")
	}
	return []Check{{ID: "routing-rules", Level: Note, Details: above,
		Found: "some come before the main table, for steered connections too: " + few(above)}}
}

func configuration(f *Facts) []Check {
	c := f.Config
	var all []Check
	switch {
	case c.Error != "":
		return one("configuration", Fail, c.Error, "domain-route apply --dry-run")
	case len(c.Files) == 0 && f.Running == nil:
		return one("configuration", Note, "there is none: start begins without rules", "")
	case len(c.Files) == 0:
		return one("configuration", Note, "there is none: the rules are gone with the next boot", "domain-route rule save")
	case f.Running != nil && c.Differs:
		all = one("configuration", Warn, "the running rules are not its rules", "domain-route apply")
	}
	for _, s := range c.Settings {
		found, cure, _ := strings.Cut(s, "; take it over: ")
		all = append(all, Check{ID: "configuration", Level: Warn, Found: found, Cure: cure})
	}
	if len(all) == 0 && c.Findings > 0 {
		return one("configuration", Note, fmt.Sprintf("there are findings about it: %d", c.Findings), "domain-route apply --dry-run")
	}
	if len(all) == 0 {
		return one("configuration", OK, strings.Join(c.Files, " "), "")
	}
	return all
}

func atBoot(f *Facts) []Check {
	switch u := f.Host.Unit; {
	case u.Enabled:
		return one("at-boot", OK, "domain-route is started", "")
	case u.Installed:
		return one("at-boot", Note, "the unit is installed, and not enabled", "systemctl enable domain-route")
	}
	return one("at-boot", Note, "nothing starts domain-route: docs/boot.md", "")
}
