package reset

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// From every kind of target to every other: closed where connect would do something else, and then only.
func TestTargets(t *testing.T) {
	h := harness.Started(t)
	check(t, h.AddUplink("lte0", lab.UplinkOptions{}))
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("ruled.test")
	check(t, via.Learn(a, "ruled.test"))
	at := func(name string) Place {
		return Place{Verdict: "steered", Interface: name, Ifindex: h.Uplink(name).Index}
	}
	marked := func(n uint32) Place { return Place{Verdict: "marked", Mark: n} }
	places := map[string]Place{
		"direct": {Verdict: "direct"}, "vpn0": at("vpn0"), "lte0": at("lte0"), "gone0,vpn0": at("vpn0"), "gone0,lte0,vpn0": at("lte0"),
		"mark:7": marked(7), "mark:8": marked(8), "gone0,direct": {Verdict: "direct"},
		"block": {Verdict: "blocked"}, "gone0": {Verdict: "no_interface"},
	}
	for from, now := range places {
		if now.Verdict == "blocked" || now.Verdict == "no_interface" {
			continue
		}
		for to, then := range places {
			h.Must("rule", "add", "ruled.test", from)
			conns := []*conn{open(t, a, via.TCP4, server), open(t, a, via.UDPMapped, server)}
			h.Must("rule", "add", "ruled.test", to)
			rows := reset(t, h, "ruled.test")
			what := fmt.Sprintf("from %s to %s", from, to)
			if now == then {
				if len(rows) > 0 {
					t.Errorf("%s: %+v", what, rows)
				}
				for _, c := range conns {
					c.wantAlive()
				}
			} else {
				wantRows(t, rows, conns...)
				for _, r := range rows {
					if r.Now != now || r.Then != then {
						t.Errorf("%s: %+v", what, r)
					}
				}
				for _, c := range conns {
					c.wantClosed()
				}
			}
			for _, c := range conns {
				c.s.Close()
			}
		}
	}
}

// A connection by an interface that was created again hangs on an index that is no more.
func TestInterfaceRecreated(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("ruled.test")
	check(t, via.Learn(a, "ruled.test"))
	h.Must("rule", "add", "ruled.test", "vpn0")
	conns := each(t, a, server)
	old := h.Uplink("vpn0").Index
	check(t, h.DeleteUplink("vpn0"))
	check(t, h.CreateUplink("vpn0"))
	rows := reset(t, h)
	wantRows(t, rows, conns...)
	for _, r := range rows {
		if (r.Now != Place{Verdict: "steered", Ifindex: old}) {
			t.Errorf("%+v", r)
		}
	}
	for _, c := range conns {
		c.wantClosed()
	}
	each(t, a, server)
	wantRows(t, reset(t, h))
}

// A rule for the names of private ranges is one; the default rule leaves them alone. Loopback is always left alone.
func TestRanges(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	private := lab.Host{Addr4: netip.MustParseAddr("10.1.2.3"), Addr6: netip.MustParseAddr("fd00:1::5")}
	own := lab.Host{Addr4: h.Uplink("vpn0").Addr4, Addr6: h.Uplink("vpn0").Addr6}
	check(t, h.AddServerAddr(private.Addr4))
	check(t, h.AddServerAddr(private.Addr6))
	h.DNS.Set("private.test", private.Addr4, private.Addr6)
	h.DNS.Set("own.test", own.Addr4, own.Addr6)
	check(t, via.Learn(a, "private.test", "own.test"))
	start(t, h, "serve [::]:7100")
	var local []*lab.Socket
	for _, to := range []string{"127.0.0.1", own.Addr4.String(), "::1", own.Addr6.String()} {
		kind := "tcp4"
		if netip.MustParseAddr(to).Is6() {
			kind = "tcp6"
		}
		s, err := a.Socket(kind)
		check(t, err)
		check(t, s.Connect(netip.AddrPortFrom(netip.MustParseAddr(to), 7100)))
		local = append(local, s)
	}
	conns := each(t, a, private)
	h.Must("rule", "add", "default", "block")
	h.Must("rule", "add", "own.test", "block")
	wantRows(t, reset(t, h))
	h.Must("rule", "add", "private.test", "block")
	wantRows(t, reset(t, h), conns...)
	for _, s := range local {
		check(t, s.Send([]byte("ping")))
		if b, _, err := s.Recv(); err != nil || string(b) != "ping" {
			t.Errorf("%q, %v", b, err)
		}
	}
}

// Connections that are only being made, or half closed from either side, are connections.
func TestStates(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("ruled.test")
	check(t, via.Learn(a, "ruled.test"))
	silent := netip.MustParseAddrPort("198.51.100.200:7000")
	h.DNS.Set("silent.ruled.test", silent.Addr(), server.Addr6)
	check(t, via.Learn(a, "silent.ruled.test"))
	check(t, h.Internet.NL.RouteReplace(&netlink.Route{
		Dst: &net.IPNet{IP: silent.Addr().AsSlice(), Mask: net.CIDRMask(32, 32)}, Type: unix.RTN_BLACKHOLE,
	}))
	var peers []net.Conn
	check(t, h.Internet.Do(func() error {
		l, err := net.Listen("tcp", ":7200")
		if err == nil {
			t.Cleanup(func() { l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					if c.LocalAddr().(*net.TCPAddr).IP.To4() == nil {
						_ = c.(*net.TCPConn).CloseWrite()
					}
					peers = append(peers, c)
				}
			}()
		}
		return err
	}))
	start(t, h, "abandon "+netip.AddrPortFrom(server.Addr4, 7200).String()) // FIN-WAIT-1, to be left alone
	check(t, h.Client.Do(func() error {
		table, err := os.ReadFile("/proc/thread-self/net/tcp")
		if !strings.Contains(string(table), ":1C20 04 ") { // port 7200, state FIN-WAIT-1
			t.Errorf("%v: the abandoned connection is not there: %s", err, table)
		}
		return err
	}))
	finWait := start(t, h, "half "+netip.AddrPortFrom(server.Addr4, 7200).String()) // FIN-WAIT-2
	closeWait, err := a.Socket("tcp6")
	check(t, err)
	check(t, closeWait.Connect(netip.AddrPortFrom(server.Addr6, 7200)))
	if b, _, err := closeWait.Recv(); err != nil || len(b) > 0 {
		t.Fatalf("%q, %v; want the end of the stream", b, err)
	}
	synSent, err := a.Socket("tcp4")
	check(t, err)
	if err := synSent.Connect(silent); !errors.Is(err, lab.ErrTimeout) {
		t.Fatalf("%v, want a time-out", err)
	}
	h.Must("rule", "add", "ruled.test", "vpn0")
	if rows := reset(t, h); len(rows) != 3 {
		t.Errorf("%+v, want 3", rows)
	}
	finWait.hear("closed")
	for what, s := range map[string]*lab.Socket{"CLOSE-WAIT": closeWait, "SYN-SENT": synSent} {
		if err := s.Send([]byte("x")); !errors.Is(err, lab.Errno("ECONNABORTED")) {
			t.Errorf("%s: %v, want ECONNABORTED", what, err)
		}
	}
}

// Two datagram sockets with the same addresses: the kernel finds one of them, and the other after that.
func TestTwins(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("ruled.test")
	check(t, via.Learn(a, "ruled.test"))
	start(t, h, "twins "+addrPort(via.UDP4, server).String())
	h.Must("rule", "add", "ruled.test", "vpn0")
	if rows := reset(t, h); len(rows) != 2 {
		t.Errorf("%+v, want both", rows)
	}
	wantRows(t, reset(t, h))
}
