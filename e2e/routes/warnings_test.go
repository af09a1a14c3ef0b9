package routes

import (
	"os"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
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
