// Package threats attacks a running domain-route, each test in one way and against one line of defence, which its
// comment names: without that line the test fails.
package threats

import (
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// Users without privileges.
const (
	alice  = 4242
	bob    = 4343
	nobody = 65534
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(envChild); mode != "" {
		os.Exit(child(mode))
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

func port(a netip.Addr, p uint16) netip.AddrPort { return netip.AddrPortFrom(a, p) }

// eventually looks at a condition until it is true, and fails the test when that takes too long.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for pause := time.Millisecond; !cond(); pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(pause)
	}
}

// counts are the counters that moved.
type counts map[string]uint64

func (c counts) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(name)
		if c[name] != 1 {
			b.WriteString("=")
			b.WriteString(decimal(c[name]))
		}
	}
	return b.String()
}

// view is what was learnt and counted when it was last looked at.
type view struct {
	h        *harness.Host
	learnt   map[string]bool
	counters map[string]uint64
}

func look(h *harness.Host) *view { return &view{h, pairs(h), h.Counters()} }

// pairs are all learnt names with their addresses, as "NAME ADDRESS".
func pairs(h *harness.Host) map[string]bool {
	m := map[string]bool{}
	for _, l := range h.Learnt() {
		m[l.Name+" "+l.Address.String()] = true
	}
	return m
}

// learntSince lists what is learnt now and was not when last looked at.
func (v *view) learntSince() []string {
	before := v.learnt
	v.learnt = pairs(v.h)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(v.learnt)), func(p string) bool { return before[p] })
}

// moved tells how the counters changed, since last looked at, whose names start with one of the prefixes.
func (v *view) moved(prefixes ...string) counts {
	c := counts{}
	before := v.counters
	v.counters = v.h.Counters()
	for name, n := range v.counters {
		has := func(p string) bool { return strings.HasPrefix(name, p) }
		if n != before[name] && slices.ContainsFunc(prefixes, has) {
			c[name] = n - before[name]
		}
	}
	return c
}

// ofAnswers starts the names of all counters that an arriving answer can move.
var ofAnswers = []string{"answer", "record_", "address_", "learnt"}

// uplinkOf names the uplink that has an address, as servers report it; else it returns the address.
func uplinkOf(h *harness.Host, seen string) string {
	for _, name := range []string{"wan0", "vpn0", "vpn1"} {
		if u := h.Uplink(name); seen == u.Addr4.String() || seen == u.Addr6.String() {
			return name
		}
	}
	return seen
}

// expectTCP connects by TCP and tells which uplink the server saw, or the errno.
func expectTCP(t *testing.T, h *harness.Host, a *lab.Agent, to netip.Addr, want, why string) {
	t.Helper()
	seen, err := a.DialTCP(port(to, lab.EchoPort))
	got := uplinkOf(h, seen)
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("%s: connect to %v went by %q, want %q", why, to, got, want)
	}
}

// resolve has an agent ask the lab's server, and fails the test unless the answer holds an address.
func resolve(t *testing.T, a *lab.Agent, q lab.Query) {
	t.Helper()
	ans, err := a.Resolve(q)
	if err != nil || len(ans.Addrs) == 0 {
		t.Fatalf("resolve %s: %v, %v", q.Name, ans.Addrs, err)
	}
}
