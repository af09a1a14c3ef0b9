package netdev

import (
	"net/netip"
	"testing"
)

// reach is what decides, and what the kernel says then.
type reach struct {
	what          string
	do            [][]string // arguments of ip
	four, six     bool
	other, other6 bool
}

// What counts is what a bound socket finds, by whatever table, and not whether the main table has a default route.
func TestRouted(t *testing.T) {
	inNamespace(t)
	for _, args := range [][]string{
		{"link", "add", "eth9", "type", "veth", "peer", "name", "peer9"}, {"link", "set", "peer9", "up"}, {"link", "set", "lo", "up"},
		{"tuntap", "add", "tun9", "mode", "tun"}, {"link", "add", "wan9", "type", "veth", "peer", "name", "wan8"}, {"link", "set", "wan8", "up"},
	} {
		ip(t, args...)
	}
	for name, net := range map[string]string{"eth9": "1", "tun9": "2", "wan9": "3"} {
		ip(t, "addr", "add", "192.0.2."+net+"7/28", "dev", name) // of documentation, as the addresses that are asked for
		ip(t, "-6", "addr", "add", "2001:db8:0:"+net+"::1/64", "dev", name, "nodad")
		ip(t, "link", "set", name, "up")
	}
	for name, cases := range map[string][]reach{
		"eth9": {
			{"only its own network", nil, false, false, false, false},
			{"tables that other sockets find", [][]string{{"route", "add", "default", "via", "192.0.2.18", "dev", "eth9", "table", "77"},
				{"-6", "route", "add", "default", "via", "2001:db8:0:1::2", "dev", "eth9", "table", "77"}}, false, false, false, false},
			{"and its own", [][]string{{"rule", "add", "oif", "eth9", "lookup", "77"}, {"-6", "rule", "add", "oif", "eth9", "lookup", "77"}}, true, true, false, false},
			{"another has a default route", [][]string{{"rule", "del", "oif", "eth9", "lookup", "77"}, {"-6", "rule", "del", "oif", "eth9", "lookup", "77"},
				{"route", "add", "default", "dev", "wan9"}, {"-6", "route", "add", "default", "dev", "wan9"}}, false, false, true, true},
			{"blackholes of documentation's", [][]string{{"route", "add", "default", "via", "192.0.2.18", "dev", "eth9", "metric", "9"},
				{"route", "add", "blackhole", "192.0.2.0/24"}, {"route", "add", "unreachable", "198.51.100.0/24"}}, true, false, true, true},
		},
		"tun9": {
			{"all are neighbours over IPv4", nil, true, false, false, false},
			{"a default route", [][]string{{"-6", "route", "add", "default", "dev", "tun9"}}, true, true, false, false},
			{"by a rule nowhere, which IPv4 does not ask", [][]string{{"rule", "add", "oif", "tun9", "unreachable"}, {"-6", "rule", "add", "oif", "tun9", "blackhole"}}, true, false, false, false},
		},
	} {
		for _, c := range cases {
			for _, args := range c.do {
				ip(t, args...)
			}
			f, err := FactsOf(name)
			if err != nil || f.Routed4 != c.four || f.Routed6 != c.six || f.Other4 != c.other || f.Other6 != c.other6 {
				t.Errorf("%s, %s: %+v, %v; want %+v", name, c.what, f, err, c)
			}
		}
		for _, family := range []string{"-4", "-6"} { // what was added, but for addresses
			ip(t, family, "route", "flush", "exact", "default", "table", "all")
		}
	}
	f, err := FactsOf("eth9")
	if err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]bool{"192.0.2.18": true, "10.9.8.7": false, "2001:db8:0:1::5": true, "2001:db8:77::1": false} {
		if got, err := HasRoute(f.Device, netip.MustParseAddr(to)); err != nil || got != want {
			t.Errorf("eth9 to %s: %v, %v", to, got, err)
		}
	}
	ip(t, "link", "del", "eth9")
	if got, err := HasRoute(f.Device, netip.MustParseAddr("192.0.2.1")); err != nil || got {
		t.Errorf("by what is gone: %v, %v", got, err)
	}
}
