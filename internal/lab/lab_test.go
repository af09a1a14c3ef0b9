package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const envHold = "DOMAIN_ROUTE_LAB_TEST_HOLD"

func TestMain(m *testing.M) {
	Isolate()
	if os.Getenv(envHold) != "" {
		holdLab()
	}
	os.Exit(m.Run())
}

// newLab makes a lab that ends with the test.
func newLab(t *testing.T, o Options) *Lab {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv("DOMAIN_ROUTE_NO_SKIP") == "1" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	l, err := New(o)
	check(t, err)
	t.Cleanup(func() { check(t, l.Close()) })
	return l
}

func newAgent(t *testing.T, l *Lab, o AgentOptions) *Agent {
	t.Helper()
	a, err := l.Agent(o)
	check(t, err)
	t.Cleanup(func() { check(t, a.Close()) })
	return a
}

func newHost(t *testing.T, l *Lab) Host {
	t.Helper()
	h, err := l.AddHost()
	check(t, err)
	return h
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func port(a netip.Addr, p uint16) netip.AddrPort { return netip.AddrPortFrom(a, p) }

func TestDefaultRouteIsWAN(t *testing.T) {
	l := newLab(t, Options{})
	a := newAgent(t, l, AgentOptions{})
	h := newHost(t, l)
	wan := l.Uplink("wan0")
	for _, c := range []struct{ server, client netip.Addr }{{h.Addr4, wan.Addr4}, {h.Addr6, wan.Addr6}} {
		l.ResetHits()
		l.ResetPackets()
		seen, err := a.DialTCP(port(c.server, EchoPort))
		if err != nil || seen != c.client.String() {
			t.Errorf("TCP to %v: server saw %q, %v; want %v", c.server, seen, err, c.client)
		}
		seen, err = a.DialUDP(port(c.server, EchoPort))
		if err != nil || seen != c.client.String() {
			t.Errorf("UDP to %v: server saw %q, %v; want %v", c.server, seen, err, c.client)
		}
		seen, err = a.DialUDPUnconnected(port(c.server, EchoPort))
		if err != nil || seen != c.client.String() {
			t.Errorf("unconnected UDP to %v: server saw %q, %v; want %v", c.server, seen, err, c.client)
		}
		seen, err = a.DialTCP(port(c.server, SSHPort))
		if want := "SSH-2.0-lab " + c.client.String(); err != nil || seen != want {
			t.Errorf("SSH to %v: banner %q, %v; want %q", c.server, seen, err, want)
		}
		checkHits(t, l, c.server, c.client)
		checkPackets(t, l, "vpn0", c.server, 0)
		if n, err := l.UplinkPackets("wan0", c.server); err != nil || n < 8 {
			t.Errorf("%d packets to %v by wan0, %v; want 8 at least", n, c.server, err)
		}
	}
}

func checkHits(t *testing.T, l *Lab, server, client netip.Addr) {
	t.Helper()
	var got []string
	for _, h := range l.HitsOn(server) {
		if h.Client.Addr() != client {
			t.Errorf("hit from %v, want %v", h.Client, client)
		}
		got = append(got, fmt.Sprint(h.Proto, h.Server.Port()))
	}
	if want := "tcp7000 udp7000 udp7000 tcp22"; strings.Join(got, " ") != want {
		t.Errorf("hits %q, want %s", got, want)
	}
}

func checkPackets(t *testing.T, l *Lab, uplink string, dst netip.Addr, want int) {
	t.Helper()
	if n, err := l.UplinkPackets(uplink, dst); err != nil || n != want {
		t.Errorf("%d packets to %v by %s, %v; want %d", n, dst, uplink, err, want)
	}
}

// dialBound connects by TCP from a socket bound to a device and returns the line read.
func dialBound(t *testing.T, a *Agent, kind, device string, to netip.AddrPort) string {
	t.Helper()
	s, err := a.Socket(kind)
	check(t, err)
	defer s.Close()
	check(t, s.BindDevice(device))
	check(t, s.Connect(to))
	line, _, err := s.Recv()
	check(t, err)
	return strings.TrimSpace(string(line))
}

func TestBoundSocketUsesItsUplink(t *testing.T) {
	for _, o := range []Options{{}, {NoVPNRoute: true}} {
		l := newLab(t, o)
		a := newAgent(t, l, AgentOptions{UID: 65534})
		h := newHost(t, l)
		vpn := l.Uplink("vpn0")
		if seen := dialBound(t, a, "tcp4", "vpn0", port(h.Addr4, EchoPort)); seen != vpn.Addr4.String() {
			t.Errorf("bound to vpn0, seen as %s", seen)
		}
		if seen := dialBound(t, a, "tcp6", "vpn0", port(h.Addr4, EchoPort)); seen != vpn.Addr4.String() {
			t.Errorf("v4-mapped and bound to vpn0, seen as %s", seen)
		}
		checkPackets(t, l, "wan0", h.Addr4, 0)
		if o.NoVPNRoute {
			s, err := a.Socket("tcp6")
			check(t, err)
			check(t, s.BindDevice("vpn0"))
			if err := s.Connect(port(h.Addr6, EchoPort)); !errors.Is(err, Errno("ENETUNREACH")) {
				t.Errorf("IPv6 by vpn0 without route: %v", err)
			}
		} else if seen := dialBound(t, a, "tcp6", "vpn0", port(h.Addr6, EchoPort)); seen != vpn.Addr6.String() {
			t.Errorf("bound to vpn0, seen as %s", seen)
		}
		check(t, l.Close())
	}
}

func TestUplinkLifeCycle(t *testing.T) {
	l := newLab(t, Options{})
	a := newAgent(t, l, AgentOptions{})
	h := newHost(t, l)
	to := port(h.Addr6, EchoPort)
	before := l.Uplink("vpn0")
	check(t, l.DeleteUplink("vpn0"))
	s, err := a.Socket("udp4")
	check(t, err)
	if err := s.BindDevice("vpn0"); !errors.Is(err, Errno("ENODEV")) {
		t.Errorf("bind to deleted uplink: %v", err)
	}
	check(t, l.CreateUplink("vpn0"))
	after := l.Uplink("vpn0")
	if after.Index == before.Index || after.Addr4 != before.Addr4 || after.Addr6 != before.Addr6 {
		t.Errorf("created again: %+v, was %+v", after, before)
	}
	if seen := dialBound(t, a, "tcp6", "vpn0", to); seen != after.Addr6.String() {
		t.Errorf("by vpn0 created again: seen as %s", seen)
	}
	check(t, l.RenameUplink("vpn0", "vpn9"))
	if seen := dialBound(t, a, "tcp6", "vpn9", to); seen != after.Addr6.String() || l.Uplink("vpn9").Index != after.Index {
		t.Errorf("by renamed uplink: seen as %s", seen)
	}
	for _, u := range []struct {
		name string
		opts UplinkOptions
	}{{"wwan0", UplinkOptions{}}, {"tun0", UplinkOptions{Tun: true}}} {
		check(t, l.AddUplink(u.name, u.opts))
		for _, server := range []netip.Addr{h.Addr4, h.Addr6} {
			l.ResetPackets()
			seen := dialBound(t, a, "tcp6", u.name, port(server, EchoPort))
			if want := l.Uplink(u.name); seen != want.Addr4.String() && seen != want.Addr6.String() {
				t.Errorf("by %s: seen as %s", u.name, seen)
			}
			if n, err := l.UplinkPackets(u.name, server); err != nil || n < 2 { // SYN, ACK
				t.Errorf("%d packets to %v by %s, %v", n, server, u.name, err)
			}
			checkPackets(t, l, "wan0", server, 0)
		}
	}
	index := l.Uplink("tun0").Index
	check(t, l.DeleteUplink("tun0"))
	check(t, l.CreateUplink("tun0"))
	if l.Uplink("tun0").Index == index {
		t.Error("tun device created again with the same index")
	}
	check(t, l.SetUplinkState("wwan0", false))
	check(t, l.SetUplinkState("wwan0", true))
	if seen := dialBound(t, a, "tcp6", "wwan0", to); seen != l.Uplink("wwan0").Addr6.String() {
		t.Errorf("down and up: seen as %s", seen)
	}
}

func TestAgentIdentity(t *testing.T) {
	l := newLab(t, Options{})
	other, err := NewNamespace()
	check(t, err)
	defer other.Close()
	for _, c := range []struct {
		opts   AgentOptions
		ns     string
		uid    uint32
		inside bool
	}{
		{AgentOptions{}, l.Client.ID(), 0, true},
		{AgentOptions{UID: 65534}, l.Client.ID(), 65534, true},
		{AgentOptions{OutsideCgroup: true}, l.Client.ID(), 0, false},
		{AgentOptions{NS: other}, other.ID(), 0, true},
	} {
		a := newAgent(t, l, c.opts)
		if _, err := a.Socket("udp4"); err != nil { // it has started when it answers
			t.Fatal(err)
		}
		proc := fmt.Sprintf("/proc/%d", a.PID)
		if ns, err := os.Readlink(proc + "/ns/net"); err != nil || ns != c.ns {
			t.Errorf("%+v: in %s, want %s", c.opts, ns, c.ns)
		}
		status, err := os.ReadFile(proc + "/status")
		check(t, err)
		if !strings.Contains(string(status), fmt.Sprintf("\nUid:\t%d\t%[1]d\t%[1]d\t", c.uid)) {
			t.Errorf("%+v: not uid %d", c.opts, c.uid)
		}
		groups, err := os.ReadFile(proc + "/cgroup")
		check(t, err)
		if inside := strings.Contains(string(groups), "/"+labPrefix); inside != c.inside {
			t.Errorf("%+v: cgroups %s", c.opts, groups)
		}
	}
}

func TestAgentSocket(t *testing.T) {
	l := newLab(t, Options{})
	a := newAgent(t, l, AgentOptions{})
	one, two := newHost(t, l), newHost(t, l)
	s, err := a.Socket("udp4")
	check(t, err)
	check(t, s.SetMark(0x23))
	if mark, err := s.Mark(); mark != 0x23 || err != nil {
		t.Errorf("mark %#x, %v", mark, err)
	}
	check(t, s.BindDevice("vpn0"))
	if dev, err := s.Device(); dev != "vpn0" || err != nil {
		t.Errorf("device %q, %v", dev, err)
	}
	for _, h := range []Host{one, two} { // a datagram socket connects again
		check(t, s.Connect(port(h.Addr4, EchoPort)))
		check(t, s.Send([]byte("x")))
		b, from, err := s.Recv()
		if err != nil || from != port(h.Addr4, EchoPort) || string(b) != l.Uplink("vpn0").Addr4.String() {
			t.Errorf("reply %q from %v, %v", b, from, err)
		}
	}
	check(t, s.Disconnect())
	n, err := s.SendTo([]byte("x"), port(one.Addr4, EchoPort))
	if n != 0 || err != nil {
		t.Errorf("send after disconnect: %d, %v", n, err)
	}
	if _, from, err := s.Recv(); err != nil || from.Addr() != one.Addr4 {
		t.Errorf("reply from %v, %v", from, err)
	}
	if _, _, err := s.Recv(); !errors.Is(err, ErrTimeout) {
		t.Errorf("receive nothing: %v", err)
	}
	check(t, s.Close())
	if _, err := a.DialTCP(port(one.Addr4, 9)); !errors.Is(err, Errno("ECONNREFUSED")) {
		t.Errorf("dial a closed port: %v", err)
	}
}

func TestCommand(t *testing.T) {
	l := newLab(t, Options{})
	out, err := l.Command(context.Background(), "cat", "/proc/self/cgroup", "/etc/resolv.conf").AsUser(65534).Output()
	check(t, err)
	if !strings.Contains(string(out), labPrefix) || !strings.HasSuffix(string(out), "\nnameserver 198.51.100.53\n") {
		t.Errorf("program sees %q", out)
	}
	check(t, l.SetResolver(l.DNS.Addr6, "use-vc", "edns0"))
	out, err = l.HostCommand(context.Background(), "cat", "/proc/self/cgroup", "/etc/resolv.conf").Output()
	check(t, err)
	if strings.Contains(string(out), labPrefix) || !strings.HasSuffix(string(out), "\nnameserver 2001:db8:53::53\noptions use-vc edns0\n") {
		t.Errorf("program sees %q", out)
	}
	h := newHost(t, l)
	l.DNS.Set("name.example", h.Addr4, h.Addr6)
	out, err = l.Command(context.Background(), "getent", "ahosts", "name.example").Output()
	check(t, err)
	if !strings.Contains(string(out), h.Addr4.String()) || !strings.Contains(string(out), h.Addr6.String()) {
		t.Errorf("getent: %q", out)
	}
	for _, q := range l.DNS.Questions() {
		if q.Proto != "tcp" || q.Client.Addr() != l.Uplink("wan0").Addr6 || q.Name != "name.example." {
			t.Errorf("question %+v", q)
		}
	}
}

func TestHTTP(t *testing.T) {
	l := newLab(t, Options{})
	a := newAgent(t, l, AgentOptions{})
	h := newHost(t, l)
	for _, server := range []netip.Addr{h.Addr4, h.Addr6} {
		s, err := a.Socket("tcp6")
		check(t, err)
		check(t, s.Connect(port(server, HTTPPort)))
		check(t, s.Send([]byte("GET / HTTP/1.0\r\n\r\n")))
		local, err := s.LocalAddr()
		check(t, err)
		b, _, err := s.Recv()
		if err != nil || !strings.HasSuffix(string(b), "\r\n\r\n"+local.Addr().String()+"\n") {
			t.Errorf("HTTP answer %q, %v", b, err)
		}
	}
}

func TestManyHosts(t *testing.T) {
	l := newLab(t, Options{NoSniffer: true})
	a := newAgent(t, l, AgentOptions{})
	seen := map[netip.Addr]bool{l.DNS.Addr4: true, l.DNS.Addr6: true}
	for range 600 {
		h := newHost(t, l)
		if seen[h.Addr4] || seen[h.Addr6] {
			t.Fatalf("%v given twice", h)
		}
		seen[h.Addr4], seen[h.Addr6] = true, true
		for _, server := range []netip.Addr{h.Addr4, h.Addr6} {
			if _, err := a.DialUDP(port(server, EchoPort)); err != nil {
				t.Fatalf("%v: %v", server, err)
			}
		}
	}
}

func TestCloseRestores(t *testing.T) {
	before, err := os.ReadFile("/etc/resolv.conf")
	check(t, err)
	l := newLab(t, Options{})
	check(t, l.Close())
	if after, err := os.ReadFile("/etc/resolv.conf"); err != nil || string(after) != string(before) {
		t.Errorf("resolv.conf is %q, was %q", after, before)
	}
	for _, gone := range []string{l.Cgroup, l.Dir} {
		if _, err := os.Stat(gone); !os.IsNotExist(err) {
			t.Errorf("%s: %v", gone, err)
		}
	}
	var st unix.Statfs_t
	check(t, unix.Statfs(bpffsDir, &st))
	if st.Type == unix.BPF_FS_MAGIC {
		t.Error("a bpffs of the host is visible")
	}
	if _, err := netlink.LinkByName("wan0"); err == nil {
		t.Error("wan0 is in the host's namespace")
	}
}
