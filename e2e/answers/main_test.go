// Package answers tests domain-route with every form that proper answers take, from the wire to the server's view.
package answers

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}

const (
	user  = 4242
	ruled = "ruled.example"
	// unruled ends in the same letters.
	unruled = "unruled.example"
	// short and shortUnruled leave room for 125 labels more.
	short        = "r.z"
	shortUnruled = "u.z"
	// aside is a rule's domain that aliases lead to.
	aside = "aside.example"
)

// world is a lab with rules, and a user's process that asks and connects.
type world struct {
	*harness.Host
	asker *lab.Agent
}

func newWorld(t *testing.T) *world {
	t.Helper()
	h := harness.Started(t)
	for _, domain := range []string{ruled, short, aside} {
		h.Must("rule", "add", domain, "vpn0")
	}
	return &world{h, h.MustAgent(lab.AgentOptions{UID: user})}
}

// addrs makes n server addresses, of IPv4 for questions for A, else of IPv6.
func (w *world) addrs(n int, qtype uint16) []netip.Addr {
	list := make([]netip.Addr, n)
	for i := range list {
		host := w.MustHost()
		list[i] = host.Addr6
		if qtype == dns.TypeA {
			list[i] = host.Addr4
		}
	}
	return list
}

var names atomic.Int32

// unique is a label that no name had before.
func unique() string { return fmt.Sprintf("n%d", names.Add(1)) }

// steered tells whether a name is to be steered.
func steered(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, "."+ruled) || strings.HasSuffix(name, "."+short)
}

// arrives checks that a server sees a connection of an agent from vpn0's address, or else from wan0's.
func (w *world) arrives(t *testing.T, by *lab.Agent, server netip.Addr, byVPN bool, what string) {
	t.Helper()
	up := w.Uplink("wan0")
	if byVPN {
		up = w.Uplink("vpn0")
	}
	want := up.Addr4
	if server.Is6() {
		want = up.Addr6
	}
	seen, err := by.DialTCP(netip.AddrPortFrom(server, lab.EchoPort))
	if err != nil || seen != want.String() {
		t.Errorf("%s: %v saw a connection from %q, %v; want %v (%s)", what, server, seen, err, want, up.Name)
	}
}

// learnt is which address belongs to which name.
type learnt map[netip.Addr]string

// learntOnly checks that these addresses are learnt under these names, in whatever case, and nothing else is.
func (w *world) learntOnly(t *testing.T, want learnt) {
	t.Helper()
	found := learnt{}
	for _, l := range w.Learnt() {
		if name, known := found[l.Address]; known && name != l.Name {
			t.Errorf("%v is learnt as %s and as %s", l.Address, name, l.Name)
		}
		found[l.Address] = l.Name
		if l.TTL <= 0 || l.TTL > ttl {
			t.Errorf("%v: %d seconds left", l.Address, l.TTL)
		}
	}
	for a, name := range want {
		if found[a] != strings.ToLower(name) {
			t.Errorf("%v is learnt as %q, want %q", a, found[a], name)
		}
	}
	for a, name := range found {
		if want[a] == "" {
			t.Errorf("%v is learnt, as %q, of nobody's answer", a, name)
		}
	}
}
