package recipes

import (
	"net/netip"
	"testing"

	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestStreamingAndGames(t *testing.T) {
	s := tell(t, "streaming-and-games.md", "example.com", "example.org")
	check(t, s.AddUplink("eth1", lab.UplinkOptions{}))
	s.uplink("eth1")
	arena := netip.MustParseAddr("192.0.2.40")
	check(t, s.AddServerAddr(arena))
	s.Tool(t, "systemd-run", `set -e
[ "$1 $2 $3" = "-q --scope --uid=0" ] && [ "$4" = --slice=game.slice ]
shift 4
mkdir -p /sys/fs/cgroup/game.slice/run-1.scope
echo $$ >/sys/fs/cgroup/game.slice/run-1.scope/cgroup.procs
exec "$@"`)
	was := s.network()
	gamer := s.MustAgent(lab.AgentOptions{UID: alice})
	flow := s.flow(gamer, arena) // began before there were rules
	s.heard(flow, "eth0")

	s.wantText(s.run("The rules"), "learnt", "steered", "example.com", "eth1")
	s.reboot()
	s.wantSeen(s.run("See that it works"), "eth1")
	s.goes("example.com", "eth1")
	s.goes("example.org", "eth0")
	s.wantAt(arena, "eth1")
	s.firstDatagram(arena, "eth1")
	s.heard(flow, "eth0")

	s.wantText(s.run("What was open before"), "192.0.2.40")
	if err := flow.Send([]byte("hello")); err == nil {
		t.Error("the flow that began before the rule is still open")
	}
	s.heard(s.flow(gamer, arena), "eth1")

	s.wantSeen(s.run("Everything of one program"), "eth1")
	s.goes("example.org", "eth0") // other programs

	check(t, s.DeleteUplink("eth1"))
	s.goes("example.com", "ENODEV")
	s.firstDatagram(arena, "ENODEV")
	check(t, s.CreateUplink("eth1"))

	s.run("Undo")
	s.asBefore(was, "example.com", "example.org")
}

// flow opens a connected datagram socket, as a game keeps one for an hour.
func (s *story) flow(a *lab.Agent, to netip.Addr) *lab.Socket {
	s.t.Helper()
	socket, err := a.Socket("udp4")
	check(s.t, err)
	check(s.t, socket.Connect(netip.AddrPortFrom(to, lab.EchoPort)))
	return socket
}

// heard sends by a flow and checks where the server saw it.
func (s *story) heard(flow *lab.Socket, by string) {
	s.t.Helper()
	check(s.t, flow.Send([]byte("hello")))
	seen, _, err := flow.Recv()
	if addr, bad := netip.ParseAddr(string(seen)); err != nil || bad != nil || s.places[addr] != by {
		s.t.Errorf("the flow was seen at %s (%v), want %s", seen, err, by)
	}
}

// firstDatagram sends one by a socket that never connects.
func (s *story) firstDatagram(to netip.Addr, want string) {
	s.t.Helper()
	for _, uid := range []uint32{0, alice} {
		a := s.MustAgent(lab.AgentOptions{UID: uid})
		s.ResetPackets()
		got := via.OutUnconnected(s.Lab, a, to)
		if addr, err := netip.ParseAddr(got); err == nil {
			got = s.places[addr]
		}
		if n := s.left(to); got != want || n > 0 {
			s.t.Errorf("first datagram: %s, %d packets by eth0, want %s", got, n, want)
		}
		_ = a.Close()
	}
}
