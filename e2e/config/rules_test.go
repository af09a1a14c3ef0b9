package config

import (
	"strings"
	"testing"
)

// A rule is known by its pattern and its condition.
func TestConditions(t *testing.T) {
	s := startedSite(t)
	for _, args := range []string{
		"a.test vpn0", "a.test wan0 user=root", "a.test block cgroup=/system.slice/x.service/ user=0", "192.0.2.0/24 vpn0", "a.test direct user=0",
	} {
		s.must(append([]string{"rule", "add"}, strings.Fields(args)...)...)
	}
	if got, want := s.rules(), "a.test block user=0 cgroup=/system.slice/x.service\na.test direct user=0\na.test vpn0\n192.0.2.0/24 vpn0\n"; got != want {
		t.Errorf("%s", got)
	}
	s.fails(1, "no rule for a.test user=1", "rule", "del", "a.test", "user=1")
	s.must("rule", "del", "a.test", "user=root")
	s.must("rule", "del", "a.test", "cgroup=/sys/fs/cgroup/system.slice/x.service", "user=0")
	if got, want := s.rules(), "a.test vpn0\n192.0.2.0/24 vpn0\n"; got != want {
		t.Errorf("%s", got)
	}
	var list struct {
		Rules []struct {
			Pattern, Target, Cgroup string
			User                    *int
		}
	}
	s.must("rule", "add", "b.test", "vpn0", "user=0")
	decode(t, s.must("rule", "list", "-o", "json"), &list)
	if len(list.Rules) != 3 || list.Rules[0].User != nil || list.Rules[1].User == nil || *list.Rules[1].User != 0 {
		t.Errorf("%+v", list)
	}
	for words, want := range map[string]string{
		"user=nobody-of-this-name": "unknown user: no user nobody-of-this-name in /etc/passwd; for a user known elsewhere (LDAP) write the number that id -u nobody-of-this-name prints", "cgroup=/": "every task is below the root", "uid=0": "the word is user", "user=0 user=1": "one user= only",
		"user=4294967295": "no user has this number", "a b c": "wrong number of arguments",
	} {
		s.fails(2, want, append([]string{"rule", "add", "c.test", "vpn0"}, strings.Fields(words)...)...)
	}
}

// A rule for a public suffix is for everybody's names: told, and with --strict refused.
func TestPublicSuffix(t *testing.T) {
	s := startedSite(t)
	s.fails(2, "co.uk is a public suffix", "rule", "add", "co.uk", "vpn0", "--strict")
	if r := s.must("rule", "add", "co.uk", "vpn0"); !strings.Contains(r.Stderr, "warning: co.uk is a public suffix") {
		t.Errorf("%s", r.Stderr)
	}
	for _, p := range []string{"=co.uk", "x.co.uk", "192.0.2.1", "default"} {
		if r := s.must("rule", "add", p, "vpn0", "--strict"); strings.Contains(r.Stderr, "public suffix") {
			t.Errorf("%s: %s", p, r.Stderr)
		}
	}
}
