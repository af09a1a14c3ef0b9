package recipes

import (
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness/page"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestTwoUplinks(t *testing.T) {
	s := tell(t, "two-uplinks.md", "example.com", "example.org", "example.net")
	check(t, s.AddUplink("eth1", lab.UplinkOptions{NoDefaultRoute: true}))
	s.uplink("eth1")
	page.Hide(t, "/etc/NetworkManager")
	was := s.network()

	routes := s.blocks[0]
	s.run("A default route by each")
	s.run("The rules")
	s.reboot()
	s.goes("example.com", "eth1")
	s.goes("example.org", "eth1")
	s.goes("example.net", "eth0")
	s.wantSeen(s.run("See that it works"), "eth1")

	check(t, s.DeleteUplink("eth1")) // a modem that is unplugged
	s.goes("example.com", "ENODEV")
	s.goes("example.org", "eth0")
	check(t, s.CreateUplink("eth1"))
	s.Shell.Run(t, routes)
	s.goes("example.com", "eth1")
	s.goes("example.org", "eth1")

	s.internet("ip link set peer2 down") // a cable that is pulled
	hasty := s.MustAgent(lab.AgentOptions{Timeout: 300 * time.Millisecond})
	check(t, via.Learn(hasty, "example.org"))
	s.leaves(hasty, "example.org", "timeout", via.TCP4, via.UDP6)
	s.internet("ip link set peer2 up")
	check(t, s.SetUplinkState("eth1", false))
	s.goes("example.com", "ENETUNREACH")
	s.goes("example.org", "ENETUNREACH")
	s.run("A cable that is pulled")
	const script = "/etc/NetworkManager/dispatcher.d/50-domain-route"
	s.shell(script + " eth1 down")
	s.goes("example.com", "ENETUNREACH")
	s.goes("example.org", "eth0")
	check(t, s.SetUplinkState("eth1", true))
	s.Shell.Run(t, routes)
	s.shell(script + " eth1 up; " + script + " eth0 up")
	s.goes("example.com", "eth1")
	s.goes("example.org", "eth1")

	s.run("Undo")
	s.asBefore(was, "example.com", "example.org")
}
