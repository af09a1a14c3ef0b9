package vm

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/guest"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/e2e/state/inkernel"
	"github.com/domain-route/domain-route/internal/lab"
)

// ways are the ways to ask a name server.
func ways(h *harness.Host) []lab.Query {
	by6 := netip.AddrPortFrom(h.DNS.Addr6, lab.DNSPort)
	return []lab.Query{
		{}, {Unconnected: true}, {Proto: "tcp"},
		{Server: by6, EDNS: true}, {Server: by6, Unconnected: true}, {Server: by6, Proto: "tcp"},
	}
}

// What one lab is enough for: lab and start take most of the time.
func TestNames(t *testing.T) {
	h := harness.Started(t)
	t.Run("learn and steer", func(t *testing.T) { learnAndSteer(t, h) })
	t.Run("forty addresses", func(t *testing.T) { fortyAddresses(t, h) })
	t.Run("datagrams", func(t *testing.T) { datagrams(t, h) })
	t.Run("long names", func(t *testing.T) { longNames(t, h) })
}

// learnAndSteer: names are learnt over UDP and TCP, IPv4 and IPv6, and connections to them steered in every way.
func learnAndSteer(t *testing.T, h *harness.Host) {
	a := agent(h, lab.AgentOptions{})
	h.Must("rule", "add", "example.test", "vpn0")
	other := h.MustHost("other.test")
	learn(t, a, "other.test")
	wantOut(t, h, a, other, "wan0")
	for i, q := range ways(h) {
		q.Name = fmt.Sprintf("h%d.example.test", i)
		server := h.MustHost(q.Name)
		wantOut(t, h, a, server, "wan0", via.TCP4)
		for _, q.Type = range []uint16{dns.TypeA, dns.TypeAAAA} {
			_, err := a.Resolve(q)
			check(t, err)
		}
		wantOut(t, h, a, server, "vpn0")
		for _, addr := range []netip.Addr{server.Addr4, server.Addr6} {
			if names := h.Names(addr); !slices.Equal(names, []string{q.Name}) {
				t.Errorf("%v: learnt %v, want %s", addr, names, q.Name)
			}
		}
	}
}

// longNames: the longest name there can be, of 255 bytes on the wire, and one of 127 labels.
func longNames(t *testing.T, h *harness.Host) {
	a := agent(h, lab.AgentOptions{})
	label := strings.Repeat("a", 63)
	longest := strings.Join([]string{label, label, label, strings.Repeat("b", 56), "test"}, ".")
	deepest := strings.TrimSuffix(strings.Repeat("a.", 127), ".")
	for name, rule := range map[string]string{longest: "test", deepest: "=" + deepest} {
		if wire := len(name) + 2; wire > 255 || wire < 255 {
			t.Fatalf("%d bytes on the wire", wire)
		}
		server := h.MustHost(name)
		h.Must("rule", "add", rule, "vpn0")
		learn(t, a, name)
		wantOut(t, h, a, server, "vpn0", via.TCP4, via.UDP6)
		if names := h.Names(server.Addr4); !slices.Equal(names, []string{name}) {
			t.Errorf("learnt %v", names)
		}
	}
}

// fortyAddresses are in one answer, which is more than a linear packet holds.
func fortyAddresses(t *testing.T, h *harness.Host) {
	a := agent(h, lab.AgentOptions{})
	h.Must("rule", "add", "many.test", "vpn0")
	var all []lab.Host
	var addrs []netip.Addr
	for range 40 {
		s := h.MustHost()
		all, addrs = append(all, s), append(addrs, s.Addr4, s.Addr6)
	}
	h.DNS.Set("many.test", addrs...)
	for q, proto := range map[uint16]string{dns.TypeA: "udp", dns.TypeAAAA: "tcp"} {
		answer, err := a.Resolve(lab.Query{Name: "many.test", Type: q, EDNS: true, Proto: proto})
		check(t, err)
		if len(answer.Addrs) != 40 || answer.Truncated {
			t.Fatalf("%d addresses by %s, truncated %v", len(answer.Addrs), proto, answer.Truncated)
		}
	}
	for _, s := range all {
		wantOut(t, h, a, s, "vpn0", via.UDP4, via.UDP6)
	}
}

// What is left alone: other namespaces, sockets that the program bound itself, the host's own addresses.
func TestLeftAlone(t *testing.T) {
	h := harness.Started(t)
	g := guest.New(t, h.Lab, "wan0")
	here, there := agent(h, lab.AgentOptions{}), agent(h, lab.AgentOptions{NS: g.NS})
	server := h.MustHost("alone.test")
	h.Must("rule", "add", "alone.test", "vpn0")
	learn(t, there, "alone.test")
	if names := h.Names(server.Addr4); len(names) > 0 {
		t.Errorf("learnt from another namespace: %v", names)
	}
	learn(t, here, "alone.test")
	wantOut(t, h, here, server, "vpn0")
	for _, k := range via.Kinds {
		if got := via.Out(h.Lab, there, k, server); got != g.Addr(k) {
			t.Errorf("%s of another namespace: %s, want %s", k, got, g.Addr(k))
		}
	}
	s, err := here.Socket("udp4")
	check(t, err)
	check(t, s.BindDevice("wan0"))
	check(t, s.Connect(netip.AddrPortFrom(server.Addr4, lab.EchoPort)))
	if device, err := s.Device(); err != nil || device != "wan0" {
		t.Errorf("a socket bound to wan0 is bound to %q now, %v", device, err)
	}
}

// The observer `tc` learns from forwarded DNS, by tcx or (below 6.6) by clsact, with an Ethernet header and without. stop takes
// away what start added beside somebody else's filter, and nothing else.
func TestObserverTC(t *testing.T) {
	h := harness.New(t, lab.Options{})
	check(t, h.AddUplink("tun0", lab.UplinkOptions{Tun: true, Metric: 50}))
	g := guest.New(t, h.Lab, "tun0")
	devices := map[string]netlink.Link{}
	before := map[string][]string{}
	for _, name := range []string{"tun0", guest.Link} {
		dev, err := h.Client.NL.LinkByName(name)
		check(t, err)
		if name == guest.Link {
			inkernel.ForeignFilter(t, h.Client, dev)
		}
		devices[name], before[name] = dev, inkernel.OnInterface(t, h.Client, dev)
	}
	for _, name := range []string{"tun0", guest.Link} { // the second start updates the first, to another interface
		h.Must("start", "--cgroup", h.Cgroup, "--observe", "tc:"+name)
		observed(t, h, g, name+".test")
		if during := inkernel.OnInterface(t, h.Client, devices[name]); len(during) < len(before[name])+2 {
			t.Errorf("start added less than two hooks to %s: %v", name, during)
		}
	}
	if now := inkernel.OnInterface(t, h.Client, devices["tun0"]); !slices.Equal(now, before["tun0"]) {
		t.Errorf("tun0, observed no more, has %v, had %v", now, before["tun0"])
	}
	all := inkernel.Objects(t)
	h.Must("stop")
	for name, dev := range devices {
		if after := inkernel.OnInterface(t, h.Client, dev); !slices.Equal(after, before[name]) {
			t.Errorf("%s has %v after stop, had %v", name, after, before[name])
		}
	}
	inkernel.WantNothing(t, h.Cgroup)
	inkernel.WantGone(t, all)
}

// The interface that the observer `tc` watches goes and comes back: status tells, start mends, stop does not mind.
func TestObservedInterfaceGone(t *testing.T) {
	h := harness.New(t, lab.Options{NoSniffer: true})
	check(t, h.AddUplink("lte0", lab.UplinkOptions{}))
	args := []string{"start", "--cgroup", h.Cgroup, "--observe", "tc:lte0"}
	h.Must(args...)
	var status struct{ Warnings []string }
	if h.JSON(&status, "status"); len(status.Warnings) > 0 {
		t.Errorf("status warns of %q", status.Warnings)
	}
	check(t, h.DeleteUplink("lte0"))
	if h.JSON(&status, "status"); len(status.Warnings) == 0 {
		t.Error("status does not tell that the interface is gone")
	}
	check(t, h.CreateUplink("lte0"))
	h.Must(args...)
	if h.JSON(&status, "status"); len(status.Warnings) > 0 {
		t.Errorf("status warns of %q after another start", status.Warnings)
	}
	check(t, h.DeleteUplink("lte0"))
	h.Must("stop")
	inkernel.WantNothing(t, h.Cgroup)
}

// observed has the guest ask in every way, and sees connections of the host steered by that.
func observed(t *testing.T, h *harness.Host, g guest.Guest, domain string) {
	t.Helper()
	here, there := agent(h, lab.AgentOptions{}), agent(h, lab.AgentOptions{NS: g.NS})
	h.Must("rule", "add", domain, "vpn0")
	for i, q := range ways(h) {
		q.Name = fmt.Sprintf("h%d.%s", i, domain)
		server := h.MustHost(q.Name)
		for _, q.Type = range []uint16{dns.TypeA, dns.TypeAAAA} {
			_, err := there.Resolve(q)
			check(t, err)
		}
		wantOut(t, h, here, server, "vpn0", via.TCP4, via.UDP6)
	}
}
