package udp

import (
	"net"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/lab"
)

// The tables to which marks lead in these tests.
var marks = map[string]struct {
	mark  uint32
	table int
}{"vpn0": {0x23, 123}, "vpn1": {0x24, 124}}

// routeMarks has each mark lead to a table with one default route, as a user of mark: targets would.
func routeMarks(t testing.TB, w *world) {
	t.Helper()
	for uplink, m := range marks {
		u := w.Uplink(uplink)
		for family, gateway := range map[int]net.IP{unix.AF_INET: u.Gateway4.AsSlice(), unix.AF_INET6: u.Gateway6.AsSlice()} {
			all := &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
			if family == unix.AF_INET6 {
				all = &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
			}
			check(t, w.Client.NL.RouteAdd(&netlink.Route{LinkIndex: u.Index, Dst: all, Gw: gateway, Table: m.table}))
			rule := netlink.NewRule()
			rule.Family, rule.Mark, rule.Table, rule.Priority = family, m.mark, m.table, 1000
			check(t, w.Client.NL.RuleAdd(rule))
		}
	}
}

func markedWorld(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	routeMarks(t, w)
	w.Must("rule", "add", "bank.example", "mark:0x23")
	w.Must("rule", "add", "bank2.example", "mark:0x23")
	w.Must("rule", "add", "shop.example", "mark:36")
	return w
}

// A mark does not keep a socket from hearing, so that one socket may go several ways: each change costs one EINTR.
func TestMarkedDatagrams(t *testing.T) {
	w := markedWorld(t)
	everyWay(t, w, func(t *testing.T, a *lab.Agent, way way, _ bool) {
		for _, hb := range []habit{
			{what: "one", steps: "bank:EINTR/send_again bank:vpn0/marked bank2:vpn0 bank:vpn0"},
			{what: "two marks by turns", steps: "bank:EINTR bank:vpn0 shop:EINTR shop:vpn1 bank:EINTR bank:vpn0"},
			{what: "marked and plain by turns",
				steps: "plain:wan0 bank:EINTR bank:vpn0 plain:EINTR/send_again plain:wan0 bank:EINTR bank:vpn0 free:EINTR free:wan0"},
			{what: "marked, then an interface's", steps: "bank:EINTR bank:vpn0 chain:EHOSTUNREACH/shared_socket bank:vpn0"},
			{what: "marked, then none", steps: "bank:EINTR bank:vpn0 gone:EHOSTUNREACH ads:EHOSTUNREACH plain:EINTR plain:wan0"},
			{what: "an interface's, then marked", steps: "chain:EINTR chain:vpn1 bank:EPERM/rebind_refused chain:vpn1"},
		} {
			t.Run(hb.what, func(t *testing.T) { w.talker(t, a, way, hb.what).say(hb.steps) })
		}
	})
}

// Connections are marked too, and a socket that connects again is marked anew, by whoever.
func TestMarkedConnections(t *testing.T) {
	w := markedWorld(t)
	everyWay(t, w, func(t *testing.T, a *lab.Agent, way way, _ bool) {
		k := &talker{world: w, t: t, way: way}
		for _, c := range []struct{ site, uplink string }{{"bank", "vpn0"}, {"shop", "vpn1"}, {"plain", "wan0"}} {
			w.ResetPackets()
			u := w.Uplink(c.uplink)
			seen, err := a.DialTCP(port(k.addr(c.site), lab.EchoPort))
			if err != nil || seen != u.Addr4.String() && seen != u.Addr6.String() {
				t.Errorf("tcp to %s came from %q, %v", c.site, seen, err)
			}
			if by := k.left(c.site); by != c.uplink {
				t.Errorf("tcp to %s left by %q", c.site, by)
			}
		}
		again := w.talker(t, a, way, "connects again")
		for _, c := range []struct {
			site, uplink string
			mark         int
		}{{"bank", "vpn0", 0x23}, {"shop", "vpn1", 0x24}, {"plain", "wan0", 0}, {"bank", "vpn0", 0x23}} {
			w.ResetPackets()
			check(t, again.Connect(port(again.addr(c.site), lab.DNSPort)))
			if mark, err := again.Mark(); mark != c.mark || err != nil {
				t.Errorf("connected to %s: mark %#x, %v", c.site, mark, err)
			}
			check(t, again.Send([]byte("hello")))
			eventually(t, "packets leave", func() bool { return again.left(c.site) != "" })
			if by := again.left(c.site); by != c.uplink {
				t.Errorf("to %s: packets left by %q", c.site, by)
			}
		}
	})
}
