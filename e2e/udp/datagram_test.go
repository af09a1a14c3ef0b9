package udp

import (
	"testing"

	"github.com/domain-route/domain-route/internal/lab"
)

// habit is what a program does with one unconnected socket.
type habit struct{ what, steps string }

// The first datagram to a name with a rule is refused once, so that none leaves by the wrong interface; one socket hears
// from one interface only, so that what would keep it from its other peers is refused.
// Defence: steer_datagram() and what it calls.
var habits = []habit{
	{what: "one name",
		steps: "bank:EINTR/steered+send_again bank:vpn0/kept bank:vpn0/kept"},
	{what: "two names by one interface",
		steps: "bank:EINTR bank:vpn0 bank2:vpn0/kept bank:vpn0"},
	{what: "no rule",
		steps: "plain:wan0/unknown plain2:wan0 plain:wan0"},
	{what: "direct",
		steps: "free:wan0/direct free:wan0"},
	{what: "blocked",
		steps: "ads:EHOSTUNREACH/blocked ads:EHOSTUNREACH plain:wan0"},
	{what: "blocked, then ruled",
		steps: "ads:EHOSTUNREACH bank:EINTR bank:vpn0 ads:EHOSTUNREACH bank:vpn0"},
	{what: "no interface",
		steps: "gone:ENODEV/no_interface gone:ENODEV plain:wan0"},
	{what: "second of a chain",
		steps: "chain:EINTR/steered chain:vpn1 shop:vpn1"},
	{what: "chain that ends in direct",
		steps: "spare:wan0/chain_direct spare:wan0 plain:wan0 spare:EHOSTUNREACH/shared_socket bank:EHOSTUNREACH"},
	// Whether an interface exists is known by binding only.
	{what: "chain that ends in direct second",
		steps: "plain:wan0 spare:EHOSTUNREACH/shared_socket plain:wan0"},
	// The first peer may be answering still: to bind the socket would keep it from it.
	{what: "no rule first",
		steps: "plain:wan0 bank:EHOSTUNREACH/shared_socket plain:wan0 bank:EHOSTUNREACH plain2:wan0"},
	{what: "direct first",
		steps: "free:wan0 bank:EHOSTUNREACH/shared_socket free:wan0"},
	{what: "chain in direct first",
		steps: "spare:wan0 bank:EHOSTUNREACH/shared_socket spare:wan0"},
	// Bound already, so that the second peer's answers come by the same interface.
	{what: "ruled first",
		steps: "bank:EINTR bank:vpn0 plain:vpn0/kept_old bank:vpn0 plain:vpn0 free:vpn0 bank:vpn0"},
	{what: "two interfaces",
		steps: "bank:EINTR bank:vpn0 shop:EPERM/rebind_refused bank:vpn0 shop:EPERM bank:vpn0"},
	{what: "an interface that both chains have",
		steps: "chain:EINTR chain:vpn1 shop:vpn1/kept chain:vpn1"},
	{what: "no interface second",
		steps: "bank:EINTR bank:vpn0 gone:EPERM bank:vpn0"},
	{what: "chain in direct second",
		steps: "bank:EINTR bank:vpn0 spare:EPERM/rebind_refused bank:vpn0"},
}

func TestHabits(t *testing.T) {
	w := newWorld(t)
	everyWay(t, w, func(t *testing.T, a *lab.Agent, way way, _ bool) {
		for _, hb := range habits {
			t.Run(hb.what, func(t *testing.T) { w.talker(t, a, way, hb.what).say(hb.steps) })
		}
	})
}

// A thousand datagrams by a hundred sockets: each is refused once, and not one leaves by the wrong interface.
func TestOneEINTREach(t *testing.T) {
	w := newWorld(t)
	everyWay(t, w, func(t *testing.T, a *lab.Agent, way way, _ bool) {
		w.ResetPackets()
		before := w.Counters()
		const sockets, each = 100, 10
		var interrupted int
		k := &talker{world: w, t: t, way: way}
		for range sockets {
			s, err := a.Socket(way.kind)
			check(t, err)
			for range each {
				n, err := s.SendTo([]byte("hello"), port(k.addr("bank"), lab.EchoPort))
				check(t, err)
				interrupted += n
			}
			k.Socket = s
			for range each { // what came for no socket would be answered by ICMP, and by the routing table
				k.answered("one of many", "bank", "vpn0")
			}
			check(t, s.Close())
		}
		if by := k.left("bank"); by != "vpn0" {
			t.Errorf("packets left by %s", by)
		}
		after := w.Counters()
		seen := sockets
		if restarts() {
			seen = 0
		}
		if n := after["send_again"] - before["send_again"]; interrupted != seen || n != sockets {
			t.Errorf("%d EINTR, want %d; %d counted, want %d", interrupted, seen, n, sockets)
		}
	})
}

// What a program bound or marked itself is left alone.
func TestOwnBindings(t *testing.T) {
	w := newWorld(t)
	everyWay(t, w, func(t *testing.T, a *lab.Agent, way way, root bool) {
		for _, device := range []string{"wan0", "vpn1", "vpn0"} {
			k := w.talker(t, a, way, "bound to "+device)
			check(t, k.BindDevice(device))
			k.say("bank:" + device + "/left_bound shop:" + device + "/left_bound ads:" + device + " plain:" + device)
		}
		if !root {
			return // only root may do what follows
		}
		k := w.talker(t, a, way, "marked")
		check(t, k.SetMark(0x23))
		k.say("bank:wan0/left_marked ads:wan0 plain:wan0")
		if mark, err := k.Mark(); mark != 0x23 || err != nil {
			t.Errorf("mark %#x, %v", mark, err)
		}
		k = w.talker(t, a, way, "bound after us")
		k.say("bank:EINTR bank:vpn0")
		check(t, k.BindDevice("vpn1"))
		k.say("bank:vpn1 shop:vpn1")
	})
}

// A connected socket that sends elsewhere hears from its peer alone, so that no answer could come: it is not moved,
// whether its peer has a rule or not.
func TestConnectedSendsElsewhere(t *testing.T) {
	w := newWorld(t)
	everyWay(t, w, func(t *testing.T, a *lab.Agent, way way, _ bool) {
		k := w.talker(t, a, way, "connected")
		check(t, k.Connect(port(k.addr("plain"), lab.EchoPort)))
		k.say("bank:EHOSTUNREACH/shared_socket")
		check(t, k.Send([]byte("hello")))
		k.answered("connected", "plain", "wan0")

		k = w.talker(t, a, way, "connected by a rule")
		check(t, k.Connect(port(k.addr("bank"), lab.EchoPort)))
		w.ResetPackets()
		// A port that does not answer: what comes for no socket is answered by ICMP, and by the routing table.
		_, err := k.SendTo([]byte("hello"), port(k.addr("bank2"), lab.DNSPort))
		check(t, err)
		if by := k.left("bank2"); by != "vpn0" {
			t.Errorf("packets left by %q", by)
		}
	})
}

// One process's evidence moves its own datagrams; another user's, which asked for nothing, stay.
func TestEvidenceOfProcess(t *testing.T) {
	w := newWorld(t)
	shared := w.MustHost("ruled.shared.example", "plain.shared.example")
	w.hosts["shared"] = shared
	w.Must("rule", "add", "ruled.shared.example", "vpn0")
	ruled, plain := w.MustAgent(lab.AgentOptions{UID: alice}), w.MustAgent(lab.AgentOptions{UID: alice})
	resolve(t, plain, "plain.shared.example")
	resolve(t, ruled, "ruled.shared.example")
	for _, way := range ways {
		w.talker(t, ruled, way, "asked for the ruled name").say("shared:EINTR shared:vpn0")
		w.talker(t, plain, way, "asked for the plain name").say("shared:wan0/no_rule shared:wan0")
	}
}

// A default rule sends what no name decides; loopback and private addresses are left alone.
func TestDefaultRule(t *testing.T) {
	w := newWorld(t)
	w.Must("rule", "add", "default", "vpn1")
	everyWay(t, w, func(t *testing.T, a *lab.Agent, way way, _ bool) {
		w.talker(t, a, way, "default").say(
			"plain:EINTR/steered_by_default+send_again plain:vpn1/kept plain2:vpn1 shop:vpn1")
		w.talker(t, a, way, "an exception first").say("free:wan0 plain:EHOSTUNREACH/shared_socket free:wan0")
		w.talker(t, a, way, "its own rule").say("bank:EINTR bank:vpn0")
	})
}

// An update leaves what has the kernel make system calls again.
func TestUpdateKeepsRestarts(t *testing.T) {
	w := newWorld(t)
	w.Must("start", "--cgroup", w.Cgroup)
	everyWay(t, w, func(t *testing.T, a *lab.Agent, way way, _ bool) {
		k := &talker{world: w, t: t, way: way}
		s, err := a.Socket(way.kind)
		check(t, err)
		interrupted, err := s.SendTo([]byte("hello"), port(k.addr("bank"), lab.EchoPort))
		check(t, err)
		if restarts() && interrupted != 0 {
			t.Errorf("%d EINTR", interrupted)
		}
		check(t, s.Close())
	})
}
