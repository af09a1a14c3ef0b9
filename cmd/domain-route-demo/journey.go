package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"

	"github.com/domain-route/domain-route/internal/lab"
)

// journey is what became of a client's connections to one address of a name.
type journey struct {
	name    string
	address netip.Addr
	says    string // the target of the rule that domain-route has for the name; "-" if none
	// tcp and udp are the uplink whose address the server saw, or else the name of the errno that the client got.
	tcp, udp string
	packets  map[string]int // that reached the address, by uplink
}

// expect is how connections to a name should go.
type expect struct {
	name string
	says string // target of the rule, "-" for none
	way  string // an uplink, or the errno of a connection that fails
}

// travel has a fresh client process for each name look it up and connect to it, shows where the packets went, and compares.
func (s *stage) travel(expected ...expect) error {
	var all []journey
	for _, e := range expected {
		journeys, err := s.visit(e.name)
		if err != nil {
			return err
		}
		all = append(all, journeys...)
	}
	s.table(journeysTable(all))
	for _, e := range expected {
		if err := e.check(all); err != nil {
			return err
		}
	}
	return nil
}

// check compares all journeys to the name: there must be one for each family.
func (e expect) check(all []journey) error {
	families := map[bool]bool{}
	for _, j := range all {
		if j.name != e.name {
			continue
		}
		families[j.address.Is4()] = true
		if j.says != e.says {
			return fmt.Errorf("%s (%v): its rule says %q, expected %q", j.name, j.address, j.says, e.says)
		}
		if j.tcp != e.way || j.udp != e.way {
			return fmt.Errorf("%s (%v): TCP: %s, UDP: %s, expected both: %s", j.name, j.address, j.tcp, j.udp, e.way)
		}
		for _, u := range uplinks {
			if n := j.packets[u]; (n > 0) != (u == e.way) {
				return fmt.Errorf("%s (%v): %d packets by %s, all should go the way of %s", j.name, j.address, n, u, e.way)
			}
		}
	}
	if len(families) != 2 {
		return fmt.Errorf("%s: looked up over IPv4 and IPv6, %d of the two gave an address", e.name, len(families))
	}
	return nil
}

// visit runs a client for the name, and asks the servers and the packet counter what came of it.
func (s *stage) visit(name string) ([]journey, error) {
	s.lab.ResetHits()
	s.lab.ResetPackets()
	out, err := s.asUser(s.client, name).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil, fmt.Errorf("client %s: %w: %s", name, err, exit.Stderr)
		}
		return nil, fmt.Errorf("client %s: %w", name, err)
	}
	var attempts []attempt
	if err := json.Unmarshal(out, &attempts); err != nil {
		return nil, fmt.Errorf("client %s: %w", name, err)
	}
	return s.journeys(name, attempts)
}

func (s *stage) journeys(name string, attempts []attempt) ([]journey, error) {
	says, err := s.rulesFor(name)
	if err != nil {
		return nil, err
	}
	byAddress := map[netip.Addr]*journey{}
	for _, a := range attempts {
		j := byAddress[a.Address]
		if j == nil {
			j = &journey{name: name, address: a.Address, says: "-", packets: map[string]int{}}
			byAddress[a.Address] = j
			if target, ok := says[a.Address]; ok {
				j.says = target
			}
		}
		way, err := s.outcome(a)
		if err != nil {
			return nil, fmt.Errorf("%s (%v, %s): %w", name, a.Address, a.Proto, err)
		}
		if a.Proto == "tcp" {
			j.tcp = way
		} else {
			j.udp = way
		}
	}
	var all []journey
	for _, j := range byAddress {
		for _, u := range uplinks {
			if j.packets[u], err = s.lab.UplinkPackets(u, j.address); err != nil {
				return nil, err
			}
		}
		all = append(all, *j)
	}
	slices.SortFunc(all, func(a, b journey) int { return a.address.Compare(b.address) })
	return all, nil
}

// outcome takes the server's word for where a client came from; the client's own must agree.
func (s *stage) outcome(a attempt) (string, error) {
	hits := slices.DeleteFunc(s.lab.HitsOn(a.Address), func(h lab.Hit) bool { return h.Proto != a.Proto })
	switch {
	case len(hits) == 0 && a.Errno != "":
		return a.Errno, nil
	case len(hits) != 1 || a.Errno != "" || hits[0].Client.Addr().String() != a.Seen:
		return "", fmt.Errorf("the server saw %v, the client was told %q, error %q", hits, a.Seen, a.Errno)
	}
	return s.uplinkOf(hits[0].Client.Addr()), nil
}

// rulesFor asks domain-route which target its rules have for the name, by address.
func (s *stage) rulesFor(name string) (map[netip.Addr]string, error) {
	if !s.started {
		return nil, nil
	}
	var data struct {
		Names []struct {
			Address      netip.Addr
			Name, Target string
		}
	}
	if err := s.ask(&data, "rdns"); err != nil {
		return nil, err
	}
	says := map[netip.Addr]string{}
	for _, n := range data.Names {
		if n.Name == name && n.Target != "" {
			says[n.Address] = n.Target
		}
	}
	return says, nil
}
