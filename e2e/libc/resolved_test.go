package libc

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// resolved starts systemd-resolved and has programs ask it by nss-resolve, over its socket and not by DNS.
func resolved(t *testing.T, h *harness.Host) (*lab.Resolver, program) {
	t.Helper()
	r, err := h.StartResolved()
	harness.Need(t, !errors.Is(err, exec.ErrNotFound), fmt.Sprint(err))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Stop() })
	dirs, err := lab.ResolvedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.SetNSSwitch("resolve"); err != nil {
		t.Fatal(err)
	}
	p := glibc(t, h)
	if len(dirs) > 0 {
		p.env = []string{"LD_LIBRARY_PATH=" + strings.Join(dirs, ":")}
	}
	return r, p
}

// TestNSSResolve: the program itself sends no DNS. Without `sockets`, which sees what systemd-resolved asks, what steers
// can only be the C library's word.
func TestNSSResolve(t *testing.T) {
	h := harness.Started(t, "--observe", "libc")
	r, p := resolved(t, h)
	ruled, plain := h.MustHost("www.ruled.example"), h.MustHost("plain.example")
	h.Must("rule", "add", "ruled.example", "vpn0")
	for _, f := range functions {
		wantBy(t, h, p.visit(t, f, "www.ruled.example"), "vpn0", families(f, ruled)...)
		wantBy(t, h, p.visit(t, f, "plain.example"), "wan0", families(f, plain)...)
	}
	nothingBy(t, h, "wan0", ruled.Addr4, ruled.Addr6)
	if q := h.DNS.Questions(); len(q) == 0 || r.PID == 0 {
		t.Error("systemd-resolved was not asked")
	}
	if n := h.Counters()["questions"]; n > 0 {
		t.Errorf("%d questions were seen on a wire", n)
	}
}

// TestNSSResolveBeside: with both observers, a process goes by its own evidence and not by what systemd-resolved asked
// for others.
func TestNSSResolveBeside(t *testing.T) {
	h := harness.Started(t)
	_, p := resolved(t, h)
	shared := h.MustHost("ruled.example", "plain.example")
	h.Must("rule", "add", "ruled.example", "vpn0")
	for range 2 {
		wantBy(t, h, p.visit(t, "getaddrinfo", "ruled.example"), "vpn0", shared.Addr4, shared.Addr6)
		wantBy(t, h, p.visit(t, "getaddrinfo", "plain.example"), "wan0", shared.Addr4, shared.Addr6)
	}
}

// TestOverTLS: systemd-resolved asks over TLS only, so that no question is to be read anywhere.
func TestOverTLS(t *testing.T) {
	h := harness.Started(t)
	first, _ := resolved(t, h)
	first.Stop()
	server := startTLS(t, h)
	ruled, plain := h.MustHost(), h.MustHost()
	server.names.Store(&map[string]lab.Host{"www.ruled.example.": ruled, "plain.example.": plain})
	conf := fmt.Sprintf("[Resolve]\nDNS=\nDNS=%v#%s\nDNSOverTLS=yes\n", server.addr, tlsName)
	if err := os.WriteFile(filepath.Join(h.Dir, "run/systemd/resolved.conf.d/tls.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	h.Must("rule", "add", "ruled.example", "vpn0")
	h.DNS.ResetQuestions()
	h.ResetPackets()
	_, p := resolved(t, h)
	before := h.Counters()["questions"]
	wantBy(t, h, p.visit(t, "getaddrinfo", "www.ruled.example"), "vpn0", ruled.Addr4, ruled.Addr6)
	wantBy(t, h, p.visit(t, "getaddrinfo", "plain.example"), "wan0", plain.Addr4, plain.Addr6)
	nothingBy(t, h, "wan0", ruled.Addr4, ruled.Addr6)
	silent(t, h)
	if now := h.Counters()["questions"]; now != before || server.asked.Load() == 0 {
		t.Errorf("%d questions were seen on a wire, %d asked over TLS", now-before, server.asked.Load())
	}
	h.Must("start", "--observe", "sockets")
	wantBy(t, h, p.visit(t, "getaddrinfo", "www.ruled.example"), "wan0", ruled.Addr4, ruled.Addr6)
}

// tlsServer is a name server that speaks TLS only.
type tlsServer struct {
	addr  netip.Addr
	names atomic.Pointer[map[string]lab.Host]
	asked atomic.Int32
}

func startTLS(t *testing.T, h *harness.Host) *tlsServer {
	t.Helper()
	s := &tlsServer{addr: h.MustHost().Addr4}
	config, authority := certificate(t, s.addr)
	if err := h.SetFile("/etc/ssl/certs/ca-certificates.crt", authority); err != nil {
		t.Fatal(err)
	}
	var listener net.Listener
	err := h.Internet.Do(func() (err error) {
		listener, err = net.Listen("tcp4", netip.AddrPortFrom(s.addr, 853).String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: tls.NewListener(listener, config), Net: "tcp-tls", Handler: s}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })
	return s
}

// ServeDNS answers with the server's addresses; other names do not exist.
func (s *tlsServer) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	host, ok := (*s.names.Load())[strings.ToLower(r.Question[0].Name)]
	header := dns.RR_Header{Name: r.Question[0].Name, Rrtype: r.Question[0].Qtype, Class: dns.ClassINET, Ttl: 60}
	switch {
	case !ok:
		m.Rcode = dns.RcodeNameError
	case header.Rrtype == dns.TypeA:
		m.Answer = []dns.RR{&dns.A{Hdr: header, A: host.Addr4.AsSlice()}}
	case header.Rrtype == dns.TypeAAAA:
		m.Answer = []dns.RR{&dns.AAAA{Hdr: header, AAAA: host.Addr6.AsSlice()}}
	}
	if ok {
		s.asked.Add(1)
	}
	_ = w.WriteMsg(m)
}
