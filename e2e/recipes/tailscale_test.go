package recipes

import (
	"net/netip"
	"testing"

	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

const (
	tailnetMark = 0x80000 // what tailscaled gives its own sockets
	magicDNS    = "100.100.100.100"
	peer        = "nas.tailnet.ts.net"
)

func TestTailscale(t *testing.T) {
	s := tell(t, "tailscale.md", "example.com", "example.org", "control.example")
	check(t, s.AddUplink("wg0", lab.UplinkOptions{}))
	s.uplink("wg0")
	s.tailscaled()
	was := s.network()
	beside := func() {
		t.Helper()
		s.only4(peer, "tailscale0")
		s.marked("control.example")
	}

	s.run("Some names by another tunnel")
	s.goes("example.com", "wg0")
	s.goes("example.org", "eth0")
	beside()
	out := s.run("See that it works")
	s.wantSeen(out, "wg0")
	s.wantSeen(out, "tailscale0")

	s.run("Everything by another tunnel")
	s.goes("example.org", "wg0")
	beside()

	s.run("Some names by an exit node, the rest as before")
	s.goes("example.com", "tailscale0")
	s.goes("example.org", "eth0")
	beside()

	s.run("Undo")
	s.asBefore(was, "example.com", "example.org")
	beside()
}

// tailscaled sets up what tailscaled does: its interface, routing rules and table, its name server, and a peer.
func (s *story) tailscaled() {
	s.t.Helper()
	check(s.t, s.AddUplink("tailscale0", lab.UplinkOptions{Tun: true, NoDefaultRoute: true}))
	s.uplink("tailscale0")
	nas, dns := netip.MustParseAddr("100.70.0.5"), netip.MustParseAddr(magicDNS)
	check(s.t, s.AddServerAddr(nas))
	check(s.t, s.AddServerAddr(dns))
	s.hosts[peer] = lab.Host{Addr4: nas}
	s.DNS.Set(peer, nas)
	s.server = netip.AddrPortFrom(dns, 53)
	check(s.t, s.SetResolver(dns))
	s.shell(`for v in -4 -6; do
ip $v rule add pref 5210 fwmark 0x80000/0xff0000 lookup main
ip $v rule add pref 5230 fwmark 0x80000/0xff0000 lookup default
ip $v rule add pref 5250 fwmark 0x80000/0xff0000 unreachable
ip $v rule add pref 5270 lookup 52
done
ip route add 100.100.100.100 dev tailscale0 table 52
ip route add 100.70.0.5 dev tailscale0 table 52`)
	s.Tool(s.t, "tailscale", `case "$*" in
"set --exit-node=100.70.0.5") verb=add;;
"set --exit-node=") verb=del;;
*) exit 1;;
esac
for v in -4 -6; do ip $v route $verb default dev tailscale0 table 52 || exit; done`)
}

// marked checks that a socket with tailscaled's mark is left alone.
func (s *story) marked(name string) {
	s.t.Helper()
	a := s.MustAgent(lab.AgentOptions{})
	defer a.Close()
	check(s.t, via.Learn(a, name))
	for _, kind := range []string{"udp4", "udp6"} {
		to := s.hosts[name].Addr4
		if kind == "udp6" {
			to = s.hosts[name].Addr6
		}
		socket, err := a.Socket(kind)
		check(s.t, err)
		check(s.t, socket.SetMark(tailnetMark))
		_, err = socket.SendTo([]byte("hello"), netip.AddrPortFrom(to, lab.EchoPort))
		check(s.t, err)
		seen, _, err := socket.Recv()
		if addr, bad := netip.ParseAddr(string(seen)); err != nil || bad != nil || s.places[addr] != "eth0" {
			s.t.Errorf("tailscaled's own %s was seen at %s (%v)", kind, seen, err)
		}
		check(s.t, socket.Close())
	}
}
