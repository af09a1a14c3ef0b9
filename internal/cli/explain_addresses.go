package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/doctor"
)

// mostAddresses is how many are told in the text.
const mostAddresses = 6

func (r *explainResult) sayAddresses(p *explainPage) {
	label := "learnt"
	if r.Kind == "address" {
		label = "connect"
	}
	told := 0
	for _, a := range r.counting() {
		told++
		if told > mostAddresses {
			continue
		}
		r.sayAddress(p, label, a)
		label = ""
	}
	if told > mostAddresses {
		p.say("", 0, "and %s more: -o json, or domain-route rdns =%s", addresses(told-mostAddresses), r.Subject)
	}
	if r.Kind == "name" && told == 0 && r.Started && r.unseen() == "" {
		r.sayUnlearnt(p)
		label = ""
	}
	r.sayElsewhere(p, label)
}

func addresses(n int) string {
	if n == 1 {
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", n)
}

// sayUnlearnt says what it means that no address is known.
func (r *explainResult) sayUnlearnt(p *explainPage) {
	if len(r.Elsewhere) > 0 {
		p.say("learnt", 0, "no address that counts here")
	} else {
		p.say("learnt", 0, "no address: nobody asked for the name lately, as far as was seen")
	}
	if !slices.ContainsFunc(r.Rules, func(w explainRule) bool { return w.Decides && w.Pattern != "default" }) {
		return // nothing depends on it
	}
	p.say("", 1, "Who asks now is seen, and goes as said above.")
	p.say("", 1, "Who connects without being seen to ask has the address from elsewhere: DNS over HTTPS of its own (browsers), or a cache "+
		"from before: restart the program. domain-route start has resolvers forget theirs, and start --audit finds such connections.")
}

// sayAddress tells of one address where it goes, and what is known of it.
func (r *explainResult) sayAddress(p *explainPage, label string, a explainAddress) {
	says, _, _ := strings.Cut(r.saysAddress(a), " (ifindex")
	p.say(label, 0, "%s -> %s%s", a.Address, says, r.byText(a))
	switch {
	case a.Route == nil:
	case !a.Route.OK:
		p.say("", 1, "fails at once: no %s route%s", family(a), byOrFor(a.Place))
	case a.Route.Lost:
		p.say("", 1, "likely unanswered: no %s route%s, so it is taken for a neighbour", family(a), byOrFor(a.Place))
	case a.Route.Foreign:
		p.say("", 1, "from %s, which is no address of %s: answers come by another interface, or not at all", a.Route.Source, a.Place.Interface)
	case a.Place.Mark != 0:
		p.say("", 1, "by %s from %s%s", a.Route.Interface, a.Route.Source, gatewayText(a.Route))
	case a.Route.Source.IsValid():
		p.say("", 1, "from %s%s", a.Route.Source, gatewayText(a.Route))
	}
	if len(a.Names) == 0 && r.Kind == "address" && a.Alone == "" {
		p.say("", 1, "no name was learnt for it that counts here")
	}
	r.sayNames(p, a.Names)
}

// byText says by what an address has its verdict, where that is not the name asked about.
func (r *explainResult) byText(a explainAddress) string {
	switch {
	case a.Alone != "" || r.unseen() != "":
	case a.By == dataplane.ByName && a.Name != "" && a.Name != r.Subject:
		return ", by the name " + a.Name
	case a.By == dataplane.ByAddress:
		return ", by the rule for addresses " + a.Rule
	case a.By == dataplane.ByDefault:
		return ", by the default rule"
	}
	return ""
}

// sayNames tells of the names that were learnt for an address; not of those at levels behind the one that decides that are
// told already.
func (r *explainResult) sayNames(p *explainPage, names []explainName) {
	told := map[string]bool{}
	conflict := false
	for _, n := range names {
		if !n.Asked && told[n.Name] {
			continue
		}
		told[n.Name] = true
		conflict = conflict || n.Conflict && n.Asked
		p.say("", 1, "%s", r.nameText(n))
	}
	switch {
	case conflict && r.Asks:
		p.say("", 1, "CONFLICT: names of it lead to different places; a program goes by the one that it asked for, and if it asked for several, by one "+
			"with a rule before one without, then by the latest")
	case conflict:
		p.say("", 1, "CONFLICT: names of it lead to different places; one with a rule beats one without, then the latest counts")
	}
}

// byOrFor is which route there is none of.
func byOrFor(p explainPlace) string {
	if p.Interface != "" {
		return " by " + p.Interface
	}
	return fmt.Sprintf(" for mark %#x", p.Mark)
}

func family(a explainAddress) string {
	if a.Address.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

func gatewayText(r *explainRoute) string {
	if r.Gateway.IsValid() {
		return " via " + r.Gateway.String()
	}
	return ", no gateway"
}

// nameText says what is known of a learnt name, and its part in the verdict.
func (r *explainResult) nameText(n explainName) string {
	name := n.Name
	if name == "" {
		name = "a name whose text was evicted"
	}
	text := fmt.Sprintf("%s (%s): learnt by %s %s ago, %s", name, leadsTo(n), r.whoText(n.Level, n.PID, n.UID), ago(n.age), ttlText(n))
	switch {
	case n.Decides:
		text += "; decides"
	case n.Live && !n.Asked && !r.Asks:
		text += "; not looked at, since who is asked before knows the address"
	}
	return text
}

func leadsTo(n explainName) string {
	if n.Target == "" {
		return "no rule"
	}
	return "-> " + n.Target
}

func ttlText(n explainName) string {
	switch {
	case !n.Live:
		return "over for more than an hour: counts no more"
	case n.ttl < 0:
		return fmt.Sprintf("TTL over since %s, still counts for %s", ago(-n.ttl), ago(n.ttl+time.Hour))
	}
	return fmt.Sprintf("TTL left %s", ago(n.ttl))
}

// whoText says who learnt a name.
func (r *explainResult) whoText(level dataplane.Level, pid, uid uint32) string {
	switch {
	case level == dataplane.LevelHost:
		return "the host (root or a service)"
	case level == dataplane.LevelUser:
		return "user " + userText(uid, userName(uid))
	case pid == r.For.PID:
		return "this process"
	}
	for _, parent := range r.For.Parents {
		if parent.PID == pid {
			return fmt.Sprintf("its parent %d (%s)", pid, parent.Comm)
		}
	}
	return fmt.Sprintf("process %d of user %s", pid, userText(uid, userName(uid)))
}

func (r *explainResult) sayInterfaces(p *explainPage) {
	label := "interface"
	for _, i := range r.Interfaces {
		switch {
		case !i.Exists:
			p.say(label, 0, "%s does not exist", i.Name)
		case !i.Up:
			p.say(label, 0, "%s: down; connections by it fail at once: ip link set %s up", i.Name, i.Name)
			if next := r.behind(i.Name); next != "" {
				p.say("", 1, "as long as it exists, connections do not go on to %s, which comes next", next)
			}
		default:
			r.sayInterface(p, label, i)
		}
		label = ""
	}
}

// behind is what comes behind an interface in the chain of a rule that decides; empty: nothing.
func (r *explainResult) behind(name string) string {
	for _, w := range r.Rules {
		parts := strings.Split(w.Target, ",")
		if i := slices.Index(parts, name); w.Decides && i >= 0 && i+1 < len(parts) {
			return parts[i+1]
		}
	}
	return ""
}

// sayInterface tells of an interface that is up what connections by it come to.
func (r *explainResult) sayInterface(p *explainPage, label string, i explainInterface) {
	var addrs []string
	six := false
	for _, a := range i.Addrs {
		addrs = append(addrs, a.String())
		six = six || a.Addr().Is6()
	}
	p.say(label, 0, "%s: %s; %s", i.Name, r.stateOf(i.Name), orElse(strings.Join(addrs, " "), "no address"))
	p.say("", 1, "default routes by it: IPv4 %s; IPv6 %s", defaultText(i.Default4), defaultText(i.Default6))
	switch {
	case six:
	case !i.facts.Routed6:
		p.say("", 1, "no IPv6 address: connections by it over IPv6 fail at once")
	default:
		p.say("", 1, "no IPv6 address, but an IPv6 route: connections by it over IPv6 have another interface's address, and time out")
	}
	if i.Ethernet && !i.facts.Routed4 {
		p.say("", 1, "without an IPv4 default route only its own network can be reached: %s", doctor.RouteCure(i.facts, false))
	}
	if i.Drops {
		p.say("", 1, "rp_filter is 1: the kernel drops IPv4 answers; sysctl -w net.ipv4.conf.%s.rp_filter=2", strings.ReplaceAll(i.Name, ".", "/"))
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func defaultText(all []explainDefault) string {
	if len(all) == 0 {
		return "none"
	}
	return fmt.Sprintf("metric %d", all[0].Metric)
}
