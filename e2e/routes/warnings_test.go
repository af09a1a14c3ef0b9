package routes

import (
	"os"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// What would time out in silence is said when the rule is added, with the command that mends it.
func TestRuleAddWarns(t *testing.T) {
	h := harness.Started(t)
	setting := func(value string) {
		err := h.Client.Do(func() error {
			return os.WriteFile("/proc/sys/net/ipv4/conf/vpn0/rp_filter", []byte(value), 0)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := h.AddUplink("tun0", lab.UplinkOptions{Tun: true}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ strict, target, want string }{
		{"0", "vpn0", ""},
		{"1", "vpn0", "sysctl -w net.ipv4.conf.vpn0.rp_filter=2"},
		{"2", "vpn0", ""},
		{"0", "tun0", "domain-route rule add =SERVER direct"},
		{"0", "gone0", "interface gone0 does not exist now"},
	} {
		setting(c.strict)
		r := h.Run("rule", "add", "warned.test", c.target)
		if said := strings.Contains(r.Stderr, "warning"); r.Code != 0 || said != (c.want != "") || !strings.Contains(r.Stderr, c.want) {
			t.Errorf("rp_filter %s, %s: exit %d, said %q; want %q", c.strict, c.target, r.Code, r.Stderr, c.want)
		}
	}
}

// Whether a socket that is bound to the interface finds a route is what counts: one of the main table, or of another that
// a routing rule leads to.
func TestRuleAddAsksTheKernelForRoutes(t *testing.T) {
	h := harness.Started(t)
	if err := h.AddUplink("tun0", lab.UplinkOptions{Tun: true, NoDefaultRoute: true}); err != nil {
		t.Fatal(err)
	}
	ip := func(args string) {
		t.Helper()
		if out, err := h.HostCommand(t.Context(), "ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
	gateway := h.Uplink("vpn0").Gateway4.String()
	const four, six, down = "no IPv4 default route by ", "no IPv6 route by ", " is down; until it is up"
	for _, c := range []struct {
		what, do, rule string
		want           []string // and nothing else
	}{
		{"a tunnel without", "", "warned.test tun0", []string{"tun device", six + "tun0: connections by IPv6 fail (ENETUNREACH); add one: ip -6 route add default dev tun0 metric 9999"}},
		{"a tunnel's table", "-6 route add default dev tun0 table 77;-6 rule add oif tun0 lookup 77", "warned.test tun0", []string{"tun device"}},
		{"the only one", "-6 rule del oif tun0 lookup 77;-6 route flush default table main", "warned.test tun0",
			[]string{"tun device", "ip -6 route add default dev tun0 table TABLE && ip -6 rule add oif tun0 lookup TABLE"}},
		{"Ethernet without", "route del default dev vpn0", "warned.test vpn0",
			[]string{four + "vpn0, so only its own network can be reached; add one: ip route add default via GATEWAY dev vpn0 metric 9999", six + "vpn0"}},
		{"its own network", "", gateway + " vpn0", nil},
		{"another network", "", "192.0.2.0/24 vpn0", []string{four}},
		{"Ethernet's table", "route add default via " + gateway + " dev vpn0 table 78;rule add oif vpn0 lookup 78", "warned.test vpn0", []string{six + "vpn0"}},
		{"down", "link set vpn0 down", "warned.test vpn0", []string{"interface vpn0" + down + ", what the rule sends there fails: ip link set vpn0 up"}},
	} {
		for _, args := range strings.Split(c.do, ";") {
			if args != "" {
				ip(args)
			}
		}
		var data struct{ Warnings []string }
		r := h.JSON(&data, append([]string{"rule", "add"}, strings.Fields(c.rule)...)...)
		good := r.Code == 0 && len(data.Warnings) == len(c.want)
		for i := range c.want {
			good = good && strings.Contains(data.Warnings[i], c.want[i])
		}
		if !good {
			t.Errorf("%s: exit %d, %q; want %q", c.what, r.Code, data.Warnings, c.want)
		}
	}
}

// What becomes of what is sent to an interface that does not exist is up to the rest of the chain, and connections do what was said.
func TestRuleAddTellsWhereAChainGoesOn(t *testing.T) {
	h := harness.Started(t)
	server := h.MustHost("warned.test")
	const gone = "interface gone0 does not exist now; "
	for _, c := range []struct{ target, want, goes string }{
		{"gone0", gone + "until it does, what the rule sends there fails", "ENODEV"},
		{"gone0,block", gone + "until it does, what the rule sends there fails", "ENODEV"},
		{"gone0,direct", gone + "until it does, the rule leaves alone what it would send there (direct)", "wan0"},
		{"gone0,vpn0", gone + "until it does, the rule goes on to vpn0", "vpn0"},
		{"gone0,vpn0,direct", gone + "until it does, the rule goes on to vpn0", "vpn0"},
		{"vpn0,gone0", gone + "the rule sends to vpn0, which comes before it", "vpn0"},
		{"gone0,gone1,vpn0", gone + "until it does, the rule goes on to vpn0|interface gone1 does not exist now; until it does, the rule goes on to vpn0", "vpn0"},
	} {
		var data struct{ Warnings []string }
		r := h.JSON(&data, "rule", "add", "warned.test", c.target)
		if got := strings.Join(data.Warnings, "|"); r.Code != 0 || got != c.want {
			t.Errorf("%s: exit %d, %q; want %q", c.target, r.Code, got, c.want)
		}
		a := h.MustAgent(lab.AgentOptions{})
		if err := via.Learn(a, "warned.test"); err != nil {
			t.Fatal(err)
		}
		if got := via.Out(h.Lab, a, via.TCP4, server); got != c.goes {
			t.Errorf("%s: %s, want %s", c.target, got, c.goes)
		}
		_ = a.Close()
	}
}

// What was meant for something else is refused, or told: an interface where the name belongs, a name or a misspelt word as the
// target, and a cgroup that no program of the host is in.
func TestRuleAddTellsWhatWasMeant(t *testing.T) {
	h := harness.Started(t)
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"vpn0 example.org", "vpn0 is an interface, and the name comes first; write: domain-route rule add example.org vpn0\n", 2},
		{"example.net example.com", "interface example.com does not exist now; until it does, what the rule sends there fails; it looks like a name: a target is an interface, direct, ", 0},
		{"example.net eth0.5", "interface eth0.5 does not exist now; until it does, what the rule sends there fails\n", 0},
		{"example.net blok", "; did you mean block?\n", 0},
		{"example.net vpn0 cgroup=/nope", "cgroup /nope is outside of ", 0},
		{"example.net vpn0 cgroup=" + h.Cgroup + "/nope", "/nope does not exist now; until it does", 0},
		{"example.net vpn0 cgroup=" + h.Cgroup, "", 0},
	} {
		r := h.Run(append([]string{"rule", "add"}, strings.Fields(c.args)...)...)
		if r.Code != c.code || !strings.Contains(r.Stderr, c.want) || c.want == "" && r.Stderr != "" {
			t.Errorf("%s: exit %d, %q; want %q", c.args, r.Code, r.Stderr, c.want)
		}
	}
}
