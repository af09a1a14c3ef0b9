package recipes

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness/chromium"
	"github.com/domain-route/domain-route/e2e/harness/page"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestBrowsers(t *testing.T) {
	s := tell(t, "browsers.md", "example.com", "dns.example.net", "www.example.com")
	check(t, s.AddUplink("wg0", lab.UplinkOptions{}))
	s.uplink("wg0")
	pin := s.serveHTTPS("dns.example.net", "www.example.com")
	// Readers are users: what root connects to, and nobody asked for, is learnt for that process alone.
	s.Tool(t, "curl", fmt.Sprintf(`exec setpriv --reuid=%d --regid=%[1]d --clear-groups /usr/bin/curl "$@"`, alice))
	for _, dir := range []string{"/etc/firefox", "/etc/chromium"} {
		page.Hide(t, dir)
	}
	was := s.network()
	s.shell("domain-route start && domain-route rule add example.com wg0")

	out := s.run("What it looks like")
	s.wantSeen(out, "eth0")
	s.wantSeen(s.chromium(pin), "eth0")

	s.run("Turn it off")
	s.policies()
	s.wantSeen(s.chromium(pin), "wg0")
	s.wantSeen(s.run("See that it works"), "wg0")

	out = s.run("What the audit learns")
	s.wantSeen(out, "eth0")
	s.wantSeen(out, "wg0")
	s.wantText(out, "www.example.com")

	s.run("Programs that cannot be told")
	s.goes("example.com", "wg0")

	s.run("Undo")
	for _, file := range policyFiles {
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", file, err)
		}
	}
	s.shell("domain-route stop")
	s.asBefore(was, "example.com")
}

var policyFiles = []string{"/etc/firefox/policies/policies.json", "/etc/chromium/policies/managed/no-doh.json"}

// policies checks that both files are JSON. What Chromium makes of its one is seen; Firefox is not among the tests' programs.
func (s *story) policies() {
	s.t.Helper()
	for _, file := range policyFiles {
		if !json.Valid([]byte(s.read(file))) {
			s.t.Errorf("%s is not JSON", file)
		}
	}
}

// chromium loads example.com, by a user whose own settings say that names are asked for by HTTPS alone. It returns the page.
func (s *story) chromium(pin string) string {
	s.t.Helper()
	home, err := os.MkdirTemp(s.Lab.Dir, "")
	check(s.t, err)
	check(s.t, os.WriteFile(filepath.Join(home, "Local State"),
		[]byte(`{"dns_over_https": {"mode": "secure", "templates": "https://dns.example.net/dns-query"}}`), 0o644))
	cmd := chromium.Command(s.t.Context(), s.t, s.Host, alice, home, []string{pin}, "--disable-features=HttpsUpgrades", "http://example.com/")
	out, err := page.Output(s.t, cmd)
	if err != nil {
		s.t.Fatalf("chromium: %v\n%s", err, out)
	}
	// An address within the page's text.
	return strings.Join(strings.FieldsFunc(out, func(r rune) bool { return strings.ContainsRune("<>\n ", r) }), "\n")
}

// serveHTTPS serves hosts by HTTPS, and DNS by it, with a certificate that curl trusts; it returns its key's hash for Chromium.
func (s *story) serveHTTPS(names ...string) (pin string) {
	s.t.Helper()
	cert, pin := chromium.Certificate(s.t, names...)
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	ca := filepath.Join(s.Lab.Dir, "ca.pem")
	check(s.t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), 0o644))
	s.t.Setenv("CURL_CA_BUNDLE", ca)
	for _, name := range names {
		for _, a := range []netip.Addr{s.hosts[name].Addr4, s.hosts[name].Addr6} {
			serveHTTPS(s, a, config)
		}
	}
	return pin
}
