package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// Whoever nearly had it is told the rest, in a line.
func TestHints(t *testing.T) {
	for args, words := range map[string]string{
		"aply":                                `no command "aply"; did you mean: domain-route apply`,
		"rules":                               `no command "rules"; did you mean: domain-route rule`,
		"stauts":                              "or domain-route status",
		"rule ad a.test wg0":                  `no command "rule ad"; did you mean: domain-route rule add`,
		"rule remove a.test":                  "did you mean: domain-route rule del",
		"rule xyzzy":                          `no command "rule xyzzy"; see: domain-route rule --help`,
		"xyzzy":                               `no command "xyzzy"; see: domain-route --help`,
		"help aply":                           "did you mean: domain-route apply",
		"help rule lst":                       "did you mean: domain-route rule list",
		"rule add a.test wg0 wan0":            "for the first interface that exists write: wg0,wan0",
		"rule add a.test wg0 wan0 user=root":  "for the first interface that exists write: wg0,wan0",
		"rule add a.test wg0, wan0":           "for the first interface that exists write: wg0,wan0\n",
		"rule add a.test wg0 , wan0":          "for the first interface that exists write: wg0,wan0\n",
		"rule add a.test via wg0":             "without a word before it; write: wg0\n",
		"rule add a.test dev wg0 user=root":   "without a word before it; write: wg0\n",
		"rule add lo a.test":                  "lo is an interface, and the name comes first; write: domain-route rule add a.test lo\n",
		"add a.test wg0":                      `no command "add"; did you mean: domain-route rule add`,
		"del a.test":                          "did you mean: domain-route rule del",
		"list":                                "did you mean: domain-route rule list",
		"save":                                "did you mean: domain-route rule save",
		"reload":                              "did you mean: domain-route apply",
		"why a.test":                          "did you mean: domain-route explain",
		"test a.test":                         "did you mean: domain-route explain",
		"check a.test":                        "did you mean: domain-route explain",
		"stp":                                 "no command \"stp\"; see: domain-route --help",
		"sto":                                 "no command \"sto\"; see: domain-route --help",
		"rset":                                "no command \"rset\"; see: domain-route --help",
		"flsh":                                "no command \"flsh\"; see: domain-route --help",
		"status --json":                       "unknown flag: --json; write: -o json",
		"start --audit no":                    `takes no arguments, and got "no"; write: --audit=no`,
		"start no":                            `takes no arguments, and got "no"` + "\n",
		"watch a.test":                        `takes no arguments, and got "a.test"; write: --name a.test`,
		"watch --for 2":                       "; write 2s\n",
		"watch --for x":                       "invalid argument \"x\"",
		"apply config.yaml":                   "; write: -f FILE for rules or one YAML file, --config FILE for a configuration",
		"rdns http:///path":                   "no host in the URL",
		"rule add * wg0":                      "write: default",
		"rule del *":                          "write: default",
		"rule del a.test wg0":                 `rule del takes no target, and got "wg0"; write: domain-route rule del a.test`,
		"rule del a.test wg0 user=root":       "write: domain-route rule del a.test user=root",
		"start --history=maybe --config=gone": "--history=maybe: it is yes or no",
		"start --observe foo --config=gone":   `observer "foo"`,
	} {
		code, out, errs := run(Env{}, "", strings.Fields(args)...)
		if code != ExitUsage || out != "" || !strings.Contains(errs, words) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%s: exit %d, %q, %q", args, code, out, errs)
		}
	}
}

// status tells of targets that lead nowhere, of each once, and of many how many more.
func TestAway(t *testing.T) {
	set, present := ruleset.New(), []dataplane.Device{{Index: 2, Name: "wan0"}}
	add := func(name, target string) {
		p, err := pattern.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		to, err := ruleset.ParseTarget(target)
		if err != nil {
			t.Fatal(err)
		}
		set.Add(ruleset.Rule{Pattern: p, Target: to})
	}
	for i, target := range []string{"wan0", "gone0,wan0", "gone0,direct", "direct", "block", "mark:1"} {
		add(fmt.Sprintf("n%d.test", i), target)
	}
	targets := func() []ruleset.TargetRules {
		text, err := set.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		all, err := ruleset.CountTargets(text)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if got := awayOf(targets(), present); len(got) != 0 {
		t.Errorf("%q", got)
	}
	add("a.test", "gone0")
	add("b.test", "gone0")
	if got := awayOf(targets(), present); len(got) != 1 || got[0] != "no interface of the target gone0 exists: connections by it fail; rules: 2" {
		t.Errorf("%q", got)
	}
	for i := range 30 {
		add(fmt.Sprintf("g%d.test", i), fmt.Sprintf("gone%d", i+1))
	}
	if got := awayOf(targets(), present); len(got) != mostTold+1 || got[mostTold] != "targets more without an interface: 11" {
		t.Errorf("%q", got)
	}
}
