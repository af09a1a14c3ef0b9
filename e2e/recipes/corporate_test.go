package recipes

import (
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/harness/page"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestCorporateVPN(t *testing.T) {
	s := tell(t, "corporate-vpn.md", "example.com", "vpn.corp.example", "cloud.corp.example")
	wiki, nameServer := netip.MustParseAddr("10.20.0.5"), netip.MustParseAddr("10.20.0.53")
	check(t, s.AddServerAddr(wiki))
	check(t, s.AddServerAddr(nameServer))
	s.hosts["wiki.corp.example"] = lab.Host{Addr4: wiki}
	s.DNS.Set("wiki.corp.example", wiki)
	s.withDnsmasq()
	s.shell("systemctl restart dnsmasq")
	was := s.network()

	s.run("The rules")
	s.reboot()
	s.run("The company's names")
	s.only4("vpn.corp.example", "eth0") // where the VPN client goes while there is no tunnel
	s.only4("example.com", "eth0")
	s.leaksNothing("cloud.corp.example", "ENODEV")
	s.asksNobody("wiki.corp.example", nameServer)

	// The client has connected: a device, and the routes the company pushed.
	check(t, s.AddUplink("tun0", lab.UplinkOptions{Tun: true, NoDefaultRoute: true}))
	s.uplink("tun0")
	s.shell("ip route add 10.0.0.0/8 dev tun0")
	s.DNS.ResetQuestions()
	s.wantSeen(s.run("See that it works"), "tun0")
	for _, q := range s.DNS.Questions() {
		if q.Server.Addr() != nameServer || s.places[q.Client.Addr()] != "tun0" {
			t.Errorf("%s was asked for at %v by %v", q.Name, q.Server, q.Client)
		}
	}
	everyone := func() {
		t.Helper()
		s.only4("wiki.corp.example", "tun0")
		s.only4("cloud.corp.example", "tun0")
		s.only4("vpn.corp.example", "eth0")
		s.only4("example.com", "eth0")
	}
	everyone()

	// Now it takes everything, as OpenVPN does it.
	s.shell("ip route add 0.0.0.0/1 dev tun0; ip route add 128.0.0.0/1 dev tun0; ip route add " +
		s.hosts["vpn.corp.example"].Addr4.String() + " via " + s.Uplink("eth0").Gateway4.String())
	s.only4("example.com", "tun0")
	s.run("If the VPN takes everything")
	everyone()
	check(t, s.DeleteUplink("tun0"))
	s.leaksNothing("cloud.corp.example", "ENODEV")
	s.shell("ip route del " + s.hosts["vpn.corp.example"].Addr4.String())

	s.run("Undo")
	s.asBefore(was, "example.com", "cloud.corp.example")
}

// withDnsmasq has programs ask a dnsmasq of this host, which reads /etc/dnsmasq.d; systemctl restarts it.
func (s *story) withDnsmasq() {
	s.t.Helper()
	_, err := exec.LookPath("dnsmasq")
	harness.Need(s.t, err == nil, "dnsmasq")
	page.Hide(s.t, "/etc/dnsmasq.d")
	s.server = netip.MustParseAddrPort("127.0.0.1:53")
	check(s.t, s.SetResolver(s.server.Addr()))
	s.Tool(s.t, "systemctl", `[ "$*" = "restart dnsmasq" ] || exit 1
[ ! -e `+s.Dir+`/dnsmasq.pid ] || kill "$(cat `+s.Dir+`/dnsmasq.pid)"
while ss -luntH | grep -q 127.0.0.1:53; do sleep 0.01; done
exec dnsmasq --conf-file=/dev/null --conf-dir=/etc/dnsmasq.d --pid-file=`+s.Dir+`/dnsmasq.pid --user=root --no-resolv --no-hosts \
	--bind-interfaces --listen-address=127.0.0.1 --server=`+s.DNS.Addr4.String())
}

// only4 is goes for programs that know IPv4 alone.
func (s *story) only4(name, want string) {
	s.t.Helper()
	for _, uid := range []uint32{0, alice} {
		a := s.MustAgent(lab.AgentOptions{UID: uid})
		answer, err := a.Resolve(lab.Query{Name: name, Server: s.server})
		if err != nil || len(answer.Addrs) != 1 {
			s.t.Fatalf("resolve %s: %v, %v", name, answer.Addrs, err)
		}
		s.leaves(a, name, want, via.TCP4, via.UDP4)
		_ = a.Close()
	}
}

// leaksNothing has a program connect to a name whose address it has asked elsewhere, since its name server is away.
func (s *story) leaksNothing(name, want string) {
	s.t.Helper()
	a := s.MustAgent(lab.AgentOptions{UID: alice})
	defer a.Close()
	if _, err := a.Resolve(lab.Query{Name: name}); err != nil {
		s.t.Fatal(err)
	}
	s.leaves(a, name, want, via.TCP4, via.UDP4)
}

// asksNobody checks that a name cannot be resolved, and that the question does not leave by eth0.
func (s *story) asksNobody(name string, nameServer netip.Addr) {
	s.t.Helper()
	s.ResetPackets()
	a := s.MustAgent(lab.AgentOptions{UID: alice, Timeout: 300 * time.Millisecond})
	defer a.Close()
	if answer, err := a.Resolve(lab.Query{Name: name, Server: s.server}); err == nil && len(answer.Addrs) > 0 {
		s.t.Errorf("%s is %v", name, answer.Addrs)
	}
	if n, err := s.UplinkPackets("eth0", nameServer); err != nil || n > 0 {
		s.t.Errorf("%d questions left by eth0 (%v)", n, err)
	}
}
