package audit

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// sends has an agent connect and send the parts one by one, and tells by which uplink its server saw it come.
func sends(t *testing.T, h *harness.Host, a *lab.Agent, to netip.AddrPort, parts ...[]byte) string {
	t.Helper()
	kind := "tcp4"
	if to.Addr().Is6() {
		kind = "tcp6"
	}
	s, err := a.Socket(kind)
	check(t, err)
	defer s.Close()
	if err := s.Connect(to); err != nil {
		return err.Error()
	}
	from, err := s.LocalAddr()
	check(t, err)
	for _, p := range parts {
		check(t, s.Send(p))
	}
	return uplinkOf(h, from.Addr().Unmap())
}

func expect(t *testing.T, why, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: went by %q, want %q", why, got, want)
	}
}

func helloFor(t *testing.T, name string) []byte {
	t.Helper()
	return tlsHello(t, &tls.Config{ServerName: name})
}

// audited is a host with the audit on and a rule, and a server.
func audited(t *testing.T, rule ...string) (*harness.Host, netip.AddrPort) {
	t.Helper()
	h := harness.Started(t, "--audit")
	if len(rule) == 0 {
		rule = []string{ruled, "vpn0"}
	}
	h.Must(append([]string{"rule", "add"}, rule...)...)
	return h, netip.AddrPortFrom(newSite(t, h).Addr4, tlsPort)
}

// TestWhomItMoves: what a program claims is learnt for itself and its own user. No other user's connection, nor root's, goes
// elsewhere for it, and a system service moves only itself: what it sends may be what others gave it.
func TestWhomItMoves(t *testing.T) {
	for _, c := range []struct {
		uid          uint32
		itself, same string // uplinks of its next connection, and of another process of its user
	}{
		{alice, "vpn0", "vpn0"},
		{proxy, "vpn0", "wan0"},
		{0, "vpn0", "wan0"},
	} {
		t.Run(fmt.Sprint(c.uid), func(t *testing.T) {
			h, to := audited(t)
			hello := helloFor(t, "forged."+ruled)
			v := look(t)
			a := h.MustAgent(lab.AgentOptions{UID: c.uid})
			expect(t, "first", sends(t, h, a, to, hello), "wan0")
			v.expect(t, "first", "hellos", "leaked")
			expect(t, "itself", sends(t, h, a, to), c.itself)
			expect(t, "another process", sends(t, h, h.MustAgent(lab.AgentOptions{UID: c.uid}), to), c.same)
			for _, other := range []uint32{0, proxy, 33, bob, 65534} {
				if other != c.uid {
					expect(t, "another user", sends(t, h, h.MustAgent(lab.AgentOptions{UID: other}), to), "wan0")
				}
			}
			for _, l := range h.Learnt() {
				if l.Level == "host" {
					t.Errorf("learnt for the host: %+v", l)
				}
			}
		})
	}
}

// TestOff: without the audit nothing of it is counted, listed or learnt; it is switched on and off on a started system.
func TestOff(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", ruled, "vpn0")
	s := newSite(t, h)
	to, hello := netip.AddrPortFrom(s.Addr4, tlsPort), helloFor(t, ruled)
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	says := func(want bool) {
		t.Helper()
		var st struct{ Audit bool }
		h.JSON(&st, "status")
		if st.Audit != want {
			t.Errorf("status says %v, want %v", st.Audit, want)
		}
	}
	nothing := func(why string) {
		t.Helper()
		v := look(t)
		expect(t, why, sends(t, h, a, to, hello), "wan0")
		v.expect(t, why)
		if got, names := leaks(h), h.Learnt(); len(got)+len(names) > 0 {
			t.Errorf("%s: listed %v, learnt %v", why, got, names)
		}
		says(false)
	}
	nothing("never on")
	h.Must("start", "--audit")
	says(true)
	h.Must("start")
	says(true)
	h.Must("start", "--audit=no")
	nothing("off again")
	h.Must("start", "--audit=yes")
	v := look(t)
	sends(t, h, a, to, hello)
	v.expect(t, "on", "hellos", "leaked")
	h.Must("start", "--audit=no")
	expect(t, "what was learnt stays", sends(t, h, a, to), "vpn0")
	if got := leaks(h); len(got) != 1 {
		t.Errorf("listed %v, want one", got)
	}
	h.Must("flush")
	if got := leaks(h); len(got) != 0 {
		t.Errorf("after a flush there are %v", got)
	}
	if r := h.Run("start", "--audit=perhaps"); r.Code != 2 {
		t.Errorf("--audit=perhaps: exit %d, %s", r.Code, r.Stderr)
	}
}

// TestWhatIsRead: of a connection only its first packet with data, if that is a ClientHello, on whatever port.
func TestWhatIsRead(t *testing.T) {
	h, to := audited(t)
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	hello, other := helloFor(t, "a."+ruled), helloFor(t, plain)
	fresh := func(port uint16) netip.AddrPort {
		return netip.AddrPortFrom(newSite(t, h).Addr4, port)
	}
	for _, c := range []struct {
		why   string
		to    netip.AddrPort
		parts [][]byte
		want  []string
	}{
		{"nothing sent", to, nil, nil},
		{"no rule", to, [][]byte{other}, []string{"hellos", "no_rule"}},
		{"no TLS", to, [][]byte{[]byte("GET / HTTP/1.1\r\n\r\n")}, []string{"no_tls"}},
		{"no TLS, another port", netip.AddrPortFrom(to.Addr(), lab.EchoPort), [][]byte{[]byte("GET / HTTP/1.1\r\n\r\n")}, nil},
		{"one byte", to, [][]byte{hello[:1]}, []string{"no_tls"}},
		{"split before the name", to, [][]byte{hello[:50], hello[50:]}, []string{"hellos", "cut"}},
		{"behind other data", to, [][]byte{[]byte("x"), hello}, []string{"no_tls"}},
		{"twice", fresh(tlsPort), [][]byte{hello, hello}, []string{"hellos", "leaked"}},
		{"another port", fresh(otherPort), [][]byte{hello}, []string{"hellos", "leaked"}},
		{"split behind the name", fresh(tlsPort), [][]byte{hello[:len(hello)-20], hello[len(hello)-20:]}, []string{"hellos", "leaked"}},
	} {
		v := look(t)
		expect(t, c.why, sends(t, h, a, c.to, c.parts...), "wan0")
		v.expect(t, c.why, c.want...)
	}
}

// TestLeftAlone: connections that a rule would not have steered either are no leaks.
func TestLeftAlone(t *testing.T) {
	h, to := audited(t)
	hello := helloFor(t, ruled)
	a := h.MustAgent(lab.AgentOptions{})
	v := look(t)
	for why, prepare := range map[string]func(*lab.Socket) error{
		"bound":  func(s *lab.Socket) error { return s.BindDevice("wan0") },
		"marked": func(s *lab.Socket) error { return s.SetMark(7) },
	} {
		s, err := a.Socket("tcp4")
		check(t, err)
		check(t, prepare(s))
		check(t, s.Connect(to))
		check(t, s.Send(hello))
		check(t, s.Close())
		v.expect(t, why)
	}
	foreign := h.MustAgent(lab.AgentOptions{NS: h.Internet})
	sends(t, h, foreign, to, hello)
	v.expect(t, "another namespace", "foreign")
	own := h.Uplink("wan0").Addr4
	check(t, h.Client.Do(func() error {
		l, err := net.Listen("tcp4", fmt.Sprintf(":%d", tlsPort))
		if err == nil {
			t.Cleanup(func() { l.Close() })
		}
		return err
	}))
	sends(t, h, a, netip.AddrPortFrom(own, tlsPort), hello)
	v.expect(t, "an own address", "hellos", "not_due")
	sends(t, h, a, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), tlsPort), hello)
	v.expect(t, "loopback", "local")
	if got := leaks(h); len(got) > 0 {
		t.Errorf("listed: %v", got)
	}
}

// TestTargets: whatever a rule would have done with the connection, but for what is `direct` anyway.
func TestTargets(t *testing.T) {
	h := harness.Started(t, "--audit")
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	for i, c := range []struct {
		target      string
		first, next []string // counters
		by          string   // what becomes of the next connection
	}{
		{"vpn0", []string{"hellos", "leaked"}, nil, "vpn0"},
		{"block", []string{"hellos", "leaked"}, nil, "EHOSTUNREACH"},
		{"gone0", []string{"hellos", "leaked"}, nil, "ENODEV"},
		{"mark:7", []string{"hellos", "leaked"}, nil, "wan0"},
		{"direct", []string{"hellos", "not_due"}, []string{"hellos", "not_due"}, "wan0"},
		// That the interface is away is known once a connection has looked for it.
		{"gone0,direct", []string{"hellos", "leaked"}, []string{"hellos", "not_due"}, "wan0"},
	} {
		t.Run(c.target, func(t *testing.T) {
			name := fmt.Sprintf("rule%d.example", i)
			h.Must("rule", "add", name, c.target)
			to := netip.AddrPortFrom(newSite(t, h).Addr4, tlsPort)
			hello, v := helloFor(t, name), look(t)
			expect(t, "first", sends(t, h, a, to, hello), "wan0")
			v.expect(t, "first", c.first...)
			expect(t, "next", sends(t, h, a, to, hello), c.by)
			v.expect(t, "next", c.next...)
		})
	}
}

// TestConditions: a rule counts for whom it is, be it by user or by cgroup.
func TestConditions(t *testing.T) {
	h := harness.Started(t, "--audit")
	to, hello := netip.AddrPortFrom(newSite(t, h).Addr4, tlsPort), helloFor(t, ruled)
	dir := filepath.Join(h.Cgroup, "box")
	check(t, os.Mkdir(dir, 0o755))
	box, err := os.Open(dir)
	check(t, err)
	defer box.Close()
	root, err := lab.CgroupRoot()
	check(t, err)
	path := strings.TrimPrefix(dir, root)
	v := look(t)
	try := func(why string, o lab.AgentOptions, counters ...string) {
		t.Helper()
		a := h.MustAgent(o)
		sends(t, h, a, to, hello)
		check(t, a.Close())
		v.expect(t, why, counters...)
	}
	h.Must("rule", "add", ruled, "vpn0", fmt.Sprintf("user=%d", alice))
	try("not his", lab.AgentOptions{UID: bob}, "hellos", "not_due")
	try("his", lab.AgentOptions{UID: alice}, "hellos", "leaked")
	h.Must("rule", "del", ruled, fmt.Sprintf("user=%d", alice))
	h.Must("rule", "add", ruled, "vpn0", "cgroup="+path)
	try("beside the cgroup", lab.AgentOptions{UID: bob}, "hellos", "not_due")
	try("in the cgroup", lab.AgentOptions{UID: bob, Cgroup: box}, "hellos", "leaked")
	if got := leaks(h); len(got) != 2 || got[0].UID != bob || got[1].UID != alice {
		t.Errorf("listed: %+v", got)
	}
}
