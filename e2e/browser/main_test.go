// Package browser tests domain-route with a real browser that loads pages of names which share one address.
package browser

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

const (
	user     = 4242        // an ordinary user, to whom all browsers belong
	patience = time.Minute // for one run of a browser, which takes a second; starting it takes most of that

	ruled = "ruled.example" // has a rule
	plain = "plain.example" // has none
)

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}

// started is a host with rules for ruled and for ruled.site.example, whose last packets all leave by where their
// connection did: see the farewells of e2e/clients.
func started(t *testing.T) *harness.Host {
	t.Helper()
	h := harness.Started(t)
	h.Must("rule", "add", ruled, "vpn0")
	h.Must("rule", "add", "ruled.site.example", "vpn0")
	err := h.Client.Do(func() error { return os.WriteFile("/proc/sys/net/ipv4/tcp_fin_timeout", []byte("61"), 0) })
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// uplinkOf names the uplink that has an address; else it returns the address.
func uplinkOf(h *harness.Host, a netip.Addr) string {
	for _, name := range []string{"wan0", "vpn0"} {
		if u := h.Uplink(name); a == u.Addr4 || a == u.Addr6 {
			return name
		}
	}
	return a.String()
}

// mode is a way of speaking HTTP.
type mode struct {
	name     string
	protocol string // as servers of net/http call it
	flags    []string
}

func modes(names ...string) []mode {
	origins := "--origin-to-force-quic-on="
	for i, name := range names {
		if i > 0 {
			origins += ","
		}
		origins += name + ":443"
	}
	return []mode{
		{"quic", "HTTP/3.0", []string{origins}},
		{"h2", "HTTP/2.0", []string{"--disable-quic"}},
		{"h1", "HTTP/1.1", []string{"--disable-quic", "--disable-http2"}},
	}
}
