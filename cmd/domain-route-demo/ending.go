package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// The second half of the story: what is decided, what changes, what is left.

func (s *stage) look() error {
	address := s.servers[www].Addr6
	out, err := s.root(0, "rdns", address.String())
	if err != nil {
		return err
	}
	if !strings.Contains(out, address.String()) || !strings.Contains(out, www) {
		return fmt.Errorf("rdns does not show %v with %s", address, www)
	}
	if out, err = s.rootExcerpt(6, "decision"); err != nil {
		return err
	}
	if !strings.Contains(out, address.String()) {
		return fmt.Errorf("decision does not show %v", address)
	}
	return s.expectDecision(www, s.lab.Uplink(vpn).Index)
}

func (s *stage) loseVPN() error {
	s.vpnIndex = s.lab.Uplink(vpn).Index
	if err := s.lab.DeleteUplink(vpn); err != nil {
		return err
	}
	s.say(fmt.Sprintf("%s, index %d, is deleted. The rule for example.com names nothing else;", vpn, s.vpnIndex),
		fmt.Sprintf("that for %s goes on to %s.", tv, defaultUplink))
	if err := s.travel(
		expect{www, vpn, "ENODEV"},
		expect{tv, vpn + "," + defaultUplink, defaultUplink},
		expect{unruled, "-", defaultUplink},
	); err != nil {
		return err
	}
	s.ok("%s failed at once (no such device): 0 packets leaked to %s", www, defaultUplink)
	return nil
}

func (s *stage) regainVPN() error {
	if err := s.lab.CreateUplink(vpn); err != nil {
		return err
	}
	index := s.lab.Uplink(vpn).Index
	if index == s.vpnIndex {
		return fmt.Errorf("%s came back with its old index %d, which would show nothing", vpn, index)
	}
	s.say(fmt.Sprintf("%s is created again. Its index was %d and is now %d.", vpn, s.vpnIndex, index))
	if err := s.travel(
		expect{www, vpn, vpn},
		expect{tv, vpn + "," + defaultUplink, vpn},
	); err != nil {
		return err
	}
	if err := s.expectDecision(www, index); err != nil {
		return err
	}
	s.ok("steered by the new %s: a rule keeps an interface's name, not its index", vpn)
	return nil
}

func (s *stage) deleteRule() error {
	if _, err := s.root(0, "rule", "del", "example.com"); err != nil {
		return err
	}
	if err := s.travel(
		expect{www, "-", defaultUplink},
		expect{tv, vpn + "," + defaultUplink, vpn},
	); err != nil {
		return err
	}
	s.ok("a rule change counts from the next connection on; the other rules stay")
	return nil
}

func (s *stage) status() error {
	if _, err := s.root(0, "status"); err != nil {
		return err
	}
	var data struct {
		Rules    int
		Programs []struct {
			Name     string
			Attached bool
		}
		Counters map[string]uint64
	}
	if err := s.ask(&data, "status"); err != nil {
		return err
	}
	if data.Rules != 3 || len(data.Programs) == 0 {
		return fmt.Errorf("status tells of %d rules and %d programs", data.Rules, len(data.Programs))
	}
	for _, p := range data.Programs {
		if !p.Attached {
			return fmt.Errorf("program %s is not attached", p.Name)
		}
	}
	for _, name := range []string{"learnt", "steered", "blocked", "no_interface"} {
		if data.Counters[name] == 0 {
			return fmt.Errorf("counter %s is 0 after all this", name)
		}
	}
	return nil
}

func (s *stage) stop() error {
	if _, err := s.root(0, "stop"); err != nil {
		return err
	}
	s.started = false
	if _, err := s.root(1, "status"); err != nil {
		return err
	}
	if err := s.expectState("stopped"); err != nil {
		return err
	}
	if err := s.expectNothingPinned(); err != nil {
		return err
	}
	if err := s.travel(
		expect{www, "-", defaultUplink},
		expect{tv, "-", defaultUplink},
		expect{ads, "-", defaultUplink},
	); err != nil {
		return err
	}
	s.ok("nothing is pinned in /sys/fs/bpf; all connections go the default way again")
	return nil
}

// expectNothingPinned looks at all of the demo's own BPF file system.
func (s *stage) expectNothingPinned() error {
	left, err := filepath.Glob("/sys/fs/bpf/*")
	if err != nil {
		return err
	}
	left = slices.DeleteFunc(left, func(path string) bool { return strings.HasSuffix(path, ".debug") }) // the kernel's own
	if len(left) > 0 {
		return fmt.Errorf("left in the kernel: %s", strings.Join(left, ", "))
	}
	return nil
}

func (s *stage) expectState(state string) error {
	var data struct{ State string }
	if err := s.ask(&data, "status"); err != nil {
		return err
	}
	if data.State != state {
		return fmt.Errorf("status says %q, expected %q", data.State, state)
	}
	return nil
}

// expectDecision fails unless all that is decided for a name is vpn0, with this index, over both families.
func (s *stage) expectDecision(name string, index int) error {
	var data struct {
		Decisions []struct {
			Address, Name, Interface string
			Ifindex                  int
		}
	}
	if err := s.ask(&data, "decision"); err != nil {
		return err
	}
	var addresses []string
	for _, d := range data.Decisions {
		if d.Name != name {
			continue
		}
		if d.Interface != vpn || d.Ifindex != index {
			return fmt.Errorf("decision for %s: %s, index %d, expected %s, index %d", name, d.Interface, d.Ifindex, vpn, index)
		}
		addresses = append(addresses, d.Address)
	}
	for _, a := range []string{s.servers[name].Addr4.String(), s.servers[name].Addr6.String()} {
		if !slices.Contains(addresses, a) {
			return fmt.Errorf("no decision for %s, %s", name, a)
		}
	}
	return nil
}
