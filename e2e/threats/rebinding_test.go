package threats

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"
	"github.com/vishvananda/netlink"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// local are addresses that no name on the internet has.
var local = []string{
	"127.0.0.1", "127.0.0.53", "127.255.255.255", "0.0.0.0", "0.1.2.3", "169.254.0.1", "169.254.169.254",
	"224.0.0.1", "239.255.255.250", "255.255.255.255",
	"::", "::1", "fe80::1", "febf::1", "ff02::1", "ff05::1:3",
	"::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:169.254.169.254", "::ffff:224.0.0.1", "::ffff:255.255.255.255",
}

// beside are the nearest that some name may well have.
var beside = []string{
	"126.255.255.255", "128.0.0.1", "1.0.0.0", "169.253.255.255", "169.255.0.0", "223.255.255.255", "255.255.255.254",
	"10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1",
	"::2", "fe7f::1", "fec0::1", "fd00::1", "2001:db8::1", "::ffff:192.0.2.9",
}

// T8. Defence: addr_is_local() in add_address().
func TestRebinding(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "bank.example", "vpn0")
	a := h.MustAgent(lab.AgentOptions{})
	v := look(h)
	for i, list := range [][]string{local, beside} {
		name := fmt.Sprintf("rebind%d.bank.example", i)
		h.DNS.HandleRaw(name, func(query []byte, _ string) [][]byte {
			q := readQuery(query)
			var records [][]byte
			for _, text := range list {
				records = append(records, recordOf(netip.MustParseAddr(text)))
			}
			return [][]byte{q.answer(append(records, address(good))...)}
		})
		resolve(t, a, lab.Query{Name: name})
		want := []string{name + " " + good.String()}
		refused, learnt := uint64(len(list)), uint64(1)
		if i == 1 {
			refused, learnt = 0, uint64(len(list)+1)
			for _, text := range list {
				want = append(want, name+" "+netip.MustParseAddr(text).Unmap().String())
			}
		}
		slices.Sort(want)
		if got := v.learntSince(); !slices.Equal(got, want) {
			t.Errorf("learnt %q, want %q", got, want)
		}
		if moved := v.moved("address_refused", "learnt"); moved["address_refused"] != refused || moved["learnt"] != learnt {
			t.Errorf("counters: %v, want %d refused, %d learnt", moved, refused, learnt)
		}
	}
}

// recordOf is address(), but for v4-mapped addresses an AAAA.
func recordOf(a netip.Addr) []byte {
	if a.Is4In6() {
		b := a.As16()
		return record(toQuestion, dns.TypeAAAA, 60, b[:])
	}
	return address(a)
}

// What is bound to another interface cannot reach the host itself: a name with a rule that points there, and a default
// rule, would cut programs off from services on their own host. Defence: the map `own`, addr_is_local() in steer().
func TestOwnAddresses(t *testing.T) {
	h := harness.New(t, lab.Options{})
	lo, err := h.Client.NL.LinkByName("lo")
	check(t, err)
	check(t, h.Client.NL.AddrAdd(lo, &netlink.Addr{IPNet: prefix("100.100.0.1/32")}))
	h.Must("start", "--cgroup", h.Cgroup)
	h.Must("rule", "add", "bank.example", "vpn0")
	check(t, h.Client.Do(func() error { return serveEcho(t) }))
	root, user := h.MustAgent(lab.AgentOptions{}), h.MustAgent(lab.AgentOptions{UID: alice})
	var own []netip.Addr
	for _, name := range []string{"wan0", "vpn0"} {
		own = append(own, h.Uplink(name).Addr4, h.Uplink(name).Addr6)
	}
	own = append(own, netip.MustParseAddr("100.100.0.1"))
	h.DNS.Set("own.bank.example", own...)
	resolve(t, root, lab.Query{Name: "own.bank.example"})
	resolve(t, root, lab.Query{Name: "own.bank.example", Type: dns.TypeAAAA})
	v := look(h)
	connect := func(why string, to ...netip.Addr) {
		t.Helper()
		for _, a := range to {
			for _, agent := range []*lab.Agent{root, user} {
				if seen, err := agent.DialTCP(port(a, lab.EchoPort)); err != nil || seen != a.String() {
					t.Errorf("%s: %v: %q, %v", why, a, seen, err)
				}
			}
		}
	}
	connect("own", own...)
	if moved := v.moved("left_own", "steered"); moved["left_own"] != 2*uint64(len(own)) || moved["steered"] > 0 {
		t.Errorf("counters: %v", moved)
	}
	// An address that came later is known to the next command.
	check(t, h.Client.NL.AddrAdd(lo, &netlink.Addr{IPNet: prefix("100.100.0.2/32")}))
	h.Must("rule", "add", ".", "vpn0")
	v = look(h)
	connect("own, by default", append(own, netip.MustParseAddr("100.100.0.2"))...)
	connect("local, by default", netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback())
	if _, err := user.DialTCP(port(netip.MustParseAddr("127.9.9.9"), lab.EchoPort)); err != nil { // nobody's own by name
		t.Errorf("127.9.9.9: %v", err)
	}
	mapped, err := root.Socket("tcp6")
	check(t, err)
	if err := mapped.Connect(port(netip.MustParseAddr("127.0.0.1"), lab.EchoPort)); err != nil {
		t.Errorf("::ffff:127.0.0.1: %v", err)
	}
	if moved := v.moved("left_local", "left_own", "steered"); moved["left_local"] != 6 || moved["steered_by_default"] > 0 {
		t.Errorf("counters: %v", moved)
	}
	expectTCP(t, h, user, h.MustHost().Addr4, "vpn0", "by default, elsewhere")
}
