package threats

import (
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// Names of one address whose rules differ are counted when they meet where it is decided, and there alone; the latest
// look-up of one with a rule wins. Defence: `mixed` in consult_one(), COUNT_CONFLICT in verdict_for().
func TestConflict(t *testing.T) {
	h := harness.Started(t)
	if err := h.AddUplink("vpn1", lab.UplinkOptions{}); err != nil {
		t.Fatal(err)
	}
	h.Must("rule", "add", "bank.example", "vpn0")
	h.Must("rule", "add", "shop.example", "vpn1")
	h.Must("rule", "add", "also.example", "vpn0")
	h.Must("rule", "add", "left.example", "direct")
	for _, c := range []struct {
		why       string
		asks      []string // by the process that connects
		user      []string // by another process of its user, later
		want      string
		conflicts uint64
	}{
		{"one name", []string{"bank"}, nil, "vpn0", 0},
		{"two of one target", []string{"bank", "also"}, nil, "vpn0", 0},
		{"two targets", []string{"bank", "shop"}, nil, "vpn1", 1},
		{"the other way round", []string{"shop", "bank"}, nil, "vpn0", 1},
		{"the first again", []string{"bank", "shop", "bank"}, nil, "vpn0", 1},
		{"with a rule and without", []string{"bank", "plain"}, nil, "vpn0", 1},
		{"without and with", []string{"plain", "bank"}, nil, "vpn0", 1},
		{"two without", []string{"plain", "other"}, nil, "wan0", 0},
		{"direct is a rule", []string{"bank", "left"}, nil, "wan0", 1},
		{"all of them", []string{"plain", "bank", "left", "shop"}, nil, "vpn1", 1},
		{"at a level that does not decide", []string{"bank"}, []string{"shop", "plain"}, "vpn0", 0},
		{"at the user's level, which decides", nil, []string{"bank", "shop"}, "vpn1", 1},
	} {
		t.Run(c.why, func(t *testing.T) {
			goes, asks := h.MustAgent(lab.AgentOptions{UID: alice}), h.MustAgent(lab.AgentOptions{UID: alice})
			server := h.MustHost()
			for _, name := range c.asks {
				h.DNS.Set(name+".example", server.Addr4)
				resolve(t, goes, lab.Query{Name: name + ".example"})
			}
			for _, name := range c.user {
				h.DNS.Set(name+".example", server.Addr4)
				resolve(t, asks, lab.Query{Name: name + ".example"})
			}
			v := look(h)
			expectTCP(t, h, goes, server.Addr4, c.want, "TCP")
			if moved := v.moved("conflict"); moved["conflict"] != c.conflicts {
				t.Errorf("%d conflicts, want %d", moved["conflict"], c.conflicts)
			}
			if _, err := goes.DialUDPUnconnected(port(server.Addr4, lab.EchoPort)); err != nil {
				t.Error(err)
			}
			if moved := v.moved("conflict"); moved["conflict"] > 0 != (c.conflicts > 0) {
				t.Errorf("%d conflicts of a datagram", moved["conflict"])
			}
		})
	}
}
