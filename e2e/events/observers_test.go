package events

import (
	"context"
	"net/netip"
	"os/exec"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/lab"
)

// What passes an interface is nobody's.
func TestLearntByTC(t *testing.T) {
	h := harness.New(t, lab.Options{})
	h.Must("start", "--cgroup", h.Cgroup, "--observe", "tc:wan0")
	h.Must("rule", "add", "example.com", "vpn0")
	w := watch(t, dataplane.WatchOptions{})
	s := h.MustHost("www.example.com")
	resolve(t, h.MustAgent(lab.AgentOptions{}), "www.example.com", s.Addr4)
	e := next(t, w, isKind(dataplane.EventLearnt))
	if e.Observer != "tc" || e.Name.String() != "www.example.com" || e.Address != s.Addr4 || e.PID != 0 || e.Comm != "" || textOf(e) != "example.com vpn0" {
		t.Errorf("%+v", e)
	}
}

// What a C library tells its program.
func TestLearntByLibc(t *testing.T) {
	_, err := exec.LookPath("getent")
	harness.Need(t, err == nil, "getent")
	h := harness.New(t, lab.Options{})
	h.Must("start", "--cgroup", h.Cgroup, "--observe", "libc")
	h.Must("rule", "add", "example.com", "vpn0")
	w := watch(t, dataplane.WatchOptions{})
	s := h.MustHost("www.example.com")
	getent := h.Command(context.Background(), "getent", "ahostsv4", "www.example.com").AsUser(4321)
	if out, err := getent.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	e := next(t, w, isKind(dataplane.EventLearnt))
	if e.Observer != "libc" || e.Name.String() != "www.example.com" || e.Address != s.Addr4 || textOf(e) != "example.com vpn0" {
		t.Errorf("%+v", e)
	}
	if int(e.PID) != getent.Process.Pid || e.UID != 4321 || e.Comm != "getent" {
		t.Errorf("by process %d, user %d, %q", e.PID, e.UID, e.Comm)
	}
}

// Rules for addresses, and the default, whose conditions count, too.
func TestByAddress(t *testing.T) {
	h := harness.Started(t)
	a, b := h.MustHost("a.example").Addr4, h.MustHost("b.example").Addr6
	c := h.MustHost("c.example")
	apply(t, h, a.String()+" vpn0\n"+a.String()+" block user=4321\n"+netip.PrefixFrom(b, 128).String()+" mark:9\n"+
		"default nowhere0,vpn0 user=4321\n"+h.DNS.Addr4.String()+" direct\n")
	root, user := h.MustAgent(lab.AgentOptions{}), h.MustAgent(lab.AgentOptions{UID: 4321})
	w := watch(t, dataplane.WatchOptions{})
	for _, v := range []struct {
		by   *lab.Agent
		to   netip.Addr
		kind dataplane.EventKind
		why  string
		rule string
	}{
		{root, a, dataplane.EventSteered, "steered_by_address", a.String() + " vpn0"},
		{user, a, dataplane.EventBlocked, "blocked", a.String() + " block user=4321"},
		{root, b, dataplane.EventMarked, "marked", b.String() + " mark:0x9"},
		{user, c.Addr4, dataplane.EventSteered, "steered_by_default", "default nowhere0,vpn0 user=4321"},
		{user, c.Addr6, dataplane.EventSteered, "steered_by_default", "default nowhere0,vpn0 user=4321"},
	} {
		h.ResetHits()
		seen, err := v.by.DialTCP(netip.AddrPortFrom(v.to, lab.EchoPort))
		e := next(t, w, func(dataplane.Event) bool { return true })
		if e.Kind != v.kind || e.Why != v.why || textOf(e) != v.rule || e.Address != v.to {
			t.Errorf("to %v: %s, %s by %q; want %s, %s by %q", v.to, e.Kind, e.Why, textOf(e), v.kind, v.why, v.rule)
		}
		checkPackets(t, h, e, verdict{name: v.to.String()}, v.to, seen, err)
	}
}
