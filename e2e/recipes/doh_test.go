package recipes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
)

// chromium finds the program itself: the script around it takes flags from files of the machine.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"/usr/lib/chromium/chromium", "chromium", "chromium-browser"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	harness.Need(t, false, "chromium")
	return ""
}

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

// selfSigned makes a certificate for names, itself in PEM, and its key's hash in base64.
func selfSigned(t *testing.T, names ...string) (config *tls.Config, bundle, pin string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	check(t, err)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	check(t, err)
	hash := sha256.Sum256(public)
	config = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return config, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), base64.StdEncoding.EncodeToString(hash[:])
}
