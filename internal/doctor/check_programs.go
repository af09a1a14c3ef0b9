package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/dataplane"
)

const anotherOfUs = "another domain-route"

// knownPrograms tells by names of programs whose they are.
var knownPrograms = []struct{ prefix, tool string }{
	{"steer_", anotherOfUs}, {"dns_egress", anotherOfUs}, {"dns_ingress", anotherOfUs}, {"cil_", "cilium"}, {"sd_fw_", "systemd's IPAddressDeny= and the like"}, {"sd_bind", "systemd's SocketBindDeny= and the like"},
	{"sd_restrictif", "systemd's RestrictNetworkInterfaces="}, {"restrict_", "systemd's RestrictNetworkInterfaces="}, {"cg_", "dae"}, {"tproxy_", "dae"}, {"calico_", "calico"},
}

// decides tells whether programs at a hook can change where a connection goes; the others let through, or not.
func decides(hook string) bool {
	return strings.HasPrefix(hook, "connect") || strings.HasPrefix(hook, "sendmsg") || hook == "sock_create"
}

// toolAt are programs of one tool at one cgroup or interface.
type toolAt struct {
	place, owner string
	programs     []dataplane.Other
}

// toolsOf groups other tools' programs, in the order in which they come.
func toolsOf(f *Facts) []*toolAt {
	var all []*toolAt
	for _, o := range f.Others {
		place, owner := placeOf(o), ownerText(o, f.Holders[o.ID])
		i := slices.IndexFunc(all, func(g *toolAt) bool { return g.place == place && g.owner == owner })
		if i < 0 {
			i, all = len(all), append(all, &toolAt{place: place, owner: owner})
		}
		all[i].programs = append(all[i].programs, o)
	}
	return all
}

func otherPrograms(f *Facts) []Check {
	all, filters := []Check{}, map[string][]string{}
	for _, g := range toolsOf(f) {
		var redirect, decide []dataplane.Other
		for _, o := range g.programs {
			switch {
			case o.Redirects:
				redirect = append(redirect, o)
			case o.Cgroup != "" && decides(o.Hook):
				decide = append(decide, o)
			}
		}
		switch {
		case redirect != nil:
			all = append(all, g.check(redirect, "tc filter del dev "+quote(redirect[0].Device)+" egress"))
		case decide != nil:
			all = append(all, g.deciding(f))
		default:
			for _, o := range g.programs {
				filters[g.owner] = append(filters[g.owner], o.Hook+": "+g.text(o))
			}
		}
	}
	for _, owner := range slices.Sorted(maps.Keys(filters)) {
		c := Check{ID: "other-programs", Level: Note, Details: filters[owner]}
		if c.Found = c.Details[0]; len(c.Details) > 1 {
			c.Found = fmt.Sprintf("%d filters%s may drop what is steered; first %s", len(c.Details), owner, c.Details[0])
		}
		all = append(all, c)
	}
	if f.Partly {
		all = append(all, Check{ID: "other-programs", Level: Note, Found: "there are too many cgroups to look at all of them"})
	}
	if len(all) == 0 {
		return one("other-programs", OK, "no other tool's program is on our hooks", "")
	}
	return all
}

// text tells of one program.
func (g *toolAt) text(o dataplane.Other) string {
	return fmt.Sprintf("%s at %s%s%s", programText(o), g.place, g.owner, orderText(o))
}

// check warns of programs, in one line.
func (g *toolAt) check(programs []dataplane.Other, cure string) Check {
	c := Check{ID: "other-programs", Level: Warn, Cure: cure}
	if len(programs) == 1 {
		c.Subject, c.Found = programs[0].Hook, g.text(programs[0])
		return c
	}
	var hooks []string
	does := ": they run before ours, which see the addresses they leave"
	for _, o := range programs {
		if !slices.Contains(hooks, o.Hook) {
			hooks = append(hooks, o.Hook)
		}
		switch {
		case o.Redirects:
			does = ": they send what is steered there by another interface"
		case o.After && decides(o.Hook):
			does = ": they run after ours and may send connections elsewhere"
		}
		c.Details = append(c.Details, o.Hook+": "+g.text(o))
	}
	c.Subject = strings.Join(hooks, " ")
	c.Found = fmt.Sprintf("%d programs at %s%s%s", len(programs), g.place, g.owner, does)
	return c
}

// deciding tells of programs that decide where connections go. Those below are none of our business unless the start is to
// reach down to them.
func (g *toolAt) deciding(f *Facts) Check {
	c := g.check(g.programs, otherCure(g, f.Holders))
	if f.Running != nil || g.programs[0].Side != dataplane.Below {
		return c
	}
	stop, _, known := strings.Cut(c.Cure, ", or detach ")
	if !known {
		stop = ""
	}
	c.Level, c.Found, c.Cure = Note, "if started without --cgroup: "+c.Found, stop
	return c
}

// placeOf is the cgroup or the interface that a program is at.
func placeOf(o dataplane.Other) string {
	if o.Cgroup == "" {
		return "interface " + o.Device
	}
	return o.Cgroup
}

func programText(o dataplane.Other) string {
	if o.ID == 0 {
		return fmt.Sprintf("filter %q", o.Name)
	}
	if o.Name == "" {
		return fmt.Sprintf("program %d", o.ID)
	}
	return fmt.Sprintf("program %d %q", o.ID, o.Name)
}

func ownerText(o dataplane.Other, holder string) string {
	for _, k := range knownPrograms {
		if strings.HasPrefix(o.Name, k.prefix) {
			return ", of " + k.tool
		}
	}
	if holder != "" {
		return ", of " + holder
	}
	return ""
}

// orderText says what the order means.
func orderText(o dataplane.Other) string {
	switch {
	case o.Redirects:
		return ": it sends what is steered there by another interface"
	case o.Cgroup == "" || !decides(o.Hook):
		return ": it may drop what is steered"
	case o.After:
		return ": it runs after ours and may send the connection elsewhere"
	}
	return ": it runs before ours, which sees the address it leaves"
}

// otherCure is what ends a tool's programs at a cgroup, in one command line.
func otherCure(g *toolAt, holders map[uint32]string) string {
	var stop, links, plain []string
	for _, o := range g.programs {
		if h := holders[o.ID]; h != "" && !slices.Contains(stop, "stop "+h) {
			stop = append(stop, "stop "+h)
		}
		if o.Link != 0 {
			links = append(links, fmt.Sprint(o.Link))
		} else {
			plain = append(plain, fmt.Sprintf("%s id %d", o.Hook, o.ID))
		}
	}
	if stop == nil && strings.HasSuffix(g.owner, anotherOfUs) {
		stop = []string{"domain-route stop where it was started"}
	}
	dir := ""
	if len(plain) > 0 {
		dir = quote(g.programs[0].Cgroup)
	}
	var by []string
	switch len(links) {
	case 0:
	case 1:
		by = append(by, "bpftool link detach id "+links[0])
	default:
		by = append(by, "for id in "+strings.Join(links, " ")+"; do bpftool link detach id $id; done")
	}
	switch len(plain) {
	case 0:
	case 1:
		by = append(by, "bpftool cgroup detach "+dir+" "+plain[0])
	default:
		by = append(by, `for p in "`+strings.Join(plain, `" "`)+`"; do bpftool cgroup detach `+dir+" $p; done")
	}
	command := strings.Join(by, "; ")
	switch {
	case stop == nil:
		return command
	case len(g.programs) == 1:
		return strings.Join(stop, ", ") + ", or detach it: " + command
	}
	return strings.Join(stop, ", ") + ", or detach them: " + command
}
