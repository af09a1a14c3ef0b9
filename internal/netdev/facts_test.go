package netdev

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// inNamespace runs a test in a network namespace of its own. The thread is not used again.
func inNamespace(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	ns, err := netns.New()
	if errors.Is(err, unix.EPERM) && os.Getenv("DOMAIN_ROUTE_NO_SKIP") != "1" {
		t.Skip("needs root")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %q: %v: %s", args, err, out)
	}
}

func TestFacts(t *testing.T) {
	inNamespace(t)
	ip(t, "link", "add", "up0", "type", "veth", "peer", "name", "peer0")
	ip(t, "link", "add", "down0", "type", "veth", "peer", "name", "peer1")
	ip(t, "addr", "add", "192.0.2.1/24", "dev", "up0")
	ip(t, "addr", "add", "2001:db8::1/64", "dev", "up0", "nodad")
	ip(t, "link", "set", "up0", "up")
	facts := func() []Facts {
		t.Helper()
		all, err := AllFacts([]string{"up0", "down0", "gone0"})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	want := []Facts{
		{
			Device: Device{Name: "up0", Ethernet: true}, Exists: true, Up: true,
			Addrs4: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")},
			Addrs6: []netip.Prefix{netip.MustParsePrefix("2001:db8::1/64")},
		},
		{Device: Device{Name: "down0", Ethernet: true}, Exists: true},
		{Device: Device{Name: "gone0"}},
	}
	same := func() {
		t.Helper()
		if diff := cmp.Diff(want, facts(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.IgnoreFields(Device{}, "Index")); diff != "" {
			t.Error(diff)
		}
	}
	same()

	ip(t, "link", "set", "peer0", "up")
	ip(t, "route", "add", "default", "via", "192.0.2.254", "metric", "50", "dev", "up0")
	ip(t, "route", "add", "default", "nexthop", "via", "192.0.2.253", "dev", "up0", "nexthop", "via", "192.0.2.252", "dev", "up0")
	ip(t, "route", "add", "default", "via", "192.0.2.251", "dev", "up0", "table", "77")
	ip(t, "-6", "route", "add", "default", "dev", "up0", "metric", "7")
	ip(t, "-6", "route", "add", "unreachable", "default", "metric", "9999")
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/all/rp_filter", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	want[0].Carrier = true
	want[0].Default4 = []Route{
		{Gateway: netip.MustParseAddr("192.0.2.252"), Table: unix.RT_TABLE_MAIN},
		{Gateway: netip.MustParseAddr("192.0.2.254"), Metric: 50, Table: unix.RT_TABLE_MAIN},
	}
	want[0].Default6 = []Route{{Metric: 7, Table: unix.RT_TABLE_MAIN}}
	want[0].Routed4, want[0].Routed6, want[1].Other4, want[1].Other6 = true, true, true, true
	want[0].RPFilter, want[1].RPFilter = 1, 1
	want[0].Main4 = true
	same()
}

func TestFactsOf(t *testing.T) {
	inNamespace(t)
	f, err := FactsOf("lo")
	if err != nil || !f.Exists || f.Up || !f.Loopback {
		t.Errorf("lo of a new namespace: %+v, %v", f, err)
	}
}
