// Package reset tests that `reset` closes the connections that would now go elsewhere, and no others.
package reset

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role))
	}
	lab.Isolate()
	os.Exit(m.Run())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until polls a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Row is one row of `reset -o json`.
type Row struct {
	Protocol      string
	Local, Remote netip.AddrPort
	Names         []string
	Rule, Level   string
	Now, Then     Place
	UID           uint32
	User          string
	Processes     []struct {
		PID, UID uint32
		Comm     string
	}
}

// Place is where a connection is, or would be.
type Place struct {
	Verdict, Interface string
	Ifindex            int
	Mark               uint32
}

// reset runs `reset` and returns what it lists.
func reset(t testing.TB, h *harness.Host, args ...string) []Row {
	t.Helper()
	var data struct {
		Sockets []Row
		DryRun  bool `json:"dry_run"`
	}
	if r := h.JSON(&data, append([]string{"reset"}, args...)...); r.Code != 0 {
		t.Fatalf("reset %v: exit %d: %s", args, r.Code, r.Stderr)
	}
	if data.DryRun != slices.Contains(args, "--dry-run") {
		t.Errorf("reset %v says dry_run %v", args, data.DryRun)
	}
	return data.Sockets
}

// conn is a connection of an agent to an echo server.
type conn struct {
	t     testing.TB
	what  string
	s     *lab.Socket
	udp   bool
	local netip.AddrPort
	to    netip.AddrPort
}

// open connects and waits for the server's first words.
func open(t testing.TB, a *lab.Agent, k via.Kind, to lab.Host) *conn {
	t.Helper()
	return openPrepared(t, a, k, to, func(*lab.Socket) error { return nil })
}

func openPrepared(t testing.TB, a *lab.Agent, k via.Kind, to lab.Host, prepare func(*lab.Socket) error) *conn {
	t.Helper()
	kinds := map[via.Kind]string{via.TCP4: "tcp4", via.TCP6: "tcp6", via.TCPMapped: "tcp6", via.UDP4: "udp4", via.UDP6: "udp6", via.UDPMapped: "udp6"}
	s, err := a.Socket(kinds[k])
	check(t, err)
	t.Cleanup(func() { s.Close() })
	check(t, prepare(s))
	c := &conn{t: t, what: string(k) + " of process " + strconv.Itoa(a.PID), s: s, udp: strings.HasPrefix(kinds[k], "udp"),
		to: addrPort(k, to)}
	check(t, s.Connect(c.to))
	c.local, err = s.LocalAddr()
	check(t, err)
	if !c.udp {
		if _, _, err := s.Recv(); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
	}
	c.wantAlive()
	return c
}

func addrPort(k via.Kind, to lab.Host) netip.AddrPort {
	return netip.AddrPortFrom(k.Target(to), lab.EchoPort)
}

// wantAlive sends and receives.
func (c *conn) wantAlive() {
	c.t.Helper()
	err := c.s.Send([]byte("ping"))
	var b []byte
	if err == nil {
		b, _, err = c.s.Recv()
	}
	if err != nil || !c.udp && !bytes.Equal(b, []byte("ping")) {
		c.t.Errorf("%s, %v to %v: %v, received %q; want it to go on", c.what, c.local, c.to, err, b)
	}
}

func (c *conn) wantClosed() {
	c.t.Helper()
	if b, _, err := c.s.Recv(); !errors.Is(err, lab.Errno("ECONNABORTED")) {
		c.t.Errorf("%s, %v to %v: %v, received %q; want ECONNABORTED", c.what, c.local, c.to, err, b)
	}
}

// wantRows compares a list with the connections that it should be about.
func wantRows(t testing.TB, rows []Row, conns ...*conn) {
	t.Helper()
	left := slices.Clone(rows)
	for _, c := range conns {
		i := slices.IndexFunc(left, func(r Row) bool {
			return r.Local == c.local && r.Remote == c.to && (r.Protocol == "udp") == c.udp
		})
		if i < 0 {
			t.Errorf("%s, %v to %v is not listed", c.what, c.local, c.to)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, r := range left {
		t.Errorf("listed: %+v; want it left out", r)
	}
}
