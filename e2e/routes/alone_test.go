package routes

import (
	"net"
	"net/netip"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/guest"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// What the default rule leaves alone: everything that is not somewhere out there. Whether a socket was bound tells.
func TestDefaultRuleLeavesAlone(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	unknown := h.MustHost()
	rules(t, h, [2]string{"default", "vpn0"})
	wantOut(t, h, a, unknown, "vpn0") // a name nobody asked for
	for _, c := range []struct{ addr, device string }{
		{"127.0.0.1", ""}, {"127.200.0.1", ""}, {"::1", ""}, {"::ffff:127.0.0.1", ""},
		{"169.254.7.7", ""}, {"::ffff:169.254.7.7", ""},
		{"224.0.0.251", ""}, {"239.1.2.3", ""}, {"ff02::fb", ""}, {"ff0e::1", ""},
		{"10.1.2.3", ""}, {"172.16.0.1", ""}, {"172.31.255.254", ""}, {"192.168.1.1", ""}, {"::ffff:10.1.2.3", ""},
		{"fd00:1::5", ""}, {"fc00::1", ""},
		// just outside of them
		{"126.255.255.254", "vpn0"}, {"128.0.0.1", "vpn0"}, {"169.253.1.1", "vpn0"}, {"169.255.1.1", "vpn0"},
		{"223.255.255.254", "vpn0"}, {"9.255.255.254", "vpn0"}, {"11.0.0.1", "vpn0"}, {"172.15.1.1", "vpn0"},
		{"172.32.0.1", "vpn0"}, {"192.167.1.1", "vpn0"}, {"192.169.1.1", "vpn0"}, {"100.64.0.1", "vpn0"},
		{"fbff::1", "vpn0"}, {"2001:4860:4860::8888", "vpn0"}, {"64:ff9b::808:808", "vpn0"},
	} {
		t.Run(c.addr, func(t *testing.T) {
			if got := boundTo(t, a, netip.MustParseAddr(c.addr)); got != c.device {
				t.Errorf("bound to %q, want %q", got, c.device)
			}
		})
	}
	h.Must("rule", "add", "default", "block")
	wantOut(t, h, a, unknown, "EHOSTUNREACH")
	loopback := listen(t, h, netip.MustParseAddr("127.0.0.1"))
	if _, err := a.DialTCP(loopback); err != nil {
		t.Errorf("to loopback in spite of a default rule that blocks: %v", err)
	}
}

// A name with a rule is steered into private ranges, where VPNs have their servers.
func TestRuledNameInPrivateRange(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	server := lab.Host{Addr4: netip.MustParseAddr("10.1.2.3"), Addr6: netip.MustParseAddr("fd00:1::5")}
	check(t, h.AddServerAddr(server.Addr4))
	check(t, h.AddServerAddr(server.Addr6))
	h.DNS.Set("intranet.test", server.Addr4, server.Addr6)
	rules(t, h, [2]string{"intranet.test", "vpn0"})
	learn(t, []string{"intranet.test"}, a)
	wantOut(t, h, a, server, "vpn0")
}

// boundTo tells to which device connecting a datagram socket to an address binds it.
func boundTo(t *testing.T, a *lab.Agent, addr netip.Addr) string {
	t.Helper()
	kind := "udp4"
	if addr.Is6() {
		kind = "udp6"
	}
	s, err := a.Socket(kind)
	check(t, err)
	defer s.Close()
	if err := s.Connect(netip.AddrPortFrom(addr, 9)); err != nil && addr.Is4() {
		t.Fatalf("connect: %v", err) // of IPv6 it may have no route, after the hook ran
	}
	device, err := s.Device()
	check(t, err)
	return device
}

// listen serves a line to whoever connects to an address of the client.
func listen(t *testing.T, h *harness.Host, addr netip.Addr) netip.AddrPort {
	t.Helper()
	var l net.Listener
	check(t, h.Client.Do(func() (err error) {
		l, err = net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
		return err
	}))
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte(c.RemoteAddr().(*net.TCPAddr).IP.String() + "\n"))
			c.Close()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// A connection to an address of the host itself would not come about by another interface.
func TestOwnAddressesLeftAlone(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	wan := h.Uplink("wan0")
	h.DNS.Set("own.test", wan.Addr4, wan.Addr6)
	rules(t, h, [2]string{"own.test", "vpn0"}, [2]string{"default", "vpn0"})
	learn(t, []string{"own.test"}, a)
	for _, addr := range []netip.Addr{wan.Addr4, wan.Addr6} {
		if _, err := a.DialTCP(listen(t, h, addr)); err != nil {
			t.Errorf("to own address %v: %v", addr, err)
		}
	}
	// An address that came after start is known from the next command on, whichever that is.
	check(t, h.AddUplink("lte0", lab.UplinkOptions{}))
	h.Must("rule", "list")
	lte := h.Uplink("lte0")
	for _, addr := range []netip.Addr{lte.Addr4, lte.Addr6} {
		if _, err := a.DialTCP(listen(t, h, addr)); err != nil {
			t.Errorf("to new own address %v: %v", addr, err)
		}
	}
	// And one that went is steered like any other.
	check(t, h.DeleteUplink("lte0"))
	h.Must("rule", "list")
	for _, addr := range []netip.Addr{lte.Addr4, lte.Addr6} {
		if got := boundTo(t, a, addr); got != "vpn0" {
			t.Errorf("to %v, no longer an own address: bound to %q, want vpn0", addr, got)
		}
	}
}

// A socket that the program bound to a device or marked itself is left as it is, root's and others' alike.
func TestProgramsOwnBindingLeftAlone(t *testing.T) {
	h := harness.Started(t)
	root := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("bound.test")
	learn(t, []string{"bound.test"}, root)
	for _, target := range []string{"vpn0", "block", "gone0"} {
		rules(t, h, [2]string{"bound.test", target})
		for _, kind := range []string{"tcp4", "tcp6", "udp4", "udp6"} {
			for _, uid := range []uint32{0, 1001} {
				a := root
				if uid != 0 {
					a = h.MustAgent(lab.AgentOptions{UID: uid})
				}
				if got := outPrepared(t, h, a, kind, server, func(s *lab.Socket) error { return s.BindDevice("wan0") }); got != "wan0" {
					t.Errorf("rule %s, %s of user %d bound to wan0: %s", target, kind, uid, got)
				}
			}
			got := outPrepared(t, h, root, kind, server, func(s *lab.Socket) error { return s.SetMark(7) })
			if got != "wan0" {
				t.Errorf("rule %s, %s with a mark: %s, want wan0", target, kind, got)
			}
		}
	}
	got := outPrepared(t, h, root, "tcp4", server, func(s *lab.Socket) error { return nil })
	if got != "ENODEV" {
		t.Errorf("neither bound nor marked: %s, want ENODEV: the rest of this test proves nothing", got)
	}
}

// outPrepared is via.Out for a socket that the program did something to before it connected.
func outPrepared(t *testing.T, h *harness.Host, a *lab.Agent, kind string, to lab.Host, prepare func(*lab.Socket) error) string {
	t.Helper()
	s, err := a.Socket(kind)
	check(t, err)
	defer s.Close()
	check(t, prepare(s))
	addr := to.Addr4
	if kind == "tcp6" || kind == "udp6" {
		addr = to.Addr6
	}
	if err := s.Connect(netip.AddrPortFrom(addr, lab.EchoPort)); err != nil {
		return err.Error()
	}
	local, err := s.LocalAddr()
	check(t, err)
	for _, name := range []string{"wan0", "vpn0"} {
		if u := h.Uplink(name); u.Addr4 == local.Addr() || u.Addr6 == local.Addr() {
			return name
		}
	}
	return local.String()
}

// Sockets of another network namespace are never touched, whatever the rules, although the programs see them; nor
// is anything learnt from their lookups.
func TestOtherNamespaceNeverTouched(t *testing.T) {
	h := harness.Started(t)
	g := guest.New(t, h.Lab, "wan0")
	here := h.MustAgent(lab.AgentOptions{})
	there := h.MustAgent(lab.AgentOptions{NS: g.NS})
	server, poisoned := h.MustHost("shared.test"), h.MustHost("guest.test")
	learn(t, []string{"shared.test"}, here)
	for target, want := range map[string]string{"vpn0": "vpn0", "block": "EHOSTUNREACH", "gone0": "ENODEV"} {
		rules(t, h, [2]string{"shared.test", target}, [2]string{"default", target})
		for _, k := range via.Kinds {
			if got := via.Out(h.Lab, there, k, server); got != g.Addr(k) {
				t.Errorf("rule %s, %s of the other namespace: %s, want %s", target, k, got, g.Addr(k))
			}
		}
		wantOut(t, h, here, server, want)
	}
	h.Must("rule", "del", "default")
	rules(t, h, [2]string{"guest.test", "vpn0"})
	learn(t, []string{"guest.test"}, there)
	if names := h.Names(poisoned.Addr4); len(names) > 0 {
		t.Errorf("learnt from the other namespace: %v", names)
	}
	wantOut(t, h, here, poisoned, "wan0")
	if n := h.Counters()["left_foreign"]; n == 0 {
		t.Error("left_foreign is 0: the programs never saw the other namespace, so this proves nothing")
	}
}
