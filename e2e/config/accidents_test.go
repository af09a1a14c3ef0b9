package config

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// What drops all rules, or all of a list, is taken for an accident: nothing changes, and a line says how it would.
func TestAccidents(t *testing.T) {
	s := startedSite(t)
	whole := func() {
		s.write("config.yaml", "rules: [{match: a.test, target: vpn0}]\nlists: [{file: list, format: plain, match: suffix, target: block}]\n")
		s.write("list", "b.test\n")
		s.write("config.d/10.yaml", "observe: [sockets, libc]\n")
	}
	const running = "a.test vpn0\nb.test block\n"
	for name, c := range map[string]struct {
		words, then string
		accident    func() error
	}{
		"emptied": {"no rule would be left of the 2 that run", "# no rules\n", func() error { return os.Truncate(s.path("config.yaml"), 0) }},
		"missing": {"no rule would be left of the 2 that run", "# no rules\n", func() error { return os.Remove(s.path("config.yaml")) }},
		"list":    {s.path("list") + " (named at " + s.path("config.yaml") + ":2): the list gives no rule", "a.test vpn0\n", func() error { return os.Truncate(s.path("list"), 0) }},
		"all list": {"the list gives no rule", "# no rules\n", func() error {
			s.write("config.yaml", "lists: [{file: list, target: block, format: plain, match: suffix}]\n")
			return os.Truncate(s.path("list"), 0)
		}},
	} {
		whole()
		s.must("apply")
		check(t, c.accident())
		for _, args := range [][]string{{"apply"}, {"apply", "--dry-run"}, {"apply", "-q"}, {"apply", "-o", "json"}} {
			r := s.run(args...)
			wantFailure(t, r, 2, c.words, []string{name})
			if strings.Count(r.Stderr, "\n") != 1 || !strings.Contains(r.Stderr, "nothing is changed; if it is meant, add --allow-empty") || s.rules() != running {
				t.Errorf("%s, %q: %s", name, args, r.Stderr)
			}
		}
		s.must("apply", "--dry-run", "--allow-empty")
		s.must("apply", "--allow-empty")
		if got := s.rules(); got != c.then {
			t.Errorf("%s: %s", name, got)
		}
		s.must("apply", "--allow-empty")
	}
	whole()
	s.must("apply")
	for in, code := range map[string]int{"rules: []\n": 2, "": 2, "# no rules\n": 0} {
		if r := s.with(in, "apply", "--dry-run", "-f", "-"); r.Code != code {
			t.Errorf("%q: exit %d, %s", in, r.Code, r.Stderr)
		}
	}
}

// Where no rules run there are none to lose; --strict does not let an empty list pass either way.
func TestNothingToLose(t *testing.T) {
	s := startedSite(t)
	s.write("config.yaml", "history: yes\n")
	s.must("apply")
	s.write("list", "")
	s.write("config.yaml", "rules: [{match: a.test, target: vpn0}]\nlists: [{file: list, format: plain, match: suffix, target: block}]\n")
	s.fails(2, "lists that give no rule: 1; nothing is changed", "apply", "--strict", "--allow-empty")
}

// A boot without a list, or without rules, is better than none, and is told.
func TestStartWithoutRules(t *testing.T) {
	s := newSite(t)
	for text, words := range map[string]string{
		"lists: [{file: list, format: plain, match: suffix, target: block}]\nrules: [{match: a.test, target: vpn0}]\n": "warning: " + s.path("list") + " (named at " + s.path("config.yaml") + ":1): the list gives no rule",
		"": "warning: the configuration has no rules",
	} {
		s.write("list", "")
		s.write("config.yaml", text)
		for range 2 { // the second time by the cache
			if r := s.must("start", "--cgroup", s.Cgroup, "--flush=no"); !strings.Contains(r.Stderr, words) {
				t.Errorf("%q: %s", text, r.Stderr)
			}
			s.must("stop")
		}
	}
}

// --quiet is for what a machine does now and then, and keeps: a line, and what is new.
func TestQuiet(t *testing.T) {
	s := startedSite(t)
	s.write("config.yaml", "rules: [{match: [a.test, com], target: vpn0}, {match: b.test, target: gone0}]\nlists: [{file: list, format: plain, match: suffix, target: block}]\n")
	s.write("list", "c.test\nkey*word\n")
	r := s.must("apply", "--quiet")
	want := []string{"of lists skipped: 1, found in rules: 1; see: domain-route apply --dry-run", "warning: interface gone0 does not exist", "applied; added: 4, deleted: 0, changed: 0; rules: 4"}
	if lines := strings.Split(r.Stderr, "\n"); r.Stdout != "" || len(lines) != len(want)+1 || !containsAll(r.Stderr, want) {
		t.Errorf("%s\n%s", r.Stdout, r.Stderr)
	}
	if r := s.must("apply", "-q"); r.Stdout != "" || strings.Contains(r.Stderr, "gone0") || !strings.Contains(r.Stderr, "nothing to change; rules: 4") {
		t.Errorf("again: %s\n%s", r.Stdout, r.Stderr)
	}
	s.must("rule", "del", "a.test")
	var got struct {
		Added   int
		Changes []struct{}
	}
	if decode(t, s.must("apply", "-q", "-o", "json"), &got); got.Added != 1 || len(got.Changes) != 0 {
		t.Errorf("%+v", got)
	}
}

func containsAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// Of each kind of finding the first are told, and how to see the others, which --all has.
func TestAllFindings(t *testing.T) {
	s := startedSite(t)
	s.write("config.yaml", "lists: [{file: list, format: plain, match: suffix, target: block}]\n")
	var list strings.Builder
	list.WriteString("a.test\n")
	for i := range 50 {
		fmt.Fprintf(&list, "n%d.a.test\n", i)
	}
	s.write("list", list.String())
	for args, want := range map[string]int{"": 20, "--all": 50} {
		apply := append([]string{"apply", "--dry-run"}, strings.Fields(args)...)
		r := s.must(apply...)
		if n := strings.Count(r.Stderr, " goes to block by a.test anyway"); n != want {
			t.Errorf("%s: %d\n%s", args, n, r.Stderr)
		}
		if strings.Contains(r.Stderr, "redundant: 30 more; up to 10000 of each kind: domain-route apply --dry-run --all\n") != (want == 20) {
			t.Errorf("%s: %s", args, r.Stderr)
		}
		var got struct {
			Findings []struct{ At struct{ Line int } }
		}
		decode(t, s.must(append(apply, "-o", "json")...), &got)
		if len(got.Findings) != want || got.Findings[want-1].At.Line == 0 {
			t.Errorf("%s: %+v", args, got)
		}
	}
	s.must("apply", "--all") // which leaves no cache that says more than others
	if r := s.must("apply", "-o", "json"); !strings.Contains(r.Stdout, `"cached": false`) {
		t.Errorf("%s", r.Stdout)
	}
}
