package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// routes looks at the interfaces that the rules name, and at the routes by them.
func (e *explainer) routes() error {
	var names []string
	for _, w := range e.ways {
		if !w.decides {
			continue
		}
		for _, name := range w.Target.Chain() {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, a := range e.result.Addresses {
		if name := a.Place.Interface; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	facts, err := netdev.AllFacts(names)
	if err != nil {
		return err
	}
	for i, f := range facts {
		row := explainInterface{
			Name: names[i], Exists: f.Exists, Ifindex: f.Index, Up: f.Up, Carrier: f.Carrier, Addrs: notNil(slices.Concat(f.Addrs4, f.Addrs6)),
			Default4: defaults(f.Default4), Default6: defaults(f.Default6), RPFilter: f.RPFilter, Ethernet: f.Ethernet,
			facts: f,
		}
		if row.Drops, err = e.drops(f); err != nil {
			return err
		}
		e.result.Interfaces = append(e.result.Interfaces, row)
	}
	return e.paths()
}

// paths asks how each steered address would be got to.
func (e *explainer) paths() error {
	for i := range e.result.Addresses {
		a := &e.result.Addresses[i]
		if !a.Place.steered() {
			continue
		}
		path, err := netdev.PathBy(a.Address, a.Place.Interface, a.Place.Mark, e.result.For.UID)
		if err != nil && !errors.Is(err, netdev.ErrNoRoute) {
			return err
		}
		a.Route = &explainRoute{OK: err == nil, Interface: path.Interface, Gateway: path.Gateway, Source: path.Source}
		i := slices.IndexFunc(e.result.Interfaces, func(i explainInterface) bool { return i.Name == a.Place.Interface })
		if err != nil || i < 0 {
			continue
		}
		by := e.result.Interfaces[i]
		a.Route.Foreign = path.Source.IsValid() && !slices.ContainsFunc(by.Addrs, func(p netip.Prefix) bool { return p.Addr() == path.Source })
		routed, err := netdev.HasRoute(by.facts.Device, a.Address)
		if err != nil {
			return err
		}
		a.Route.Lost = !routed
	}
	return nil
}

// drops tells whether the kernel drops IPv4 answers by an interface: where what is not bound goes by another one.
func (e *explainer) drops(f netdev.Facts) (bool, error) {
	if f.RPFilter != 1 {
		return false, nil
	}
	to := netip.AddrFrom4([4]byte{192, 0, 2, 1})
	for _, a := range e.result.Addresses {
		if a.Place.Interface == f.Name && a.Address.Is4() {
			to = a.Address
		}
	}
	path, err := netdev.PathBy(to, "", 0, e.result.For.UID)
	if errors.Is(err, netdev.ErrNoRoute) {
		return true, nil
	}
	return path.Interface != f.Name, err
}

func defaults(routes []netdev.Route) []explainDefault {
	all := []explainDefault{}
	for _, r := range routes {
		all = append(all, explainDefault{r.Gateway, r.Metric})
	}
	return all
}

// counting are the addresses that the answer is about: those that were learnt by somebody whose word counts.
func (r *explainResult) counting() []explainAddress {
	return slices.DeleteFunc(slices.Clone(r.Addresses), func(a explainAddress) bool { return !a.Counts })
}

// conclude fills in the answer.
func (e *explainer) conclude() {
	r := e.result
	r.Verdict, r.Answer = e.verdict()
	r.Steered = r.Verdict.steered() && len(r.Disagreements) == 0
	r.Answer = r.Subject + " -> " + r.Answer
	r.Unasked = r.saysUnasked()
}

func (e *explainer) verdict() (explainPlace, string) {
	r := e.result
	if why := r.unseen(); why != "" {
		return explainPlace{Verdict: string(dataplane.Untouched)}, "left alone: " + why
	}
	all := r.counting()
	if len(all) == 0 {
		return e.unlearnt()
	}
	same := true
	for _, a := range all[1:] {
		same = same && a.Place == all[0].Place
	}
	if same {
		return all[0].Place, r.saysAddress(all[0]) + failing(all) + r.dropped(all)
	}
	return explainPlace{Verdict: "differs"}, r.differs(all) + failing(all) + r.dropped(all)
}

// failing says of how many addresses connections fail although they are steered, for want of a route.
func failing(all []explainAddress) string {
	steered, six, lost := 0, 0, 0
	failed := map[string]int{}
	for _, a := range all {
		if a.Route == nil {
			continue
		}
		steered++
		if a.Address.Is6() {
			six++
		}
		if !a.Route.OK {
			failed[family(a)]++
		}
		if a.Route.Lost {
			lost++
		}
	}
	switch n := failed["IPv4"] + failed["IPv6"]; {
	case n+lost == 0:
		return ""
	case lost == steered:
		return "; likely unanswered: no route"
	case lost > 0:
		return fmt.Sprintf("; %d of %d fail or are likely unanswered: no route", n+lost, steered)
	case n == steered:
		return "; fails at once: no route"
	case failed["IPv4"] == 0 && n == six:
		return "; IPv6 fails at once: no route"
	case failed["IPv6"] == 0 && n == steered-six:
		return "; IPv4 fails at once: no route"
	default:
		return fmt.Sprintf("; %d of %d fail at once: no route", n, steered)
	}
}

// differs says how many addresses go where, and which go elsewhere than most.
func (r *explainResult) differs(all []explainAddress) string {
	groups := map[string][]netip.Addr{}
	var order []string
	for _, a := range all {
		says := r.saysPlace(a.Place, a.Target)
		if groups[says] == nil {
			order = append(order, says)
		}
		groups[says] = append(groups[says], a.Address)
	}
	slices.SortStableFunc(order, func(a, b string) int { return len(groups[b]) - len(groups[a]) })
	var parts []string
	for i, says := range order {
		of := groups[says]
		part := fmt.Sprintf("%d %s", len(of), says)
		if i > 0 {
			which := of[0].String()
			if len(of) > 1 {
				which += fmt.Sprintf(" and %d more", len(of)-1)
			}
			part += ": " + which
		}
		parts = append(parts, part)
	}
	return fmt.Sprintf("differs, %d addresses: %s", len(all), strings.Join(parts, "; "))
}

// unlearnt is the answer for a name of which no address is known: what will be, once there is one.
func (e *explainer) unlearnt() (explainPlace, string) {
	for _, w := range e.ways {
		if !w.Holds() {
			continue
		}
		p := placeOf(dataplane.Resolve(w.Target, e.devices.find))
		says := e.result.saysPlace(p, w.Target.String())
		if w.Target.Kind == ruleset.Direct {
			says += " (its rule)"
		}
		switch {
		case w.Pattern.Kind != pattern.Default:
			says += ", once an address of it is learnt"
		case e.prefixes:
			says += " by the default rule, unless its address is private or has a rule"
		default:
			says += " by the default rule, unless its address is private"
		}
		if p.Interface != "" && e.result.drops(p.Interface) {
			says += "; IPv4 answers are dropped: rp_filter"
		}
		return p, says
	}
	says := "direct (no rule)"
	if e.prefixes {
		says += ", unless its address has a rule"
	}
	return explainPlace{Verdict: string(dataplane.Untouched)}, says
}

// unseen tells why connections of the process are not seen at all; empty: they are.
func (r *explainResult) unseen() string {
	switch r.For.Reach {
	case dataplane.OtherNamespace:
		return fmt.Sprintf("process %d is in another network namespace than start was", r.For.PID)
	case dataplane.OutsideOfCgroup:
		return fmt.Sprintf("process %d is outside of the cgroup that is steered", r.For.PID)
	case dataplane.CgroupIsGone:
		return "the cgroup that is steered was removed: domain-route stop && domain-route start"
	}
	return ""
}

// saysAddress is the answer for one address.
func (r *explainResult) saysAddress(a explainAddress) string {
	says := r.saysPlace(a.Place, a.Target)
	switch {
	case a.Alone == dataplane.AloneLocal:
		return "left alone (loopback, link-local or multicast)"
	case a.Alone == dataplane.AloneOwn:
		return "left alone (an address of this host)"
	case r.unseen() != "":
		return "left alone"
	case says != "direct":
		return says
	case a.By == dataplane.ByNone:
		return "direct (no rule)"
	case a.Target != "direct":
		return "direct (" + noneExists(a.Target) + ")"
	}
	return "direct (its rule)"
}

// cureDisagreement is what to do where rules and maps differ.
const cureDisagreement = "The packets follow the maps. Write them anew: domain-route rule list > FILE && domain-route stop && " +
	"domain-route start && domain-route apply -f FILE; and please report it, with this output."

// saysPlace is what an answer says of a place.
func (r *explainResult) saysPlace(p explainPlace, target string) string {
	switch dataplane.Outcome(p.Verdict) {
	case dataplane.Steered:
		return fmt.Sprintf("%s (ifindex %d, %s)", p.Interface, p.Ifindex, r.stateOf(p.Interface))
	case dataplane.Marked:
		return fmt.Sprintf("mark %#x", p.Mark)
	case dataplane.Blocked:
		return "blocked"
	case dataplane.NoInterface:
		return "refused: " + noneExists(target)
	}
	return "direct"
}

// noneExists says that none of a target's interfaces does.
func noneExists(target string) string {
	t, err := ruleset.ParseTarget(target)
	if err != nil {
		return "no interface exists"
	}
	if len(t.Chain()) == 1 {
		return t.Chain()[0] + " does not exist"
	}
	return "none of " + strings.Join(t.Chain(), " ") + " exists"
}

// stateOf is an interface's state in a word or two.
func (r *explainResult) stateOf(name string) string {
	for _, i := range r.Interfaces {
		switch {
		case i.Name != name:
		case !i.Exists:
			return "gone"
		case !i.Up:
			return "down"
		case !i.Carrier:
			return "up, no carrier"
		default:
			return "up"
		}
	}
	return "state unknown"
}
