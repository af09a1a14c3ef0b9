package udp

import (
	"testing"

	"github.com/domain-route/domain-route/internal/lab"
)

// What a connected socket sends to others must not change its way to its own peer: no hook sees what it sends there.
// Defence: the looks at dst_port in bpf/datagram.h.
func TestConnectedKeepsMark(t *testing.T) {
	w := markedWorld(t)
	everyWay(t, w, func(t *testing.T, a *lab.Agent, way way, _ bool) {
		for _, other := range []string{"plain", "shop"} {
			k := w.talker(t, a, way, "connected, and to "+other)
			check(t, k.Connect(port(k.addr("bank"), lab.EchoPort)))
			// Whether it gets there is not what this is about.
			_, err := k.SendTo([]byte("hello"), port(k.addr(other), lab.DNSPort))
			t.Logf("to %s: %v", other, err)
			w.ResetPackets()
			check(t, k.Send([]byte("hello")))
			if by := k.left("bank"); by != "vpn0" {
				t.Errorf("after a datagram to %s: bank by %q, want vpn0", other, by)
			}
		}
	})
}

// Datagrams are guarded whatever the observers are. Defence: cgroupHooks in internal/dataplane.
func TestThreadsShareSocketWithoutSockets(t *testing.T) {
	w := newWorld(t)
	a := w.agent(t, alice)
	k := w.talker(t, a, ways[0], "hammer")
	w.Must("start", "--observe", "libc", "--flush=no")
	w.ResetPackets()
	w.play(t, alice, "hammer", port(k.addr("bank"), lab.DNSPort).String(), "3000")
	right, err := w.UplinkPackets("vpn0", k.addr("bank"))
	check(t, err)
	wrong, err := w.UplinkPackets("wan0", k.addr("bank"))
	check(t, err)
	if right == 0 || wrong > 0 {
		t.Errorf("%d packets by vpn0, %d by wan0", right, wrong)
	}
}
