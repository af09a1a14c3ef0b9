package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/internal/pattern"
)

// An interface where the name belongs is refused with the command that was meant, if there is one.
func TestSwapped(t *testing.T) {
	exists := func(name string) bool { return slices.Contains([]string{"wg0", "eth0.5", "lan"}, name) }
	for args, want := range map[string]string{
		"wg0 example.org":           "wg0 is an interface, and the name comes first; write: domain-route rule add example.org wg0",
		"wg0 example.org user=root": "write: domain-route rule add example.org wg0 user=root",
		"wg0 *.www.example.org":     "write: domain-route rule add *.www.example.org wg0", // longer than a target
		"wg0 192.0.2.0/24":          "write: domain-route rule add 192.0.2.0/24 wg0",
		"wg0 default":               "write: domain-route rule add default wg0",
		"eth0.5 example.org":        "write: domain-route rule add example.org eth0.5",
		"lan gone0":                 "write: domain-route rule add gone0 lan; or, if lan is a name, too: lan.",
		"example.org wg0":           "", "lan wg0": "", "lan eth0.5": "", "lan direct": "", "lan block": "", "lan mark:1": "", "lan gone0,wg0": "",
		"lan gone0,direct": "", "lan 3": "", "lan. gone0": "", "example.net example.com": "", "wg0 a..b": "",
	} {
		err := swapped(strings.Fields(args), exists)
		if got := ""; err != nil {
			if got = err.Error(); want == "" || !strings.HasSuffix(got, want) || exitCode(err) != ExitUsage {
				t.Errorf("%s: %q", args, got)
			}
		} else if want != "" {
			t.Errorf("%s is taken", args)
		}
	}
	if _, err := pattern.Parse("lan."); err != nil {
		t.Errorf("what is advised: %v", err)
	}
}

// A target that nothing is called may be another word, or a name.
func TestMeantByTarget(t *testing.T) {
	for _, word := range []string{"blok", "blocks", "bolck", "dirct", "direkt"} {
		if got := meantByTarget(word); !strings.HasPrefix(got, "did you mean ") {
			t.Errorf("%s: %q", word, got)
		}
	}
	for _, name := range []string{"example.com", "www.example.DE"} {
		if got := meantByTarget(name); !strings.HasPrefix(got, "it looks like a name") {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, name := range []string{"wg0", "eth0.5", "bond0.100", "lock0", "a.b"} {
		if got := meantByTarget(name); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}
