package routes

import (
	"fmt"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// A connection to a ruled name goes by the rule's interface and one to another name does not, in every way there is.
func TestRuledAndUnruled(t *testing.T) {
	h := harness.Started(t)
	ruled, other := h.MustHost("www.example.test"), h.MustHost("www.other.test")
	a := h.MustAgent(lab.AgentOptions{})
	rules(t, h, [2]string{"example.test", "vpn0"})
	wantOut(t, h, a, ruled, "wan0") // nobody has asked for it yet
	learn(t, []string{"www.example.test", "www.other.test"}, a)
	wantOut(t, h, a, ruled, "vpn0")
	wantOut(t, h, a, other, "wan0")
}

func TestPatterns(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	lte0 := lab.UplinkOptions{}
	check(t, h.AddUplink("lte0", lte0))
	for i, c := range []struct {
		rules [][2]string
		want  map[string]string // name -> uplink
	}{
		{
			[][2]string{{"suffix.test", "vpn0"}},
			map[string]string{"suffix.test": "vpn0", "a.suffix.test": "vpn0", "a.b.c.suffix.test": "vpn0",
				"asuffix.test": "wan0", "suffix.test.test": "wan0", "test": "wan0"},
		},
		{
			[][2]string{{"*.below.test", "vpn0"}},
			map[string]string{"below.test": "wan0", "a.below.test": "vpn0", "a.b.below.test": "vpn0", "abelow.test": "wan0"},
		},
		{
			[][2]string{{"=exact.test", "vpn0"}},
			map[string]string{"exact.test": "vpn0", "a.exact.test": "wan0"},
		},
		{ // the most specific wins: exact, then the longest suffix
			[][2]string{{"long.test", "vpn0"}, {"a.long.test", "wan0"}, {"*.b.a.long.test", "lte0"}, {"=c.b.a.long.test", "vpn0"},
				{"=d.long.test", "direct"}},
			map[string]string{"long.test": "vpn0", "x.long.test": "vpn0", "a.long.test": "wan0", "x.a.long.test": "wan0",
				"b.a.long.test": "wan0", "x.b.a.long.test": "lte0", "c.b.a.long.test": "vpn0", "x.c.b.a.long.test": "lte0",
				"d.long.test": "wan0", "x.d.long.test": "vpn0"},
		},
		{ // one suffix with three kinds of pattern
			[][2]string{{"same.test", "vpn0"}, {"*.same.test", "lte0"}, {"=same.test", "wan0"}},
			map[string]string{"same.test": "wan0", "x.same.test": "lte0"},
		},
		{
			[][2]string{{".", "vpn0"}, {"no.default.test", "direct"}, {"yes.default.test", "lte0"}},
			map[string]string{"a.default.test": "vpn0", "no.default.test": "wan0", "yes.default.test": "lte0"},
		},
		{ // case and a final dot do not matter; U-labels stand for their A-labels
			[][2]string{{"UPPER.Test.", "vpn0"}, {"bücher.test", "lte0"}},
			map[string]string{"a.upper.test": "vpn0", "A.uPPER.tEST": "vpn0", "shop.xn--bcher-kva.test": "lte0"},
		},
	} {
		t.Run(fmt.Sprint(i, " ", c.rules[0][0]), func(t *testing.T) {
			rules(t, h, c.rules...)
			for name, want := range c.want {
				server := h.MustHost(name)
				learn(t, []string{name}, a)
				for _, k := range []via.Kind{via.TCP4, via.UDP6} {
					if got := via.Out(h.Lab, a, k, server, uplinks...); got != want {
						t.Errorf("%s by %s: %s, want %s", name, k, got, want)
					}
				}
			}
		})
	}
}

// A rule that ends leaves no trace in what was learnt under it.
func TestRuleEnds(t *testing.T) {
	h := harness.Started(t)
	a := h.MustAgent(lab.AgentOptions{})
	server := h.MustHost("ends.test")
	h.Must("rule", "add", "ends.test", "vpn0")
	learn(t, []string{"ends.test"}, a)
	wantOut(t, h, a, server, "vpn0")
	h.Must("rule", "del", "ends.test")
	wantOut(t, h, a, server, "wan0")
	if r := h.Run("rule", "del", "ends.test"); r.Code != 1 {
		t.Errorf("deleting it again: exit %d, want 1\n%s", r.Code, r.Stderr)
	}
}
