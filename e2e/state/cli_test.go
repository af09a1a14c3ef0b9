package state

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// Everything that prints, prints JSON: one envelope on stdout, its kind, and the members it promises.
func TestJSON(t *testing.T) {
	h := harness.New(t, lab.Options{})
	h.MustHost("a.test")
	a := h.MustAgent(lab.AgentOptions{})
	for i, c := range []struct {
		args, kind string
		code       int
		members    string
	}{
		{"status", "Status", 1, "state home observers cgroup rules generation programs counters memory_bytes warnings"},
		{"version", "Version", 0, "version"},
		{"stop", "Stop", 0, "stopped rules_forgotten"},
		{"start --cgroup " + h.Cgroup, "Start", 0, "action observers cgroup warnings"},
		{"start --cgroup " + h.Cgroup, "Start", 0, "action observers cgroup warnings"},
		{"rule add a.test vpn0", "RuleChange", 0, "pattern target"},
		{"rule add a.test gone0", "RuleChange", 0, "pattern target replaced warnings"},
		{"rule list", "RuleList", 0, "rules rules.pattern rules.target"},
		{"rdns", "LearntList", 0, "names names.address names.name names.level names.pid names.uid names.ttl names.rule names.target"},
		{"rdns 192.0.2.1", "LearntList", 1, "names"},
		{"decision", "DecisionList", 0, "decisions decisions.address decisions.level decisions.pid decisions.uid " +
			"decisions.name decisions.rule decisions.target"},
		{"status", "Status", 0, "state home observers cgroup rules generation programs programs.name programs.hook programs.id " +
			"programs.attached programs.verified_instructions counters counters.steered memory_bytes warnings"},
		{"rule del a.test", "RuleChange", 0, "pattern target deleted"},
		{"rule del a.test", "RuleChange", 1, "pattern deleted"},
		{"stop", "Stop", 0, "stopped rules_forgotten"},
	} {
		r := h.Run(append(strings.Fields(c.args), "-o", "json")...)
		if r.Code != c.code {
			t.Errorf("%d: %s: exit %d, want %d; %s", i, c.args, r.Code, c.code, r.Stderr)
		}
		var envelope struct {
			APIVersion, Kind string
			Data             map[string]any
		}
		if err := json.Unmarshal([]byte(r.Stdout), &envelope); err != nil {
			t.Errorf("%d: %s: %v in %q", i, c.args, err, r.Stdout)
		}
		if envelope.APIVersion != "domain-route/v1" || envelope.Kind != c.kind {
			t.Errorf("%d: %s: %q of kind %q, want kind %q", i, c.args, envelope.APIVersion, envelope.Kind, c.kind)
		}
		for _, m := range strings.Fields(c.members) {
			if !has(envelope.Data, m) {
				t.Errorf("%d: %s lacks %s: %s", i, c.args, m, r.Stdout)
			}
		}
		if strings.Contains(r.Stdout, "\x1b") {
			t.Errorf("%d: %s: colours in JSON", i, c.args)
		}
		if strings.HasPrefix(c.args, "rule add") {
			check(t, via.Learn(a, "a.test"))
		}
	}
}

// has tells whether data has a member, which may be in the first element of a list: "rules.pattern".
func has(data map[string]any, path string) bool {
	first, rest, deeper := strings.Cut(path, ".")
	value, ok := data[first]
	if !ok || !deeper {
		return ok && value != nil
	}
	switch value := value.(type) {
	case map[string]any:
		return has(value, rest)
	case []any:
		if len(value) == 0 {
			return false
		}
		element, ok := value[0].(map[string]any)
		return ok && has(element, rest)
	}
	return false
}

// Commands that only ask change nothing; those that change something have nothing to say on stdout but JSON.
func TestStdoutIsData(t *testing.T) {
	h := harness.New(t, lab.Options{})
	for _, c := range []struct {
		args          string
		stdout, quiet bool // whether there is data; whether stderr must be empty
	}{
		{"start --cgroup " + h.Cgroup, false, false},
		{"rule add a.test vpn0", false, true},
		{"rule list", true, true},
		{"status", true, true},
		{"version", true, true},
		{"help", true, true},
		{"rule add --help", true, true},
		{"completion bash", true, true},
		{"rdns", false, false}, // it says that nothing is learnt
		{"decision", false, true},
		{"rule del a.test", false, true},
		{"stop", false, false},
	} {
		r := h.Run(strings.Fields(c.args)...)
		if r.Code != 0 || (r.Stdout != "") != c.stdout || (r.Stderr != "") == c.quiet {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", c.args, r.Code, r.Stdout, r.Stderr)
		}
	}
}
