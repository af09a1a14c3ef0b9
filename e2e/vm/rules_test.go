package vm

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestRules(t *testing.T) {
	h := harness.Started(t)
	check(t, h.AddUplink("lte0", lab.UplinkOptions{}))
	t.Run("conditions", func(t *testing.T) { conditions(t, h) })
	t.Run("addresses", func(t *testing.T) { addresses(t, h) })
}

// conditions: cgroups and users. Where the kernel keeps the path of a cgroup differs between versions.
func conditions(t *testing.T, h *harness.Host) {
	to := h.MustHost("site.test")
	root, err := lab.CgroupRoot()
	check(t, err)
	long := strings.Repeat("x", 255)
	agents := map[string]*lab.Agent{}
	for place, uid := range map[string]uint32{"": 0, "a": 1001, "a/foo": 1001, "a/foo/deep/er": 1002, "a/foobar": 1002, long: 1001, long + "/in": 1002} {
		dir := filepath.Join(h.Cgroup, place)
		check(t, os.MkdirAll(dir, 0o755))
		in, err := os.Open(dir)
		check(t, err)
		defer in.Close()
		agents[place] = agent(h, lab.AgentOptions{UID: uid, Cgroup: in})
	}
	learn(t, agents[""], "site.test")
	var all []string
	for _, r := range []struct{ target, cgroup, user string }{
		{"vpn0", "a/foo", ""}, {"direct", "a/foo/deep", "1001"}, {"lte0", "a/foobar", "1002"}, {"block", "a/fo", ""}, {"lte0", long, ""}, {"vpn0", "", "1001"},
	} {
		rule := "site.test " + r.target
		if r.cgroup != "" {
			rule += " cgroup=" + filepath.Join("/", strings.TrimPrefix(h.Cgroup, root), r.cgroup)
		}
		if r.user != "" {
			rule += " user=" + r.user
		}
		all = append(all, rule)
	}
	apply(t, h, all...)
	for place, want := range map[string]string{
		"": "wan0", "a": "vpn0", "a/foo": "vpn0", "a/foo/deep/er": "vpn0", "a/foobar": "lte0", long: "lte0", long + "/in": "lte0",
	} {
		t.Run(fmt.Sprintf("in /%.15s", place), func(t *testing.T) {
			wantOut(t, h, agents[place], to, want, via.TCP4, via.UDP6)
		})
	}
}

// addresses: the longest prefix decides, and a rule for all of IPv6 is not one for IPv4.
func addresses(t *testing.T, h *harness.Host) {
	a := agent(h, lab.AgentOptions{})
	apply(t, h, "203.0.0.0/16 vpn0", "203.0.113.0/24 lte0", "203.0.113.7 direct", "10.1.0.0/16 vpn0",
		"::/0 vpn0", "2001:db8:7::/48 lte0", "2001:db8:7::7 direct")
	for text, want := range map[string]string{
		"203.0.112.255": "vpn0", "203.0.113.6": "lte0", "203.0.113.7": "wan0", "198.51.101.1": "wan0", "10.1.2.3": "vpn0",
		"2001:db8:6::1": "vpn0", "2001:db8:7::6": "lte0", "2001:db8:7::7": "wan0",
	} {
		to := netip.MustParseAddr(text)
		check(t, h.AddServerAddr(to))
		kinds := []via.Kind{via.TCP6, via.UDP6}
		if to.Is4() {
			kinds = []via.Kind{via.TCP4, via.UDPMapped}
		}
		wantOut(t, h, a, lab.Host{Addr4: to, Addr6: to}, want, kinds...)
	}
}
