package recipes

import (
	"net/netip"
	"testing"
	"time"

	"github.com/domain-route/domain-route/internal/lab"
)

func TestWireGuard(t *testing.T) {
	s := tell(t, "wireguard.md", "example.com", "example.org", "vpn.example.net")
	s.provider("vpn.example.net")
	was := s.network()
	conf := s.read("/etc/wireguard/wg0.conf")

	s.run("A tunnel that takes no routes")
	s.goes("example.com", "eth0")

	s.run("The rules")
	s.reboot()
	s.goes("example.com", "wg0")
	s.goes("example.org", "eth0")

	out := s.run("See that it works")
	s.wantSeen(out, "wg0")
	s.wantText(out, "example.com -> wg0")

	s.run("The kill switch is built in")
	s.goes("example.com", "ENODEV")
	s.goes("example.org", "eth0")

	s.run("And back")
	s.goes("example.com", "wg0")

	s.shell("sysctl -qw net.ipv4.conf.all.rp_filter=1")
	s.shell("! curl -4 -sS --max-time 0.5 http://example.com/")
	s.wantText(s.run("What can go wrong"), "sysctl -w net.ipv4.conf.wg0.rp_filter=2")
	s.goes("example.com", "wg0")
	s.shell("sysctl -qw net.ipv4.conf.all.rp_filter=0")

	s.run("Undo")
	s.asBefore(was, "example.com", "example.org")
	if got := s.read("/etc/wireguard/wg0.conf"); got != conf {
		t.Errorf("the tunnel's configuration is not as before:\n%s", got)
	}
}

func TestEverythingBut(t *testing.T) {
	s := tell(t, "everything-but.md", "example.com", "example.org")
	server, printer := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("192.168.1.10")
	check(t, s.AddServerAddr(server))
	check(t, s.AddServerAddr(printer))
	s.provider(server.String())
	was := s.network()
	conf := s.read("/etc/wireguard/wg0.conf")

	s.run("The tunnel")
	s.goes("example.com", "eth0")

	s.wantNoText(s.run("The rules"), "name server")
	s.reboot()
	s.goes("example.com", "wg0")
	s.goes("example.org", "eth0")
	s.wantAt(printer, "eth0")
	s.DNS.ResetQuestions()
	out := s.run("See that it works")
	s.wantSeen(out, "wg0")
	s.wantText(out, "198.51.100.53: a rule sends what it is asked to wg0", "0 warnings, 0 failures")
	for _, q := range s.DNS.Questions() {
		if s.places[q.Client.Addr()] != "wg0" {
			t.Errorf("%s was asked for by %v", q.Name, q.Client)
		}
	}

	s.run("While the tunnel is down")
	s.wantFails("example.com", "ENODEV")
	s.wantAt(printer, "eth0")
	s.shell("wg-quick up wg0") // no name server can be asked now
	s.goes("example.com", "wg0")

	// What is outside of the cgroup stands for what is no program's connection.
	other := s.MustAgent(lab.AgentOptions{OutsideCgroup: true, Timeout: 3 * time.Second})
	s.leaves(other, "example.com", "eth0")
	s.run("What is not a program's connection")
	s.wantText(s.read("/etc/wireguard/wg0.conf"), "\nPostUp = true\n") // what was there before
	s.goes("example.com", "wg0")
	s.goes("example.org", "eth0")
	s.leaves(other, "example.com", "wg0")
	check(t, other.Close())
	s.shell("domain-route doctor")

	s.run("Undo")
	s.asBefore(was, "example.com", "example.org")
	if got := s.read("/etc/wireguard/wg0.conf"); got != conf {
		t.Errorf("the tunnel's configuration is not as before:\n%s", got)
	}
}

// wantAt checks that an address is reached by an interface, whatever its names.
func (s *story) wantAt(to netip.Addr, by string) {
	s.t.Helper()
	s.hosts["address"] = lab.Host{Addr4: to}
	a := s.MustAgent(lab.AgentOptions{UID: alice})
	defer a.Close()
	s.leaves(a, "address", by, "TCP/IPv4", "UDP/IPv4")
}

// wantFails checks that programs which know a name's addresses get an error: no name server can be asked.
func (s *story) wantFails(name, with string) {
	s.t.Helper()
	a := s.MustAgent(lab.AgentOptions{UID: alice})
	defer a.Close()
	s.leaves(a, name, with)
}
