package udp

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/domain-route/domain-route/internal/lab"
)

// recheck is RECHECK of bpf/datagram.h.
const recheck = time.Second

// An interface that is missing, comes, goes and comes back with another index under one long-lived socket: nothing
// leaves by another. Root's socket heals by itself within that time; of a user's the kernel lets
// nobody move the binding, so that it fails until the program opens another.
func TestInterfaceComesBack(t *testing.T) {
	for _, uid := range []uint32{0, alice} {
		for _, way := range ways {
			t.Run(way.String()+map[bool]string{true: "-root"}[uid == 0], func(t *testing.T) {
				w := newWorld(t)
				k := w.talker(t, w.agent(t, uid), way, "missing")
				k.say("gone:ENODEV gone:ENODEV")
				check(t, w.AddUplink("vpn9", lab.UplinkOptions{}))
				k.say("gone:EINTR/steered+send_again gone:vpn9/kept")
				check(t, w.DeleteUplink("vpn9"))
				k.silent("gone", 100*time.Millisecond)
				check(t, w.CreateUplink("vpn9"))
				k.tag = "re-created"
				if uid == 0 {
					k.heals("gone", "vpn9", 2*recheck)
				} else {
					k.silent("gone", recheck+200*time.Millisecond)
				}
				k.talkerAgain("another socket").say("gone:EINTR gone:vpn9")
			})
		}
	}
}

// talkerAgain is another socket of the same agent.
func (k *talker) talkerAgain(tag string) *talker {
	k.t.Helper()
	s, err := k.Socket.Agent().Socket(k.way.kind)
	check(k.t, err)
	return &talker{k.world, s, k.t, k.way, tag}
}

// silent sends for so long, and nothing may leave.
func (k *talker) silent(site string, long time.Duration) {
	k.t.Helper()
	k.ResetPackets()
	sent := 0
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := k.SendTo([]byte("hello"), port(k.addr(site), lab.EchoPort)); err == nil {
			sent++
		}
	}
	if by := k.left(site); by != "" || sent > 0 {
		k.t.Errorf("%s: %d datagrams were taken, packets left by %q", k.tag, sent, by)
	}
}

// heals sends until a datagram is taken, in so long a time, and none may leave by another uplink.
func (k *talker) heals(site, uplink string, long time.Duration) {
	k.t.Helper()
	k.ResetPackets()
	began := time.Now()
	for {
		_, err := k.SendTo([]byte("hello"), port(k.addr(site), lab.EchoPort))
		if err == nil {
			break
		}
		if time.Since(began) > long {
			k.t.Fatalf("%s: not within %v: %v", k.tag, long, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	k.answered(k.tag, site, uplink)
	if by := k.left(site); by != uplink {
		k.t.Errorf("%s: packets left by %s", k.tag, by)
	}
}

// A chain's next takes over as its first goes, for new sockets at once.
func TestChainMovesOn(t *testing.T) {
	w := newWorld(t)
	check(t, w.AddUplink("vpn9", lab.UplinkOptions{}))
	everyWay(t, w, func(t *testing.T, a *lab.Agent, way way, _ bool) {
		w.talker(t, a, way, "first").say("chain:EINTR chain:vpn9")
		w.talker(t, a, way, "first, and no direct").say("spare:EINTR spare:vpn9")
		check(t, w.DeleteUplink("vpn9"))
		w.talker(t, a, way, "second").say("chain:EINTR chain:vpn1")
		k := w.talker(t, a, way, "direct")
		k.say("spare:wan0/chain_direct spare:wan0")
		check(t, w.CreateUplink("vpn9"))
		// Its only peer has a rule, so that nobody else's answers are at stake.
		k.say("spare:EINTR/steered spare:vpn9")
	})
}

// A chain's first comes back: root's socket, which may be moved, does so; a user's stays with the second, which will do.
func TestChainComesBack(t *testing.T) {
	w := newWorld(t)
	check(t, w.AddUplink("vpn9", lab.UplinkOptions{}))
	everyWay(t, w, func(t *testing.T, a *lab.Agent, way way, root bool) {
		check(t, w.DeleteUplink("vpn9"))
		k := w.talker(t, a, way, "second")
		k.say("chain:EINTR chain:vpn1")
		check(t, w.CreateUplink("vpn9"))
		if root {
			k.say("chain:EINTR/steered+send_again chain:vpn9")
		} else {
			k.say("chain:vpn1/kept chain:vpn1")
		}
	})
}

// A server is known by its port, to all: it is not bound for one client's sake, whose name has a rule, but the answer
// to that client is refused rather than sent by the wrong interface. Defence: heard_first(), note_port().
func TestServerKeepsServing(t *testing.T) {
	w := newWorld(t)
	everyWay(t, w, func(t *testing.T, a *lab.Agent, way way, _ bool) {
		server := w.talker(t, a, way, "server")
		any, here := netip.IPv4Unspecified(), w.Uplink("wan0").Addr4
		if way.kind == "udp6" {
			any = netip.IPv6Unspecified()
		}
		if way.v6 {
			here = w.Uplink("wan0").Addr6
		}
		check(t, server.Bind(port(any, 5000)))
		internet := w.MustAgent(lab.AgentOptions{NS: w.Internet, OutsideCgroup: true})
		serve := func(client string, want error) {
			t.Helper()
			c, err := internet.Socket("udp" + map[bool]string{true: "6", false: "4"}[way.v6])
			check(t, err)
			defer c.Close()
			check(t, c.Bind(port(server.addr(client), 0)))
			_, err = c.SendTo([]byte("question"), port(here, 5000))
			check(t, err)
			_, from, err := server.Recv()
			check(t, err)
			w.ResetPackets()
			if err := server.SendToOnce([]byte("answer"), from); !errors.Is(err, want) {
				t.Errorf("answer to %s: %v, want %v", client, err, want)
			}
			if want != nil {
				if by := server.left(client); by != "" {
					t.Errorf("answer to %s left by %s", client, by)
				}
				return
			}
			if got, _, err := c.Recv(); err != nil || string(got) != "answer" {
				t.Errorf("%s heard %q, %v", client, got, err)
			}
		}
		refused := lab.Errno("EHOSTUNREACH")
		for range 2 {
			serve("plain", nil)
			serve("bank", refused)
			serve("free", nil)
		}
		// The first to ask has a rule.
		check(t, server.Close())
		server = w.talker(t, a, way, "server heard by a ruled client first")
		check(t, server.Bind(port(any, 5000)))
		serve("bank", refused)
		serve("plain", nil)
		// One that speaks first is a client, even with a port of its own choice.
		check(t, server.Close())
		client := w.talker(t, a, way, "client with a port")
		check(t, client.Bind(port(any, 5000)))
		client.say("bank:EINTR bank:vpn0")
		check(t, client.Close())
	})
}
