package threats

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// localServer answers every question by UDP and TCP at an address of the client's loopback, as anyone there can who got
// hold of port 53: by an address of the liar's choice.
func localServer(t *testing.T, h *harness.Host, at netip.Addr, says netip.Addr) netip.AddrPort {
	t.Helper()
	where := port(at, lab.DNSPort)
	var udp net.PacketConn
	var tcp net.Listener
	check(t, h.Client.Do(func() (err error) {
		if udp, err = net.ListenPacket("udp", where.String()); err != nil {
			return err
		}
		tcp, err = net.Listen("tcp", where.String())
		return err
	}))
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg).SetReply(q)
		r.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: says.AsSlice(),
		}}
		_ = w.WriteMsg(r) // a client that is gone learns nothing, which the test would see
	})
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: answer}, {Listener: tcp, Handler: answer}} {
		ended := make(chan struct{})
		go func() {
			_ = s.ActivateAndServe() // ends with the error of a socket closed under it
			close(ended)
		}()
		t.Cleanup(func() {
			_ = s.Shutdown() // it may not have begun
			_, _ = udp.Close(), tcp.Close()
			<-ended
		})
	}
	return where
}

// T5 by loopback: there packets arrive without the socket that sent them, so that an observer `tc` beside `sockets` would
// take what any user asks a server of her own for what the host asks. Defence: observers() in internal/cli/start.go and in
// internal/dataplane/observers.go leave loopback to `sockets`.
func TestLoopbackIsLeftToSockets(t *testing.T) {
	const uid, other = 1001, 1002
	h := harness.Started(t, "--observe", "sockets", "--observe", "tc")
	h.Must("rule", "add", "bank.example", "vpn0")
	asks := func(at string, proto string) {
		t.Helper()
		pulled := h.MustHost()
		server := localServer(t, h, netip.MustParseAddr(at), pulled.Addr4)
		liar := h.MustAgent(lab.AgentOptions{UID: uid})
		resolve(t, liar, lab.Query{Name: "bank.example", Server: server, Proto: proto})
		learnt := 0
		for _, l := range h.Learnt() {
			if l.Address != pulled.Addr4 {
				continue
			}
			learnt++
			if l.Level == "host" || l.UID != uid {
				t.Errorf("by %s at %s: uid %d taught the level %s of uid %d", proto, at, uid, l.Level, l.UID)
			}
		}
		if learnt != 2 {
			t.Errorf("by %s at %s: %d rows learnt, want the liar's process and user", proto, at, learnt)
		}
		expectTCP(t, h, liar, pulled.Addr4, "vpn0", "the liar's own")
		expectTCP(t, h, h.MustAgent(lab.AgentOptions{UID: other}), pulled.Addr4, "wan0", "another user's")
		expectTCP(t, h, h.MustAgent(lab.AgentOptions{}), pulled.Addr4, "wan0", "root's")
	}
	asks("127.0.0.1", "udp")
	asks("127.0.0.2", "tcp")
	asks("::1", "udp")
	h.Must("start", "--cgroup", h.Cgroup) // an update finds the interfaces by itself
	asks("127.0.0.3", "udp")
}

// To name loopback beside `sockets` is refused, and nothing is started.
func TestLoopbackByName(t *testing.T) {
	h := harness.New(t, lab.Options{})
	for _, observe := range []string{"tc:lo", "tc:wan0,lo"} {
		r := h.Run("start", "--cgroup", h.Cgroup, "--observe", "sockets", "--observe", observe)
		line, _, more := strings.Cut(r.Stderr, "\n")
		if r.Code != 2 || r.Stdout != "" || !strings.HasPrefix(line, "domain-route: ") || !strings.Contains(line, "tc:lo") ||
			!strings.Contains(line, "sockets") || !more {
			t.Errorf("%s: exit %d, stdout %q, stderr %q; want exit 2 and a line that tells of tc:lo and sockets",
				observe, r.Code, r.Stdout, r.Stderr)
		}
		if r := h.Run("status"); r.Code != 1 {
			t.Errorf("%s: status exits %d after a refused start\n%s", observe, r.Code, r.Stdout)
		}
	}
}
