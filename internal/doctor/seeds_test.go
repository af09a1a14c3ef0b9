package doctor

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/pattern"
)

func interfaceSeeds(t *testing.T) []seed {
	only := func(l netdev.Facts, change func(*netdev.Facts)) func(*Facts) {
		return func(f *Facts) {
			change(&l)
			f.Rules, f.Links = rules(t, "example.com "+l.Name), []netdev.Facts{l}
			f.Running.Hits = nil
		}
	}
	going := func(l netdev.Facts, g Goers) func(*Facts) {
		return func(f *Facts) {
			only(l, func(*netdev.Facts) {})(f)
			f.Goers4 = map[string]Goers{l.Name: g}
		}
	}
	marked := func(change func(*Facts)) func(*Facts) {
		return func(f *Facts) {
			f.Rules = rules(t, "example.com mark:0x23")
			f.Policy = []netdev.Policy{{Priority: 100, Mark: 0x23, Mask: 0xffffffff, Table: 35}, {IPv6: true, Priority: 100, Mark: 0x3, Mask: 0xf, Table: 35}}
			f.Tables4, f.Tables6 = map[int]bool{35: true}, map[int]bool{35: true}
			change(f)
		}
	}
	return []seed{
		{"none exists", only(wg0(), func(l *netdev.Facts) { l.Exists = false }), "targets", Fail, "wg0: no interface of it exists", "bring wg0 up"},
		{"none exists, direct", func(f *Facts) { f.Rules, f.Links = rules(t, "example.com gone0,direct"), nil }, "targets", Warn, "left alone", ""},
		{"a later one exists", func(f *Facts) {
			f.Rules, f.Links = rules(t, "example.com gone0,wg0"), []netdev.Facts{{Device: netdev.Device{Name: "gone0"}}, wg0()}
		}, "targets", OK, "", ""},
		{"no rules", func(f *Facts) { f.Rules = rules(t) }, "targets", Note, "no rules", "domain-route rule add"},
		{"down", only(wg0(), func(l *netdev.Facts) { l.Up = false }), "interface-down", Fail, "wg0: is down", "ip link set wg0 up"},
		{"down, in a chain", func(f *Facts) {
			l := wg0()
			l.Up = false
			f.Links, f.Rules = []netdev.Facts{l}, rules(t, "example.com gone0,wg0,direct")
		}, "interface-down", Fail, "do not go on to that while it exists", "ip link set wg0 up, or remove it by what made it, such as wg-quick down, or: ip link del wg0"},
		{"down, last of a chain", func(f *Facts) {
			l := wg0()
			l.Up = false
			f.Links, f.Rules = []netdev.Facts{l}, rules(t, "example.com gone0,wg0")
		}, "interface-down", Fail, "answered by nobody", "ip link set wg0 up"},
		{"no carrier, in a chain", func(f *Facts) {
			l := eth1()
			l.Carrier = false
			f.Links, f.Rules = []netdev.Facts{l, wg0()}, rules(t, "example.com eth1,wg0")
		}, "interface-down", Fail, "do not go on to that while it exists", "leave it out of the target"},
		{"no carrier", only(eth1(), func(l *netdev.Facts) { l.Carrier = false }), "interface-down", Fail, "no carrier", ""},
		{"no address", only(wg0(), func(l *netdev.Facts) { l.Addrs4, l.Addrs6 = nil, nil }), "interface-address", Fail, "has no address", "ip addr add"},
		{"no IPv4", only(wg0(), func(l *netdev.Facts) { l.Addrs4 = nil }), "interface-address", Warn, "no IPv4 address", "ip addr add"},
		{"no route", only(eth1(), func(l *netdev.Facts) { l.Routed4, l.Other4 = false, true }), "interface-route", Fail, "only its own network",
			"ip route add default via GATEWAY dev eth1 metric 9999"},
		{"a table's route", only(eth1(), func(l *netdev.Facts) { l.Default4, l.Default6 = nil, nil }), "interface", OK, "", ""},
		{"no route at all", only(eth1(), func(l *netdev.Facts) { l.Routed4 = false }), "interface-route", Fail, "only its own network",
			"ip route add default via GATEWAY dev eth1 table TABLE && ip rule add oif eth1 lookup TABLE"},
		{"some routes", going(eth1(), Goers{Names: 2, Lost: []string{"a.example (192.0.2.1)"}}), "interface-route", Warn, "(1 of 2 names): a.example (192.0.2.1)", "ip route get"},
		{"all that are wanted", func(f *Facts) {
			going(eth1(), Goers{Names: 2})(f)
			f.Links[0].Routed4 = false
		}, "interface-route", Note, "no IPv4 default route", ""},
		{"a tun", only(wg0(), func(l *netdev.Facts) { l.Tun = true }), "interface", OK, "except the server", ""},
		{"none needed", only(wg0(), func(*netdev.Facts) {}), "interface", OK, "10.0.0.2/32", ""},
		{"no IPv6, names have", func(f *Facts) { f.Links[0].Addrs6, f.Goers6 = nil, map[string]Goers{"wg0": {Names: 2}} }, "interface-ipv6", Warn, "(2 of them)", "ip -6 addr add"},
		{"no IPv6, nor names", func(f *Facts) { f.Links[0].Addrs6 = nil }, "interface-ipv6", Note, "has no IPv6 address", ""},
		{"no IPv6 route", only(eth1(), func(l *netdev.Facts) { l.Routed6, l.Other6 = false, true }), "interface-ipv6", Note, "no IPv6 route",
			"ip -6 route add default via GATEWAY dev eth1 metric 9999"},
		{"no IPv6 route, in the internet", only(eth1(), func(l *netdev.Facts) { l.Routed6, l.Addrs6 = false, prefixes("2001:db8::1/64") }), "interface-ipv6", Warn, "no IPv6 route",
			"ip -6 route add default via GATEWAY dev eth1 table TABLE && ip -6 rule add oif eth1 lookup TABLE"},
		{"no IPv6 route, a tunnel", only(wg0(), func(l *netdev.Facts) { l.Routed6 = false }), "interface-ipv6", Warn, "no IPv6 route",
			"ip -6 route add default dev wg0 table TABLE && ip -6 rule add oif wg0 lookup TABLE"},
		{"no IPv6 route, names", func(f *Facts) {
			f.Links[0].Routed6, f.Goers6 = false, map[string]Goers{"wg0": {2, []string{"a (2001:db8::1)"}}}
		}, "interface-ipv6", Warn, "(1 of them)", "ip -6 rule add oif wg0"},
		{"strict", only(wg0(), func(l *netdev.Facts) { l.RPFilter = 1 }), "rp-filter", Fail, "drops", "sysctl -w net.ipv4.conf.wg0.rp_filter=2"},
		{"strict, dots", only(wg0(), func(l *netdev.Facts) { l.RPFilter, l.Name = 1, "eth0.5" }), "rp-filter", Fail, "", "net.ipv4.conf.eth0/5.rp_filter=2"},
		{"complete", marked(func(*Facts) {}), "mark", OK, "both families", ""},
		{"no rule", marked(func(f *Facts) { f.Policy = f.Policy[1:] }), "mark", Fail, "no routing rule of IPv4", "ip rule add fwmark 0x23 lookup TABLE"},
		{"inverted", marked(func(f *Facts) { f.Policy[0].Invert = true }), "mark", Fail, "no routing rule of IPv4", ""},
		{"no rule for IPv6", marked(func(f *Facts) { f.Policy[1].Mask = 0xff }), "mark", Warn, "no routing rule of IPv6", "ip -6 rule add"},
		{"no table", marked(func(f *Facts) { f.Tables6 = nil }), "mark", Warn, "table 35 has no default route for IPv6", "ip -6 route add default dev INTERFACE table 35"},
	}
}

func resolverSeeds(t *testing.T) []seed {
	resolved := func(change func(*Facts)) func(*Facts) {
		return func(f *Facts) {
			r := &f.Host.Resolver
			r.NSS, r.Daemons, r.DoT, r.DoTFile = []string{"files", "resolve", "dns"}, []string{"systemd-resolved"}, "yes", "/etc/systemd/resolved.conf"
			change(f)
		}
	}
	observe := func(o ...string) func(*Facts) { return func(f *Facts) { f.Running.Status.Observers = o } }
	lock := seed{"with cgroup=", func(f *Facts) {
		f.Host.Lockdown, f.Support.ReadsKernel, f.Rules = "confidentiality", false, rules(t, "example.com wg0 cgroup=/a")
	}, "lockdown", Fail, "(1 of them)", "lockdown=confidentiality"}
	outside := seed{"outside", func(f *Facts) {
		f.Cgroup, f.Rules = "/sys/fs/cgroup/system.slice", rules(t, "example.com wg0 cgroup=/user.slice")
	},
		"cgroup-condition", Warn, "example.com cgroup=/user.slice", "domain-route start"}
	return []seed{
		lock, outside,
		{"no server", func(f *Facts) { f.Host.Resolver.Servers = nil }, "resolver", Warn, "no name server", "/etc/resolv.conf"},
		{"libc only", observe("libc"), "resolver", Warn, "Go, static ones", observeBoth},
		{"sockets only", observe("sockets"), "name-service", Note, "/etc/hosts", observeBoth},
		{"configured, not started", func(f *Facts) {
			f.State, f.Running, f.Observe = dataplane.StateStopped, nil, []string{"libc"}
		}, "resolver", Warn, "Go, static ones", observeBoth},
		{"nscd", func(f *Facts) { observe("sockets")(f); f.Host.Resolver.Daemons = []string{"nscd"} }, "name-service", Warn, "from nscd", observeBoth},
		{"blind", resolved(observe("sockets")), "name-service", Fail, "nobody sees them", observeBoth},
		{"not over TLS", resolved(func(f *Facts) { observe("sockets")(f); f.Host.Resolver.DoT = "no" }), "name-service", Warn, "nss-resolve", observeBoth},
		{"by libc", resolved(func(*Facts) {}), "dns-over-tls", OK, "is observed", ""},
		{"no stub", resolved(observe("sockets")), "dns-over-tls", Warn, "DNSOverTLS=yes in /etc/systemd/resolved.conf", observeBoth},
		{"nobody", resolved(observe("tc")), "dns-over-tls", Fail, "nobody sees", observeBoth},
		{"blocked", func(f *Facts) { f.Rules = rules(t, "192.0.2.0/24 block") }, "name-server", Fail, "192.0.2.53: a rule blocks it", "domain-route rule add 192.0.2.53 direct"},
		{"by what is gone", func(f *Facts) { f.Rules = rules(t, "default gone0") }, "name-server", Fail, "which does not exist", "192.0.2.53 direct"},
		{"by an interface", func(f *Facts) { f.Rules = rules(t, "default wg0") }, "name-server", Warn, "192.0.2.53: the rule default sends what it is asked to wg0",
			"domain-route rule add 192.0.2.53 direct; or, if meant: domain-route rule add 192.0.2.53 wg0"},
		{"by an interface, of everything", func(f *Facts) { f.Rules = rules(t, "0.0.0.0/0 wg0") }, "name-server", Warn, "the rule 0.0.0.0/0", "direct"},
		{"by an interface, as told", func(f *Facts) { f.Rules = rules(t, "default wg0", "192.0.2.53 wg0") }, "name-server", Note, "to wg0", ""},
		{"excepted", func(f *Facts) { f.Rules = rules(t, "default wg0", "192.0.2.53 direct") }, "name-server", OK, "", ""},
		{"swept away", func(f *Facts) { f.Rules, f.Tailscale = rules(t, "default wg0", "192.0.2.53 direct"), true }, "tailscale", Warn,
			"100.64.0.0/10: the rule default sends Tailscale's network to wg0", "domain-route rule add 100.64.0.0/10 direct"},
		{"by its name server", func(f *Facts) {
			f.Rules, f.Host.Resolver.Servers = rules(t, "default wg0"), []netip.Addr{netip.MustParseAddr("100.100.100.100")}
		}, "tailscale", Warn, "sends Tailscale's network to wg0", "100.64.0.0/10 direct"},
		{"into itself", func(f *Facts) {
			f.Tunnels = []Tunnel{{Device: "tun0", Program: "openvpn", PID: 7, Servers: []netip.Addr{netip.MustParseAddr("198.51.100.7")}}}
		}, "tunnel-server", Fail, "tun0: a rule sends what openvpn (pid 7)", "domain-route rule add 198.51.100.7 direct"},
		{"local ones are left alone", func(f *Facts) {
			f.Rules, f.Host.Resolver.Servers = rules(t, "default wg0"), []netip.Addr{netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("127.0.0.53")}
		}, "name-server", OK, "", ""},
	}
}

func browser(b Browser) func(*Facts) {
	return func(f *Facts) { f.Host.Browsers = []Browser{b} }
}

var nameSeeds = []seed{
	{"switched on", browser(Browser{Name: "Firefox", Firefox: true, Chosen: []string{"/home/a/prefs.js"}, PolicyDir: "/etc/firefox/policies"}),
		"browser-doh", Fail, "/home/a/prefs.js", `mkdir -p /etc/firefox/policies && echo '{"policies":{"DNSOverHTTPS":{"Enabled":false,"Locked":true}}}' > /etc/firefox/policies/policies.json`},
	{"by policy", browser(Browser{Name: "Chrome", Policy: dohOn, By: "/etc/x y.json"}), "browser-doh", Fail, "a policy switches", "in '/etc/x y.json'"},
	{"off", browser(Browser{Name: "Chrome", Policy: dohOff, By: "/etc/x.json", Chosen: []string{"x"}}), "browser-doh", OK, "/etc/x.json", ""},
	{"by itself", func(f *Facts) {
		browser(Browser{Name: "Chromium", PolicyDir: "/etc/chromium/policies/managed"})(f)
		f.Host.Resolver.Servers = []netip.Addr{netip.MustParseAddr("8.8.8.8")}
	}, "browser-doh", Warn, "8.8.8.8", "/etc/chromium/policies/managed/domain-route.json"},
	{"perhaps", browser(Browser{Name: "Firefox", Firefox: true}), "browser-doh", Note, "by itself", "policies.json"},
	{"replaced", func(f *Facts) { f.Running.Status.Libraries[0].Attached = false }, "c-library", Fail, "/lib/libc.so.6: is not observed", "domain-route start"},
	{"of a process", func(f *Facts) {
		f.Running.Status.Libraries = []dataplane.Library{{Path: "/x/libc.so.6", PID: 7}}
	}, "c-library", Warn, "of process 7", "restart the program"},
	{"not all", func(f *Facts) {
		f.Running.Status.Warnings = []string{"3 more C libraries of programs are not observed: at most 8 of each user are"}
	}, "c-library", Note, "3 more", ""},
	{"late", func(f *Facts) {
		f.Running.Leaks = []dataplane.Leak{{When: f.Now.Add(-time.Minute), Name: must("www.example.com"), Comm: "firefox"}}
	}, "leaks", Warn, "www.example.com", "domain-route reset"},
	{"old", func(f *Facts) {
		f.Running.Leaks = []dataplane.Leak{{When: f.Now.Add(-2 * time.Hour), Name: must("www.example.com")}}
	},
		"leaks", Note, "www.example.com", ""},
	{"off", func(f *Facts) { f.Running.Status.Audit = false; browser(Browser{Name: "Firefox", Firefox: true})(f) }, "audit", Note, "is off", "domain-route start --audit"},
	{"some", func(f *Facts) { f.Running.Evicted = 2 }, "evicted-names", Note, "of 5 learnt names the text of 2", "domain-route flush"},
}

func must(name string) pattern.Name {
	n, err := pattern.ParseName(name)
	if err != nil {
		panic(err)
	}
	return n
}

func tableSeeds(t *testing.T) []seed {
	return []seed{
		{"nearly full", func(f *Facts) { f.Running.Fill[0].Entries = 13000 }, "map-fill", Warn, "users_plain: 13000 of 13312", "--history=no"},
		{"with a rule", func(f *Facts) {
			f.Running.Fill[0] = dataplane.Fill{Map: "host_ruled", Entries: 90, Max: 100, LRU: true}
		}, "map-fill", Warn, "host_ruled", "domain-route flush"},
		{"not yet", func(f *Facts) { f.Running.Fill[0] = dataplane.Fill{Map: "x", Entries: 8999, Max: 10000, LRU: true} }, "map-fill", OK, "x, 89 %", ""},
		{"no more", func(f *Facts) { f.Running.Fill[0] = dataplane.Fill{Map: "own", Entries: 64, Max: 64} }, "map-fill", Fail, "may be steered", "ip addr"},
		{"counts", func(f *Facts) { f.Running.Fill[0] = dataplane.Fill{Map: "hits", Entries: 64, Max: 64} }, "map-fill", Note, "are not counted", ""},
		{"of tc", func(f *Facts) { f.Running.Fill[0] = dataplane.Fill{Map: "questions", Entries: 64, Max: 64, LRU: true} }, "map-fill", Note, "least lately used go", ""},
		{"many CPUs", func(f *Facts) { f.Host.CPUs = 128 }, "map-size", Note, "128 possible CPUs", ""},
		{"never", func(f *Facts) { f.Rules = rules(t, "a.example wg0", "=a.example direct", "*.a.example direct") },
			"rules-shadowed", Warn, "a.example (by =a.example)", "domain-route rule del a.example"},
		{"never, of a user", func(f *Facts) {
			f.Rules = rules(t, "a.example wg0 user=5 cgroup=/a", "=a.example direct user=5", "*.a.example direct")
		}, "rules-shadowed", Warn, "a.example", "domain-route rule del a.example user=5 cgroup=/a"},
		{"never, of a cgroup", func(f *Facts) {
			f.Rules = rules(t, "a.example wg0 cgroup=/a/b", "=a.example direct cgroup=/a", "*.a.example direct")
		}, "rules-shadowed", Warn, "a.example cgroup=/a/b (by =a.example cgroup=/a)", "domain-route rule del a.example cgroup=/a/b"},
		{"change nothing", func(f *Facts) { f.Rules = rules(t, "a.example wg0", "b.a.example wg0") }, "rules-shadowed", Note, "without which all would be the same: 1: b.a.example", "domain-route rule del b.a.example"},
		{"one", func(f *Facts) { f.Rules = rules(t, "example.com wg0", "never.example wg0") }, "rules-hit", Note, "1 of 2 rules have decided no connection yet: never.example", ""},
		{"refused", func(f *Facts) { f.Running.Status.Counters = []dataplane.Counter{{Name: "bind_failed", Value: 3}} }, "counters", Note, "bind_failed: 3 since start", ""},
		{"spoofed", func(f *Facts) {
			f.Running.Status.Counters = []dataplane.Counter{{Name: "answers", Value: 500}, {Name: "answer_unasked", Value: 101}}
		},
			"counters", Note, "101 beside 500", ""},
		{"some", func(f *Facts) { f.Running.Old = []string{"tcp to 192.0.2.1:443"} }, "old-connections", Note, "1 are where they would not go", "domain-route reset"},
		{"unknown", func(f *Facts) { f.Running.OldErr = errors.New("no tcp_diag") }, "old-connections", Note, "no tcp_diag", ""},
	}
}
