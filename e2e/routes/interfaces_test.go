package routes

import (
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// An interface that nobody has seen yet: refused until it is there, then used, with no command in between.
func TestInterfaceAppearsLater(t *testing.T) {
	for name, o := range map[string]lab.UplinkOptions{"lte0": {}, "tun0": {Tun: true}} {
		t.Run(name, func(t *testing.T) {
			h := harness.Started(t)
			a := h.MustAgent(lab.AgentOptions{})
			server := h.MustHost("late.test")
			rules(t, h, [2]string{"late.test", name})
			learn(t, []string{"late.test"}, a)
			h.ResetPackets()
			wantOut(t, h, a, server, "ENODEV")
			wantNoPackets(t, h, server, "wan0", "vpn0")
			check(t, h.AddUplink(name, o))
			wantOut(t, h, a, server, name)
			wantNoPackets(t, h, server, "wan0", "vpn0")
			deleteAndRecreate(t, h, a, server, name)
		})
	}
}

func TestInterfaceRecreated(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("again.test")
	rules(t, h, [2]string{"again.test", "vpn0"})
	learn(t, []string{"again.test"}, a)
	wantOut(t, h, a, server, "vpn0")
	for range 3 {
		deleteAndRecreate(t, h, a, server, "vpn0")
	}
}

// deleteAndRecreate takes an uplink away under steering, and gives it back with another index.
func deleteAndRecreate(t *testing.T, h *harness.Host, a *lab.Agent, server lab.Host, name string) {
	t.Helper()
	before := h.Uplink(name).Index
	check(t, h.DeleteUplink(name))
	h.ResetPackets()
	h.ResetHits()
	wantOut(t, h, a, server, "ENODEV")
	wantNoPackets(t, h, server, "wan0", "vpn0")
	if hits := h.Hits(); len(hits) > 0 {
		t.Errorf("the server was reached: %v", hits)
	}
	check(t, h.CreateUplink(name))
	if after := h.Uplink(name).Index; after == before {
		t.Fatalf("%s came back with the same index %d", name, after)
	}
	// No packets are counted from here on: of connections that the deletion cut off the servers send FINs again, which
	// the client's kernel answers by RSTs of no socket, and so along its routing table.
	wantOut(t, h, a, server, name)
}

// Steering follows the name, not the device: what the name is renamed to counts from the next connect.
func TestInterfaceRenamed(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	old, renamed := h.MustHost("old.test"), h.MustHost("new.test")
	rules(t, h, [2]string{"old.test", "vpn0"}, [2]string{"new.test", "lte1"})
	learn(t, []string{"old.test", "new.test"}, a)
	wantOut(t, h, a, old, "vpn0")
	wantOut(t, h, a, renamed, "ENODEV")
	check(t, h.RenameUplink("vpn0", "lte1"))
	h.ResetPackets()
	wantOut(t, h, a, old, "ENODEV")
	wantNoPackets(t, h, old, "wan0", "lte1")
	wantOut(t, h, a, renamed, "lte1")
	check(t, h.RenameUplink("lte1", "vpn0"))
	wantOut(t, h, a, old, "vpn0")
	wantOut(t, h, a, renamed, "ENODEV")
}

// An interface that exists but is down does not count as gone: the connection must not leave elsewhere.
func TestInterfaceDown(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("down.test")
	rules(t, h, [2]string{"down.test", "vpn0,wan0"})
	learn(t, []string{"down.test"}, a)
	check(t, h.SetUplinkState("vpn0", false))
	h.ResetPackets()
	wantOut(t, h, a, server, "ENETUNREACH")
	wantNoPackets(t, h, server, "wan0")
	check(t, h.SetUplinkState("vpn0", true))
	wantOut(t, h, a, server, "vpn0")
}
