package main

import (
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
)

// The names in the story.
const (
	www     = "www.example.com" // below a rule
	cdn     = "cdn.example.com" // an exception from that rule
	tv      = "tv.example"      // a chain
	ads     = "ads.example"     // blocked
	unruled = "www.example.org" // no rule
)

var names = []string{www, cdn, tv, ads, unruled}

// step is one step of the story: play does it, shows it and fails if it went otherwise than told.
type step struct {
	title string
	play  func(*stage) error
}

var story = []step{
	{"Two uplinks; without domain-route everything goes the default way", (*stage).before},
	{"Start: programs go into the kernel, and the command exits", (*stage).start},
	{"Rules: a domain, and where its connections go", (*stage).addRules},
	{"Ordinary programs look names up and connect", (*stage).connect},
	{"What was learnt from the DNS answers, and what it decides", (*stage).look},
	{"The VPN goes away: connections must fail, not leak", (*stage).loseVPN},
	{"The VPN comes back: steering is back, without any command", (*stage).regainVPN},
	{"A rule is deleted: the next connection goes the default way", (*stage).deleteRule},
	{"What is in the kernel now", (*stage).status},
	{"Stop: everything is taken out again", (*stage).stop},
}

func (s *stage) before() error {
	wan, second := s.lab.Uplink(defaultUplink), s.lab.Uplink(vpn)
	s.say("One network namespace is the client, another the internet:")
	s.line(plain, "   client +-- %s  %-13s %-16s default route --+ internet", wan.Name, wan.Addr4, wan.Addr6)
	s.line(plain, "          +-- %s  %-13s %-16s ---------------+", second.Name, second.Addr4, second.Addr6)
	s.say("TCP, UDP: the uplink whose address the server saw, or the program's error.",
		"wan0, vpn0: packets to the address that really came by each uplink.")
	return s.travel(expect{www, "-", defaultUplink})
}

func (s *stage) start() error {
	s.say("With --cgroup it is for the demo's processes, without it for the whole host.")
	if _, err := s.root(0, "start", "--cgroup", s.lab.Cgroup); err != nil {
		return err
	}
	s.started = true
	if err := s.expectState("started"); err != nil {
		return err
	}
	running, err := s.processes()
	if err != nil {
		return err
	}
	if len(running) > 0 {
		return fmt.Errorf("these processes still run on the client: %s", strings.Join(running, ", "))
	}
	s.ok("no process is left running on the client")
	return nil
}

func (s *stage) addRules() error {
	rules := []string{
		"example.com " + vpn,
		cdn + " direct",
		tv + " " + vpn + "," + defaultUplink,
		ads + " block",
	}
	for _, r := range rules {
		if _, err := s.root(0, append([]string{"rule", "add"}, strings.Fields(r)...)...); err != nil {
			return err
		}
	}
	out, err := s.root(0, "rule", "list")
	if err != nil {
		return err
	}
	listed := strings.Split(strings.TrimSpace(out), "\n")
	for _, r := range rules {
		if !slices.Contains(listed, r) {
			return fmt.Errorf("rule list does not show %q", r)
		}
	}
	if len(listed) != len(rules) {
		return fmt.Errorf("rule list shows %d rules, expected %d", len(listed), len(rules))
	}
	return nil
}

func (s *stage) connect() error {
	if err := s.borrowed(); err != nil {
		return err
	}
	s.say("For each name a fresh process of user 1000, in Go, looks it up and connects:")
	if err := s.travel(
		expect{www, vpn, vpn},
		expect{cdn, "direct", defaultUplink},
		expect{tv, vpn + "," + defaultUplink, vpn},
		expect{ads, "block", "EHOSTUNREACH"},
		expect{unruled, "-", defaultUplink},
	); err != nil {
		return err
	}
	s.ok("every connection obeyed its rule; the blocked one sent no packet")
	return nil
}

// borrowed shows programs that nobody wrote for this demo, where they are installed.
func (s *stage) borrowed() error {
	if _, err := exec.LookPath("getent"); err == nil {
		out, err := s.user("getent", "hosts", www)
		if err != nil {
			return err
		}
		if address := s.servers[www].Addr6.String(); !strings.Contains(out, address) {
			return fmt.Errorf("getent did not find %s", address)
		}
	}
	if _, err := exec.LookPath("curl"); err != nil {
		return nil
	}
	second := s.lab.Uplink(vpn)
	for _, address := range []netip.Addr{second.Addr4, second.Addr6} {
		family := "-4"
		if address.Is6() {
			family = "-6"
		}
		out, err := s.user("curl", "-sS", family, "http://"+www+"/")
		if err != nil {
			return err
		}
		if seen := strings.TrimSpace(out); seen != address.String() {
			return fmt.Errorf("the server saw curl at %q, expected %v, of %s", seen, address, vpn)
		}
	}
	s.ok("the server saw curl at the addresses of %s", vpn)
	return nil
}
