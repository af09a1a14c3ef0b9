package clients

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/clients/kit"
	"github.com/domain-route/domain-route/internal/lab"
)

const (
	slowPort  = 7100
	tcpClosed = 7   // TCP_CLOSE of the kernel's states
	ownTable  = 100 // a routing table of the test
)

// TestFarewell: a server that closes later than it acknowledges gets its last answer from the client's TIME_WAIT
// entry. IPv4 keeps to the interface. IPv6 need not, but nothing else than that one bare ACK may go another way; and
// not even that where tcp_fin_timeout is above TIME_WAIT's 60 s, so that the socket itself stays, or where the route
// depends on the source.
func TestFarewell(t *testing.T) {
	for _, c := range []struct {
		name     string
		set      func(*testing.T, *kit.Host)
		mayLeave bool
	}{
		{"defaults", func(*testing.T, *kit.Host) {}, true},
		{"fin-timeout", setFinTimeout, false},
		{"source-rule", addSourceRule, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := kit.Start(t)
			c.set(t, h)
			closed := serveSlowly(t, h)
			agent := h.MustAgent(lab.AgentOptions{UID: kit.User})
			for _, r := range kit.MakeRounds(h, 3, "farewell") {
				for i, server := range r.Addrs(kit.Any) {
					if _, err := agent.Resolve(lab.Query{Name: r.Name, Type: []uint16{1, 28}[i]}); err != nil {
						t.Fatal(err)
					}
					if _, err := agent.DialTCP(netip.AddrPortFrom(server, slowPort)); err != nil {
						t.Fatal(err)
					}
					if err := <-closed; err != nil {
						t.Fatal(err)
					}
					if r.Ruled {
						checkFarewell(t, h, server, c.mayLeave && server.Is6())
					}
				}
			}
		})
	}
}

func checkFarewell(t *testing.T, h *kit.Host, server netip.Addr, mayLeave bool) {
	t.Helper()
	n, err := h.UplinkPackets("wan0", server)
	if err != nil {
		t.Fatal(err)
	}
	if farewells := h.Farewells(t, server); n != farewells || n > 0 && !mayLeave {
		t.Errorf("%v: %d packets by wan0, of which %d farewells", server, n, farewells)
	}
}

func setFinTimeout(t *testing.T, h *kit.Host) {
	t.Helper()
	err := h.Client.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/tcp_fin_timeout", []byte("61"), 0)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func addSourceRule(t *testing.T, h *kit.Host) {
	t.Helper()
	up, nl := h.Uplink(kit.Interface), h.Client.NL
	rule := netlink.NewRule()
	rule.Family, rule.Table, rule.Priority = netlink.FAMILY_V6, ownTable, 1000
	rule.Src = &net.IPNet{IP: up.Addr6.AsSlice(), Mask: net.CIDRMask(128, 128)}
	all := &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
	route := &netlink.Route{LinkIndex: up.Index, Dst: all, Gw: up.Gateway6.AsSlice(), Table: ownTable}
	if err := errors.Join(nl.RouteAdd(route), nl.RuleAdd(rule)); err != nil {
		t.Fatal(err)
	}
}

// serveSlowly has the internet serve connections that it ends only when the client has heard its acknowledgement of
// the client's end. It tells how each went.
func serveSlowly(t *testing.T, h *kit.Host) <-chan error {
	t.Helper()
	var ln net.Listener
	err := h.Internet.Do(func() (err error) {
		ln, err = net.Listen("tcp", fmt.Sprintf(":%d", slowPort))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	closed := make(chan error, 1)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			closed <- closeSlowly(h, c.(*net.TCPConn))
		}
	}()
	return closed
}

func closeSlowly(h *kit.Host, c *net.TCPConn) error {
	defer c.Close()
	if _, err := fmt.Fprintln(c, "bye"); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		return err
	}
	client := c.RemoteAddr().(*net.TCPAddr)
	err := await("the client to be in FIN_WAIT2", func() (bool, error) { return inFinWait2(h, client.Port) })
	if err != nil {
		return err
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return await("the server's end to be closed", func() (closed bool, err error) {
		var info *unix.TCPInfo
		look := func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }
		if err := errors.Join(raw.Control(look), err); err != nil {
			return false, err
		}
		return info.State == tcpClosed, nil
	})
}

// inFinWait2 looks for the client's end, be it a socket yet or an entry only, by its port.
func inFinWait2(h *kit.Host, port int) (found bool, err error) {
	line := regexp.MustCompile(fmt.Sprintf(`:%04X [0-9A-F]+:%04X 05 `, port, slowPort))
	err = h.Client.Do(func() error {
		for _, file := range []string{"tcp", "tcp6"} {
			text, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil {
				return err
			}
			found = found || line.Match(text)
		}
		return nil
	})
	return found, err
}

func await(what string, cond func() (bool, error)) error {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if ok, err := cond(); ok || err != nil {
			return err
		}
	}
	return fmt.Errorf("wait for %s: not within 5 s", what)
}
