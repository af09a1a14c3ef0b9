package browser

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/quic-go/quic-go/http3"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/harness/chromium"
	"github.com/domain-route/domain-route/internal/lab"
)

const (
	httpsPort = 443
	pictures  = 8 // in a page
	scriptRan = "the script ran"
)

// request is one request as a server saw it.
type request struct {
	name, protocol, path string
	client               netip.AddrPort
}

// handshake is the beginning of one connection, be it used or not.
type handshake struct {
	name, network string // network: "tcp" or "udp"
	client        netip.AddrPort
}

// site serves several names at one address of each family, by TCP and by QUIC.
type site struct {
	lab.Host
	keys []string // hashes of its certificates' keys, as chromium wants them

	mu         sync.Mutex // guards what follows
	requests   []request
	handshakes []handshake
	asked      map[string]chan struct{} // by name: closed when its page has been asked for
	held       []string                 // see holdFor
}

// newSite serves names until the test ends; each group of names has a certificate in common.
func newSite(t *testing.T, h *harness.Host, groups ...[]string) *site {
	t.Helper()
	s := &site{asked: map[string]chan struct{}{}}
	conf := &tls.Config{NextProtos: []string{"h2", "http/1.1"}, GetConfigForClient: s.hello}
	var names []string
	for _, group := range groups {
		cert, key := chromium.Certificate(t, group...)
		conf.Certificates = append(conf.Certificates, cert)
		s.keys = append(s.keys, key)
		names = append(names, group...)
	}
	for _, name := range names {
		s.asked[name] = make(chan struct{})
	}
	s.Host = h.MustHost(names...)
	for _, a := range []netip.Addr{s.Addr4, s.Addr6} {
		s.serve(t, h, netip.AddrPortFrom(a, httpsPort).String(), conf)
	}
	return s
}

func (s *site) serve(t *testing.T, h *harness.Host, at string, conf *tls.Config) {
	t.Helper()
	var tcp net.Listener
	var udp net.PacketConn
	err := h.Internet.Do(func() (err error) {
		if tcp, err = net.Listen("tcp", at); err == nil {
			udp, err = net.ListenPacket("udp", at)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	quic := &http3.Server{Handler: s, TLSConfig: http3.ConfigureTLSConfig(conf)}
	web := &http.Server{Handler: s, TLSConfig: conf, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = quic.Serve(udp) }()
	go func() { _ = web.ServeTLS(tcp, "", "") }()
	t.Cleanup(func() {
		web.Close()
		quic.Close()
		udp.Close()
	})
}

// hello logs a handshake; no configuration stands for the one there is.
func (s *site) hello(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	from := hello.Conn.RemoteAddr()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handshakes = append(s.handshakes, handshake{hello.ServerName, from.Network(), addrPort(from.String())})
	return nil, nil
}

func addrPort(text string) netip.AddrPort {
	a, _ := netip.ParseAddrPort(text)
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.log(r)
	w.Header().Set("Alt-Svc", fmt.Sprintf(`h3=":%d"; ma=3600`, httpsPort))
	kind, text := "text/html", page(r.URL.RawQuery)
	switch {
	case r.URL.Path == "/style.css":
		kind, text = "text/css", "p { color: green }"
	case r.URL.Path == "/script.js":
		kind, text = "text/javascript", `document.getElementById("out").textContent = "the script" + " ran"`
	case strings.HasSuffix(r.URL.Path, ".svg"):
		kind, text = "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>`
		s.hold(r)
	}
	w.Header().Set("Content-Type", kind)
	_, _ = io.WriteString(w, text)
}

func (s *site) log(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, request{r.Host, r.Proto, r.URL.Path, addrPort(r.RemoteAddr)})
	asked := s.asked[r.Host]
	if r.URL.Path != "/" || asked == nil {
		return
	}
	select {
	case <-asked:
	default:
		close(asked)
	}
}

// holdFor makes pictures wait until the pages of all these names have been asked for.
func (s *site) holdFor(names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = names
}

// hold keeps a picture back as long as it has to wait.
func (s *site) hold(r *http.Request) {
	s.mu.Lock()
	held := s.held
	s.mu.Unlock()
	for _, name := range held {
		select {
		case <-s.asked[name]:
		case <-r.Context().Done():
		}
	}
}

// await waits until a name's page has been asked for, by this browser.
func (s *site) await(t *testing.T, name string, b *browser) {
	t.Helper()
	select {
	case <-s.asked[name]:
	case <-b.ended:
		b.wait(t)
		t.Fatalf("nobody asked for %s", name)
	}
}

// seen lists what came.
func (s *site) seen() ([]request, []handshake) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests, s.handshakes
}

// page has parts that a browser fetches before it calls a page loaded: a style, a script, pictures of its own and, if
// another name is given, pictures from there.
func page(other string) string {
	var b strings.Builder
	b.WriteString("<!doctype html><title>page</title><link rel=stylesheet href=/style.css>")
	for i := range pictures {
		fmt.Fprintf(&b, "<img src=/%d.svg>", i)
		if other != "" {
			fmt.Fprintf(&b, "<img src=https://%s/%d.svg>", other, i)
		}
	}
	b.WriteString("<p id=out></p><script src=/script.js></script>")
	return b.String()
}
