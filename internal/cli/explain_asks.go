package cli

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/dataplane"
)

// whichName wants one argument, and tells who named only a process what is missing.
func whichName(cmd *cobra.Command, given []string) error {
	if f := cmd.Flags().Lookup("process"); len(given) == 0 && f.Changed {
		return usageError{fmt.Errorf("which name? domain-route explain example.com --process %s", f.Value)}
	}
	return args(1, 1)(cmd, given)
}

// unasked fills in what a program comes to that connects without asking, where that is something else; and of the names
// that were learnt, that the one asked about decides.
func (e *explainer) unasked(row *explainAddress, x dataplane.Explanation) {
	decided := false
	for i := range row.Names {
		n := &row.Names[i]
		n.Decides = !decided && n.Live && n.Name == e.result.Subject
		decided = decided || n.Decides
	}
	place := placeOf(e.place(x))
	if place == row.Place {
		return
	}
	u := &explainUnasked{Place: place, By: x.By, Name: nameText(x.Deciding), Rule: x.Rule, Level: x.Level}
	if x.By != dataplane.ByNone {
		u.Target = x.Target.String()
	}
	for _, asked := range x.Asked {
		if asked.Decides {
			u.PID, u.UID = asked.PID, asked.UID
		}
	}
	row.Unasked = u
}

// saysUnasked is the answer's second line: what programs get that connect without asking; empty: the same.
func (r *explainResult) saysUnasked() string {
	const most = 3
	groups := map[string][]netip.Addr{}
	var order []string
	all := r.counting()
	for _, a := range all {
		if a.Unasked == nil {
			continue
		}
		says := r.unaskedText(*a.Unasked)
		if groups[says] == nil {
			order = append(order, says)
		}
		groups[says] = append(groups[says], a.Address)
	}
	switch {
	case len(order) == 0:
		return ""
	case len(groups[order[0]]) == len(all):
		return "who connects without asking gets: " + order[0]
	}
	var parts []string
	for _, says := range order[:min(len(order), most)] {
		which := groups[says][0].String()
		if more := len(groups[says]) - 1; more > 0 {
			which += fmt.Sprintf(" and %d more", more)
		}
		parts = append(parts, which+" "+says)
	}
	if len(order) > most {
		parts = append(parts, "and others: -o json")
	}
	return "who connects without asking gets: " + strings.Join(parts, "; ")
}

func (r *explainResult) unaskedText(u explainUnasked) string {
	says, _, _ := strings.Cut(r.saysPlace(u.Place, u.Target), " (ifindex")
	switch {
	case u.By == dataplane.ByName && u.Name == "":
		return fmt.Sprintf("%s, by a name whose text was evicted (learnt by %s)", says, r.whoText(u.Level, u.PID, u.UID))
	case u.By == dataplane.ByName:
		return fmt.Sprintf("%s, by %s (learnt by %s)", says, u.Name, r.whoText(u.Level, u.PID, u.UID))
	case u.By == dataplane.ByAddress:
		return fmt.Sprintf("%s, by the rule for addresses %s", says, u.Rule)
	case u.By == dataplane.ByDefault:
		return says + ", by the default rule"
	}
	return says + " (no rule)"
}

// sayElsewhere says in one line who learnt the name for himself alone.
func (r *explainResult) sayElsewhere(p *explainPage, label string) {
	var pids, uids []uint32
	for _, l := range r.Elsewhere {
		switch {
		case l.Level == dataplane.LevelUser && !slices.Contains(uids, l.UID):
			uids = append(uids, l.UID)
		case l.Level == dataplane.LevelProcess && !slices.Contains(pids, l.PID):
			pids = append(pids, l.PID)
		}
	}
	var who, ask []string
	add := func(one, many, option string, of []uint32) {
		switch len(of) {
		case 0:
		case 1:
			who = append(who, fmt.Sprintf("%s %d", one, of[0]))
			ask = append(ask, fmt.Sprintf("%s %d", option, of[0]))
		default:
			who = append(who, fmt.Sprintf("%d %s", len(of), many))
			ask = append(ask, option+" "+map[string]string{"process": "PID", "user": "USER"}[one])
		}
	}
	add("process", "processes", "--process", pids)
	add("user", "users", "--user", uids)
	if len(who) == 0 {
		return
	}
	self := "themselves"
	if len(pids)+len(uids) == 1 {
		self = "itself"
	}
	p.say(label, 0, "%s learnt it for %s alone (%s)", strings.Join(who, " and "), self, strings.Join(ask, ", "))
}

// drops tells whether IPv4 answers by an interface are dropped.
func (r *explainResult) drops(name string) bool {
	return slices.ContainsFunc(r.Interfaces, func(i explainInterface) bool { return i.Name == name && i.Drops })
}

// dropped says of addresses that the kernel drops their answers, although connections to them are steered and have a route.
func (r *explainResult) dropped(all []explainAddress) string {
	n := 0
	for _, a := range all {
		if a.Address.Is4() && a.Place.Interface != "" && a.Route != nil && a.Route.OK && !a.Route.Lost && r.drops(a.Place.Interface) {
			n++
		}
	}
	six := slices.ContainsFunc(all, func(a explainAddress) bool { return a.Address.Is6() })
	switch {
	case n == 0:
		return ""
	case n == len(all):
		return "; answers are dropped: rp_filter"
	case six && !slices.ContainsFunc(all, func(a explainAddress) bool { return a.Address.Is4() && !r.drops(a.Place.Interface) }):
		return "; IPv4 answers are dropped: rp_filter"
	}
	return fmt.Sprintf("; answers of %d of %d are dropped: rp_filter", n, len(all))
}
