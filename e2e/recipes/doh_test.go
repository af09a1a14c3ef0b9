package recipes

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// serveHTTPS answers DNS questions by HTTPS (RFC 8484), as the lab's name server does; whoever asks for / is told his address.
func serveHTTPS(s *story, at netip.Addr, config *tls.Config) {
	s.t.Helper()
	var ln net.Listener
	check(s.t, s.Internet.Do(func() (err error) {
		ln, err = net.Listen("tcp", netip.AddrPortFrom(at, 443).String())
		return err
	}))
	quiet := log.New(io.Discard, "", 0) // chromium opens connections and leaves them
	server := &http.Server{ErrorLog: quiet, TLSConfig: config, ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			client, _ := netip.ParseAddrPort(r.RemoteAddr)
			_, _ = fmt.Fprintln(w, client.Addr())
			return
		}
		question, err := io.ReadAll(io.LimitReader(r.Body, 4096))
		if r.Method == http.MethodGet {
			question, err = base64.RawURLEncoding.DecodeString(r.URL.Query().Get("dns"))
		}
		m := new(dns.Msg)
		if err != nil || m.Unpack(question) != nil {
			http.Error(w, "no question", http.StatusBadRequest)
			return
		}
		answer, err := s.DNS.Reply(m).Pack()
		if err != nil {
			http.Error(w, "no answer", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/dns-message")
		_, _ = w.Write(answer)
	})}
	go func() { _ = server.ServeTLS(ln, "", "") }()
	s.t.Cleanup(func() { _ = server.Close() })
}
