package events

import (
	"context"
	"errors"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/lab"
)

// A resolver that asks for its source address sees the one by which connections leave, but is neither counted nor told.
func TestProbes(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "example.com", "vpn0")
	a := h.MustAgent(lab.AgentOptions{})
	to := h.MustHost("example.com").Addr4
	resolve(t, a, "example.com", to)
	w := watch(t, dataplane.WatchOptions{All: true})
	for _, port := range []uint16{0, 9, 65535} {
		s, err := a.Socket("udp4")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Connect(netip.AddrPortFrom(to, port)); err != nil {
			t.Errorf("to port %d: %v", port, err)
		}
		from, err := s.LocalAddr()
		if want := h.Uplink("vpn0").Addr4; err != nil || from.Addr() != want {
			t.Errorf("to port %d: from %v, %v; want %v", port, from, err, want)
		}
	}
	none(t, w)
	c := h.Counters()
	if c["probe"] != 3 || c["steered"] != 0 {
		t.Errorf("%d count as probes, %d as steered; want 3 and 0", c["probe"], c["steered"])
	}
	wantHits(t, map[string]uint64{})
	s, err := a.Socket("udp4")
	if err == nil {
		err = s.Connect(netip.AddrPortFrom(to, 443))
	}
	if err != nil {
		t.Fatal(err)
	}
	wantHits(t, map[string]uint64{"example.com vpn0": 1})
}

// What the C library itself does: looking a name up is no connection.
func TestLookUpIsNoHit(t *testing.T) {
	_, err := exec.LookPath("getent")
	harness.Need(t, err == nil, "getent")
	h := harness.Started(t)
	h.Must("rule", "add", "example.com", "vpn0")
	h.MustHost("www.example.com")
	w := watch(t, dataplane.WatchOptions{})
	if out, err := h.Command(context.Background(), "getent", "ahosts", "www.example.com").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if n := h.Counters()["probe"]; n == 0 {
		t.Error("getaddrinfo did not ask for a source address")
	}
	wantHits(t, map[string]uint64{})
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		e, err := w.Next(ctx)
		cancel()
		if err != nil {
			return
		}
		if e.Kind != dataplane.EventLearnt {
			t.Errorf("%+v", e)
		}
	}
}

// Where the kernel has no memory to know a socket by, the connection fails, and that is told.
func TestFailed(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "example.com", "vpn0")
	a := h.MustAgent(lab.AgentOptions{})
	to := h.MustHost("example.com").Addr4
	resolve(t, a, "example.com", to)
	const limit = "/proc/sys/net/core/optmem_max" // of the namespace from Linux 6.7 on: nobody else's is to be changed
	out, err := h.HostCommand(context.Background(), "sh", "-c", "test -e "+limit+" && echo 64 >"+limit).CombinedOutput()
	harness.Need(t, err == nil, "Linux 6.7, where each namespace has "+limit+" of its own: "+string(out))
	w := watch(t, dataplane.WatchOptions{})
	_, err = a.DialTCP(netip.AddrPortFrom(to, lab.EchoPort))
	if !errors.Is(err, lab.Errno("EHOSTUNREACH")) {
		t.Errorf("it came to %v", err)
	}
	e := next(t, w, func(dataplane.Event) bool { return true })
	if e.Kind != dataplane.EventFailed || e.Why != "bind_failed" || e.Address != to || textOf(e) != "example.com vpn0" {
		t.Errorf("%+v", e)
	}
	if n := h.Counters()["bind_failed"]; n != 1 {
		t.Errorf("%d count as failed", n)
	}
}
