package reset

import (
	"io"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/guest"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// What no rule is about stays, however wide the rule and whether or not its name is ruled, too.
func TestLeftAlone(t *testing.T) {
	h := harness.Started(t)
	g := guest.New(t, h.Lab, "wan0")
	a := h.MustAgent(lab.AgentOptions{})
	elsewhere := h.MustAgent(lab.AgentOptions{NS: g.NS})
	outside := h.MustAgent(lab.AgentOptions{OutsideCgroup: true})
	server := h.MustHost("alone.test")
	check(t, via.Learn(a, "alone.test"))
	var stay, control []*conn
	for _, k := range via.Kinds {
		stay = append(stay,
			openPrepared(t, a, k, server, func(s *lab.Socket) error { return s.BindDevice("wan0") }),
			openPrepared(t, a, k, server, func(s *lab.Socket) error { return s.SetMark(7) }),
			open(t, elsewhere, k, server),
			open(t, outside, k, server))
		control = append(control, open(t, a, k, server))
	}
	unconnected, err := a.Socket("udp4")
	check(t, err)
	_, err = unconnected.SendTo([]byte("hello"), netip.AddrPortFrom(server.Addr4, lab.EchoPort))
	check(t, err)
	h.Must("rule", "add", "default", "vpn0")
	wantRows(t, reset(t, h, "--dry-run"), control...)
	h.Must("rule", "add", "alone.test", "block")
	wantRows(t, reset(t, h), control...)
	for _, c := range stay {
		c.wantAlive()
	}
	for _, c := range control {
		c.wantClosed()
	}
	if _, _, err := unconnected.Recv(); err != nil {
		t.Errorf("unconnected: %v", err)
	}
}

// Connections that others made to us were never steered.
func TestAcceptedStay(t *testing.T) {
	for name, c := range map[string]struct {
		listen string
		port   uint16
		closed bool // the server stops listening
	}{
		"all addresses":     {"[::]:8022", 8022, false},
		"IPv4":              {"0.0.0.0:8022", 8022, false},
		"this address":      {"", 8022, false},
		"ended":             {"[::]:8022", 8022, true},
		"of the high ports": {"[::]:40022", 40022, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := harness.Started(t)
			local := netip.AddrPortFrom(h.Uplink("wan0").Addr4, c.port)
			if c.listen == "" {
				c.listen = local.String()
			}
			p := start(t, h, "serve "+c.listen)
			var peer net.Conn
			check(t, h.Internet.Do(func() (err error) {
				peer, err = net.Dial("tcp", local.String())
				return err
			}))
			defer peer.Close()
			wantEcho(t, peer) // accepted
			if c.closed {
				p.say("close")
				p.hear("closed")
			}
			a := h.MustAgent(lab.AgentOptions{})
			control := open(t, a, via.TCP4, h.MustHost())
			for _, target := range []string{"vpn0", "block"} {
				h.Must("rule", "add", "default", target)
				if target == "vpn0" {
					wantRows(t, reset(t, h), control)
				} else {
					wantRows(t, reset(t, h))
				}
			}
			wantEcho(t, peer)
		})
	}
}

func wantEcho(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Write([]byte("ping"))
	if err == nil {
		_, err = io.ReadFull(c, make([]byte, 4))
	}
	if err != nil {
		t.Errorf("the accepted connection: %v", err)
	}
}

// A listener at another address does not make a connection one that was accepted.
func TestPortOfAnotherListener(t *testing.T) {
	h := harness.Started(t)
	start(t, h, "serve 127.0.0.1:40023")
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("port.test")
	check(t, via.Learn(a, "port.test"))
	wan := netip.AddrPortFrom(h.Uplink("wan0").Addr4, 40023)
	c := openPrepared(t, a, via.TCP4, server, func(s *lab.Socket) error { return s.Bind(wan) })
	h.Must("rule", "add", "port.test", "block")
	wantRows(t, reset(t, h), c)
	c.wantClosed()
}

// A socket of several processes is closed only if each of them would connect elsewhere.
func TestSeveralHolders(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{UID: 1001})
	server := h.MustHost("held.test")
	check(t, via.Learn(a, "held.test"))
	c := open(t, a, via.TCP4, server)
	pidfd, err := unix.PidfdOpen(a.PID, 0)
	check(t, err)
	defer unix.Close(pidfd)
	copied := -1
	for fd := 3; fd < 20 && copied < 0; fd++ {
		if got, err := unix.PidfdGetfd(pidfd, fd, 0); err == nil {
			if sa, err := unix.Getpeername(got); err == nil {
				if in4, ok := sa.(*unix.SockaddrInet4); ok && in4.Port == lab.EchoPort {
					copied = got
					continue
				}
			}
			unix.Close(got)
		}
	}
	if copied < 0 {
		t.Fatal("the agent's socket was not found")
	}
	h.Must("rule", "add", "held.test", "vpn0")
	wantRows(t, reset(t, h)) // this process is root, and never heard of the name
	c.wantAlive()
	check(t, unix.Close(copied))
	wantRows(t, reset(t, h), c)
	c.wantClosed()
}

// In another namespace it could only close sockets there.
func TestNotAtHome(t *testing.T) {
	h := harness.Started(t)
	for _, args := range [][]string{{"reset"}, {"rule", "add", "x.test", "block", "--reset"}, {"rule", "del", "x.test", "--reset"}} {
		cmd := h.CommandIn(t.Context(), h.Internet, harness.Binary(t), args...)
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 2 || len(out) == 0 {
			t.Errorf("%v: exit %d: %s", args, cmd.ProcessState.ExitCode(), out)
		}
	}
	if out := h.Must("rule", "list"); out != "# no rules\n" {
		t.Errorf("the rule was added: %s", out)
	}
}
