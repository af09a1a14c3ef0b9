package cli

import (
	"errors"
	"fmt"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/doctor"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// mostRoutes is how many addresses of an interface and a family doctor asks the kernel about.
const mostRoutes = 64

// goings collects the names that go by interfaces, of one family.
type goings struct {
	all   map[string]doctor.Goers
	names map[string]map[pattern.Name]bool // that were counted; true: as lost, too
	asked map[string]int
}

// goers are the learnt names by the interface that their rules send them to, of IPv4 and of IPv6.
func goers(standings []dataplane.Standing, find dataplane.Finder) (four, six map[string]doctor.Goers, err error) {
	var both [2]goings
	for i := range both {
		both[i] = goings{map[string]doctor.Goers{}, map[string]map[pattern.Name]bool{}, map[string]int{}}
	}
	for _, d := range standings {
		if !d.Ruled || d.Target.Kind != ruleset.Interface || !d.Live() {
			continue
		}
		place := dataplane.Resolve(d.Target, find)
		if place.Outcome != dataplane.Steered {
			continue
		}
		family := &both[0]
		if d.Address.Is6() {
			family = &both[1]
		}
		if err := family.add(d, place); err != nil {
			return nil, nil, err
		}
	}
	return both[0].all, both[1].all, nil
}

func (g *goings) add(d dataplane.Standing, by dataplane.Place) error {
	if g.names[by.Interface] == nil {
		g.names[by.Interface] = map[pattern.Name]bool{}
	}
	goers := g.all[by.Interface]
	lost, counted := g.names[by.Interface][d.Name]
	if !counted {
		goers.Names++
		g.names[by.Interface][d.Name] = false
	}
	if !lost && g.asked[by.Interface] < mostRoutes {
		g.asked[by.Interface]++
		device, err := netdev.ByIndex(by.Ifindex)
		if errors.Is(err, netdev.ErrNoDevice) {
			return nil // gone meanwhile
		}
		if err != nil {
			return err
		}
		routed, err := netdev.HasRoute(device, d.Address)
		if err != nil {
			return err
		}
		if !routed {
			goers.Lost = append(goers.Lost, fmt.Sprintf("%s (%s)", dash(nameText(d.Name)), d.Address))
			g.names[by.Interface][d.Name] = true
		}
	}
	g.all[by.Interface] = goers
	return nil
}
