package addresses

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// The longest prefix decides, whatever the family, to whatever kind of socket. Defence: ref_of_addr in bpf/verdict.h.
func TestLongestPrefix(t *testing.T) {
	h, a := started(t)
	for _, c := range []struct {
		what  string
		rules [][2]string
		want  map[string]string // address -> uplink
	}{
		{"one address", [][2]string{{"203.0.113.7", "vpn0"}, {"2001:db8:7::7", "vpn0"}},
			map[string]string{"203.0.113.7": "vpn0", "203.0.113.6": "wan0", "2001:db8:7::7": "vpn0", "2001:db8:7::6": "wan0"}},
		{"ranges", [][2]string{{"203.0.113.0/24", "vpn0"}, {"2001:db8:7::/48", "vpn0"}},
			map[string]string{"203.0.113.0": "vpn0", "203.0.113.255": "vpn0", "203.0.112.255": "wan0", "203.0.114.0": "wan0",
				"2001:db8:7::": "vpn0", "2001:db8:7:ffff::1": "vpn0", "2001:db8:8::1": "wan0"}},
		{"ranges in ranges", [][2]string{{"203.0.0.0/16", "vpn0"}, {"203.0.113.0/24", "lte0"}, {"203.0.113.7", "direct"},
			{"2001:db8::/32", "vpn0"}, {"2001:db8:7::/48", "lte0"}, {"2001:db8:7::7", "direct"}},
			map[string]string{"203.0.112.1": "vpn0", "203.0.113.1": "lte0", "203.0.113.7": "wan0",
				"2001:db8:6::1": "vpn0", "2001:db8:7::1": "lte0", "2001:db8:7::7": "wan0"}},
		{"whole families", [][2]string{{"0.0.0.0/0", "vpn0"}, {"::/0", "lte0"}},
			map[string]string{"203.0.113.1": "vpn0", "2001:db8:7::1": "lte0"}},
		{"all of IPv6", [][2]string{{"::/0", "lte0"}}, map[string]string{"203.0.113.1": "wan0", "2001:db8:7::1": "lte0"}},
		{"mapped is IPv4", [][2]string{{"::ffff:203.0.113.0/120", "vpn0"}}, map[string]string{"203.0.113.1": "vpn0", "2001:db8:7::1": "wan0"}},
		{"refused", [][2]string{{"203.0.113.0/24", "block"}, {"203.0.113.7", "gone0"}},
			map[string]string{"203.0.113.1": "EHOSTUNREACH", "203.0.113.7": "ENODEV"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			rules(t, h, c.rules...)
			for text, want := range c.want {
				wantOut(t, h, a, serve(t, h, text), want)
			}
		})
	}
}

// A name that the address was learnt under goes before the address, and the address before the default. Defence: the
// order in verdict_for.
func TestPrecedence(t *testing.T) {
	h, a := started(t)
	named, plain, other := h.MustHost("www.ruled.test"), h.MustHost("plain.test"), h.MustHost()
	check(t, via.Learn(a, "www.ruled.test", "plain.test"))
	rules(t, h, [2]string{"ruled.test", "lte0"}, [2]string{named.Addr4.String(), "vpn0"}, [2]string{named.Addr6.String(), "vpn0"},
		[2]string{plain.Addr4.String(), "vpn0"}, [2]string{plain.Addr6.String(), "vpn0"})
	for _, c := range []struct {
		to   lab.Host
		want string
	}{{named, "lte0"}, {plain, "vpn0"}, {other, "wan0"}} {
		wantOut(t, h, a, c.to.Addr4, c.want)
		wantOut(t, h, a, c.to.Addr6, c.want)
	}
	// An exception below the default, and below a range.
	rules(t, h, [2]string{"default", "lte0"}, [2]string{"198.51.100.0/24", "vpn0"}, [2]string{other.Addr4.String(), "direct"}, [2]string{other.Addr6.String(), "direct"})
	fourth := h.MustHost()
	for to, want := range map[netip.Addr]string{
		other.Addr4: "wan0", other.Addr6: "wan0", fourth.Addr4: "vpn0", fourth.Addr6: "lte0", named.Addr4: "lte0",
	} {
		wantOut(t, h, a, to, want)
	}
	// And an exception by name within a range.
	rules(t, h, [2]string{"=www.ruled.test", "direct"})
	wantOut(t, h, a, named.Addr4, "wan0")
}

// Rules for addresses hold in private ranges, unlike the default; nothing holds for what is never steered.
func TestPrivateAndLocal(t *testing.T) {
	h, a := started(t)
	private := []netip.Addr{serve(t, h, "10.1.2.3"), serve(t, h, "192.168.7.7"), serve(t, h, "172.20.1.1"), serve(t, h, "fd00:7::5")}
	rules(t, h, [2]string{"default", "lte0"})
	for _, to := range private {
		wantOut(t, h, a, to, "wan0")
	}
	rules(t, h, [2]string{"10.0.0.0/8", "vpn0"}, [2]string{"192.168.7.7", "vpn0"}, [2]string{"172.16.0.0/12", "vpn0"}, [2]string{"fd00::/8", "vpn0"})
	for _, to := range private {
		wantOut(t, h, a, to, "vpn0")
	}
	wan := h.Uplink("wan0")
	rules(t, h, [2]string{"0.0.0.0/0", "block"}, [2]string{"::/0", "block"}, [2]string{"127.0.0.0/8", "block"}, [2]string{"::1", "block"},
		[2]string{"169.254.0.0/16", "block"}, [2]string{"224.0.0.0/4", "block"}, [2]string{"ff00::/8", "block"}, [2]string{"fe80::/10", "block"},
		[2]string{wan.Addr4.String(), "block"}, [2]string{wan.Addr6.String(), "block"})
	for _, to := range []string{"127.0.0.1", "127.9.9.9", "::1", "169.254.7.7", "224.0.0.251", "ff02::fb", wan.Addr4.String(), wan.Addr6.String()} {
		addr := netip.MustParseAddr(to)
		kind := map[bool]string{true: "udp4", false: "udp6"}[addr.Is4()]
		s, err := a.Socket(kind)
		check(t, err)
		if err := s.Connect(netip.AddrPortFrom(addr, 9)); err != nil && strings.Contains(err.Error(), "EHOSTUNREACH") {
			t.Errorf("to %s: %v", to, err)
		}
		check(t, s.Close())
	}
}

// A rule for an address ends with the next connect, and counts from the next one on.
func TestChanges(t *testing.T) {
	h, a := started(t)
	to := h.MustHost()
	for range 10 {
		h.Must("rule", "add", "198.51.100.0/24", "vpn0")
		wantOut(t, h, a, to.Addr4, "vpn0")
		h.Must("rule", "add", "198.51.100.0/24", "lte0")
		wantOut(t, h, a, to.Addr4, "lte0")
		h.Must("rule", "del", "198.51.100.0/24")
		wantOut(t, h, a, to.Addr4, "wan0")
	}
}

// Each connection counts once, as steered by its address.
func TestCounter(t *testing.T) {
	h, a := started(t)
	to := h.MustHost()
	rules(t, h, [2]string{to.Addr4.String(), "vpn0"}, [2]string{"default", "lte0"})
	before := h.Counters()
	wantOut(t, h, a, to.Addr4, "vpn0")
	wantOut(t, h, a, to.Addr6, "lte0")
	after := h.Counters()
	for name, want := range map[string]uint64{"steered_by_address": 5, "steered_by_default": 3, "steered": 0, "unknown": 0} {
		if got := after[name] - before[name]; got != want {
			t.Errorf("%s: %d more, want %d", name, got, want)
		}
	}
}

// An update takes the rules for addresses over.
func TestUpdate(t *testing.T) {
	h, a := started(t)
	to := h.MustHost()
	rules(t, h, [2]string{to.Addr4.String(), "vpn0"})
	h.Must("start")
	wantOut(t, h, a, to.Addr4, "vpn0")
	if got, want := h.Must("rule", "list"), to.Addr4.String(); !strings.Contains(got, want) {
		t.Errorf("rule list: %q, want %s in it", got, want)
	}
}
