package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/domain-route/domain-route/internal/lab"
)

// How others do it: dnsmasq puts the addresses it hands out into a set of nftables, a rule marks packets to them, and
// `ip rule` sends what is marked to another routing table.
const (
	referenceMark  = 0x64
	referenceTable = 100
	referenceRules = `table inet bench {
	set steered { type ipv4_addr; }
	chain output {
		type route hook output priority mangle; policy accept;
		ip daddr @steered meta mark set 0x64
	}
}
`
	// Packets keep the source address of the uplink they first were for, so that on most real ones this is needed too.
	referenceNAT = `table ip bench-nat {
	chain nat {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "vpn0" masquerade
	}
}
`
)

// measureReference alternates rounds steered by domain-route in one lab and by the reference in another, where no
// program is attached meanwhile. The labs are alike.
func (b *bench) measureReference() error {
	s, err := b.newSteeredWorld()
	if err != nil {
		return err
	}
	defer s.close()
	ours, err := s.probers()
	if err != nil {
		return err
	}
	other, err := b.newWorld()
	if err != nil {
		return err
	}
	defer other.Close()
	h, err := other.host(steeredName)
	if err != nil {
		return err
	}
	theirs := prober{id: "reference", child: other.client, addr: netip.AddrPortFrom(h.Addr4, connectPort), uplink: "wan0"}
	if err := b.alternate(s, ours, other, theirs, "same", "the two labs, none against none"); err != nil {
		return err
	}
	if err := other.buildReference(theirs.addr.Addr()); err != nil {
		return err
	}
	theirs.uplink = "vpn0"
	if err := b.alternate(s, ours, other, theirs, "plain", "dnsmasq + nftset + fwmark"); err != nil {
		return err
	}
	if err := other.nft(referenceNAT); err != nil {
		return err
	}
	return b.alternate(s, ours, other, theirs, "nat", "dnsmasq + nftset + fwmark + masquerade")
}

// alternate compares what is steered with one shape of the reference.
func (b *bench) alternate(s *steeredWorld, probers []*prober, w *world, theirs prober, id, what string) error {
	for _, name := range []string{"steered", "user"} {
		var ours, reference []float64
		for range b.connectRounds {
			ns, err := theirs.measure(w, theirs.uplink, b.connects)
			if err != nil {
				return err
			}
			reference = append(reference, ns)
			if ns, err = b.oursOnce(s, probers, name, id != "same"); err != nil {
				return err
			}
			ours = append(ours, ns)
		}
		b.report.add(b.referenceRow(name, id, what, ours, reference))
		if id == "same" {
			return nil
		}
	}
	return nil
}

func (b *bench) oursOnce(s *steeredWorld, probers []*prober, name string, attached bool) (float64, error) {
	p := probers[0]
	for _, candidate := range probers {
		if attached && candidate.id == name {
			p = candidate
		}
	}
	if !attached {
		return p.measure(s.world, "wan0", b.connects)
	}
	if err := s.programs.attach(); err != nil {
		return 0, err
	}
	ns, err := p.measure(s.world, p.uplink, b.connects)
	return ns, errors.Join(err, s.programs.detach())
}

func (b *bench) referenceRow(name, id, what string, ours, reference []float64) row {
	r := row{ID: "reference." + id, What: "TCP connect steered, against " + what}
	switch {
	case id == "same":
		r.What = "TCP connect, " + what
	case name == "user":
		r.ID += ".user"
		r.What = "TCP connect steered by the host's evidence, against " + what
	}
	if id != "same" {
		r.Limit = atMost(1)
	}
	return paired(r, ours, reference)
}

// buildReference sets the reference up and has the client resolve the name through it.
func (w *world) buildReference(steered netip.Addr) error {
	if err := w.nft(referenceRules); err != nil {
		return err
	}
	if err := w.referenceRoutes(); err != nil {
		return err
	}
	if err := w.startReferenceResolver(); err != nil {
		return err
	}
	resolver := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), lab.DNSPort)
	deadline := time.Now().Add(5 * time.Second)
	for {
		_, err := w.client.do(order{Op: "ask", Addr: resolver, Names: []string{steeredName}})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("dnsmasq does not answer: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	out, err := w.HostCommand(context.Background(), "nft", "list", "set", "inet", "bench", "steered").CombinedOutput()
	if err == nil && !strings.Contains(string(out), steered.String()) {
		err = errors.New("dnsmasq did not put the address into the set")
	}
	if err != nil {
		return fmt.Errorf("list the set of nftables: %w: %s", err, out)
	}
	return nil
}

// nft loads a table.
func (w *world) nft(text string) error {
	cmd := w.HostCommand(context.Background(), "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("load a table into nftables: %w: %s", err, out)
	}
	return nil
}

func (w *world) referenceRoutes() error {
	vpn := w.Uplink("vpn0")
	_, all, err := net.ParseCIDR("0.0.0.0/0")
	if err != nil {
		return err
	}
	err = w.Client.NL.RouteAdd(&netlink.Route{LinkIndex: vpn.Index, Dst: all, Gw: vpn.Gateway4.AsSlice(), Table: referenceTable})
	if err != nil {
		return fmt.Errorf("add the route of marked packets: %w", err)
	}
	rule := netlink.NewRule()
	rule.Family = netlink.FAMILY_V4
	rule.Mark = referenceMark
	rule.Table = referenceTable
	if err := w.Client.NL.RuleAdd(rule); err != nil {
		return fmt.Errorf("add the rule for marked packets: %w", err)
	}
	return nil
}

// startReferenceResolver starts dnsmasq as root: it may change nftables then. It ends with the lab.
func (w *world) startReferenceResolver() error {
	path, err := exec.LookPath("dnsmasq")
	if err != nil {
		path = "/usr/sbin/dnsmasq"
	}
	log, err := os.Create(filepath.Join(w.Dir, "dnsmasq.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := w.Command(context.Background(), path, "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
		"--no-poll", "--pid-file=", "--user=root", "--bind-interfaces", "--listen-address=127.0.0.1",
		"--server="+w.DNS.Addr4.String(), "--nftset=/steered.test/4#inet#bench#steered")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start dnsmasq: %w", err)
	}
	return nil
}
