package routes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestTargets(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	check(t, h.AddUplink("lte0", lab.UplinkOptions{}))
	server := h.MustHost("target.test")
	learn(t, []string{"target.test"}, a)
	for _, c := range []struct{ target, want string }{
		{"vpn0", "vpn0"},
		{"wan0", "wan0"},
		{"direct", "wan0"},
		{"block", "EHOSTUNREACH"},
		{"gone0", "ENODEV"},
		{"gone0,block", "ENODEV"},
		{"gone0,direct", "wan0"},
		{"vpn0,lte0", "vpn0"},
		{"gone0,vpn0", "vpn0"},
		{"gone0,gone1,lte0,direct", "lte0"},
		{"gone0,gone1,gone2,vpn0", "vpn0"},
		{"gone0,gone1,gone2,gone3", "ENODEV"},
		{"gone0,gone1,gone2,gone3,direct", "wan0"},
		{"a-long-name-15b,vpn0", "vpn0"},
		{"vpn", "ENODEV"}, // the beginning of a name is not the name
		{"vpn00", "ENODEV"},
	} {
		t.Run(c.target, func(t *testing.T) {
			rules(t, h, [2]string{"target.test", c.target})
			h.ResetPackets()
			h.ResetHits()
			wantOut(t, h, a, server, c.want)
			if strings.HasPrefix(c.want, "E") {
				wantNoPackets(t, h, server, "wan0", "vpn0", "lte0")
				if hits := h.Hits(); len(hits) > 0 {
					t.Errorf("the server was reached: %v", hits)
				}
			}
		})
	}
}

// A rule by index is kept by the name that the index has now, as the seed tool's users write it.
func TestTargetByIndex(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("index.test")
	learn(t, []string{"index.test"}, a)
	h.Must("rule", "add", "index.test", fmt.Sprint(h.Uplink("vpn0").Index))
	if got, want := h.Must("rule", "list"), "index.test vpn0\n"; got != want {
		t.Errorf("rule list: %q, want %q", got, want)
	}
	wantOut(t, h, a, server, "vpn0")
	check(t, h.DeleteUplink("vpn0"))
	check(t, h.CreateUplink("vpn0"))
	wantOut(t, h, a, server, "vpn0")

	r := h.Run("rule", "add", "index.test", "54321")
	if r.Code != 2 || !strings.Contains(r.Stderr, "54321") {
		t.Errorf("an index that no interface has: exit %d, want 2; says %q", r.Code, r.Stderr)
	}
	wantOut(t, h, a, server, "vpn0")
}

// The first interface of a chain that exists is taken anew at each connect.
func TestChainFollowsInterfaces(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	check(t, h.AddUplink("lte0", lab.UplinkOptions{}))
	server := h.MustHost("chain.test")
	rules(t, h, [2]string{"chain.test", "vpn0,lte0"})
	learn(t, []string{"chain.test"}, a)
	wantOut(t, h, a, server, "vpn0")
	check(t, h.DeleteUplink("vpn0"))
	wantOut(t, h, a, server, "lte0")
	check(t, h.DeleteUplink("lte0"))
	h.ResetPackets()
	wantOut(t, h, a, server, "ENODEV")
	wantNoPackets(t, h, server, "wan0")
	h.Must("rule", "add", "chain.test", "vpn0,lte0,direct")
	wantOut(t, h, a, server, "wan0")
	check(t, h.CreateUplink("lte0"))
	wantOut(t, h, a, server, "lte0")
	check(t, h.CreateUplink("vpn0"))
	wantOut(t, h, a, server, "vpn0")
}

// A target that does not exist is said, as a warning.
func TestMissingInterfaceWarns(t *testing.T) {
	h := harness.Started(t)
	r := h.Run("rule", "add", "warn.test", "gone0")
	if r.Code != 0 || !strings.Contains(r.Stderr, "gone0") || strings.Contains(r.Stdout, "warning") {
		t.Errorf("exit %d, stdout %q, stderr %q; want 0 and a warning on stderr", r.Code, r.Stdout, r.Stderr)
	}
	var data struct{ Warnings []string }
	h.JSON(&data, "rule", "add", "warn.test", "gone0")
	if len(data.Warnings) != 1 || !strings.Contains(data.Warnings[0], "gone0") {
		t.Errorf("warnings %q, want one about gone0", data.Warnings)
	}
	data.Warnings = nil
	h.JSON(&data, "rule", "add", "warn.test", "vpn0")
	if len(data.Warnings) != 0 {
		t.Errorf("warnings %q about an interface that exists", data.Warnings)
	}
}
