package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What start was told, and the configuration now says otherwise, is told by apply and status; start takes it over.
func TestSettings(t *testing.T) {
	s := newSite(t)
	s.write("config.yaml", "flush: no\n")
	s.must("start", "--cgroup", s.Cgroup)
	type set = struct{ Key, Configured, Running string }
	const again = "; take it over: domain-route start\n"
	check := func(config string, words []string, want ...set) {
		t.Helper()
		s.write("config.yaml", "flush: no\n"+config)
		for _, args := range [][]string{{"apply", "--dry-run", "--allow-empty"}, {"apply", "--allow-empty"}, {"status"}} {
			r := s.must(args...)
			if n := strings.Count(r.Stderr, "take it over"); n != len(words) {
				t.Errorf("%q of %q: %s", config, args, r.Stderr)
			}
			for _, w := range words {
				if !strings.Contains(r.Stderr, "warning: "+w) {
					t.Errorf("%q of %q: %s", config, args, r.Stderr)
				}
			}
		}
		if d := cmp.Diff(want, s.state().Configuration.Settings, cmp.Transformer("all", func(x []set) []set { return append([]set{}, x...) })); d != "" {
			t.Errorf("%q: %s", config, d)
		}
		var got struct{ Settings []set }
		decode(t, s.must("apply", "-o", "json"), &got)
		if len(got.Settings) != len(want) {
			t.Errorf("%q: %+v", config, got)
		}
	}
	check("", nil) // no word about them
	check("observe: [sockets, libc]\nhistory: yes\ncgroup: "+s.Cgroup+"\n", nil)
	check("observe: [libc, sockets]\ncgroup: "+s.Cgroup+"/../"+s.Cgroup[strings.LastIndex(s.Cgroup, "/")+1:]+"\n", nil)
	check("observe: [sockets]\nhistory: no\n", []string{"observe is sockets in the configuration, and sockets libc as it runs" + again,
		"history is no in the configuration, and yes as it runs" + again}, set{"observe", "sockets", "sockets libc"}, set{"history", "no", "yes"})
	if r := s.with("observe: [sockets]\nrules: [{match: a.test, target: vpn0}]\n", "apply", "-f", "-"); strings.Contains(r.Stderr, "take it over") {
		t.Errorf("of another file than the configuration start takes nothing: %s", r.Stderr)
	}

	s.must("start")
	if st := s.state(); st.History || cmp.Diff([]string{"sockets"}, st.Observers) != "" || len(st.Configuration.Settings) != 0 {
		t.Errorf("start does not take them over: %+v", st)
	}
	check("observe: ['tc:wan0,vpn0', sockets]\n", []string{"observe is "}, set{"observe", "tc:wan0,vpn0 sockets", "sockets"})
	s.must("start")
	check("observe: [sockets, 'tc:vpn0,wan0']\n", nil)
	check("observe: [sockets, 'tc:gone0']\n", []string{"observe is "}, set{"observe", "sockets tc:gone0", "sockets tc:" + watched(s.state().Observers)})
	check("observe: [sockets, tc]\n", []string{"observe is "}, set{"observe", "sockets tc", "sockets tc:" + watched(s.state().Observers)})
	s.must("start")
	check("observe: [sockets, tc]\nhistory: no\n", nil)

	other := s.Cgroup + "-other"
	check("cgroup: "+other+"\nhistory: yes\n", []string{"cgroup is " + other + " in the configuration, and " + s.Cgroup + " as it runs; take it over: domain-route stop, then start",
		"history is yes in the configuration, and no as it runs; take it over: domain-route stop"}, set{"history", "yes", "no"}, set{"cgroup", other, s.Cgroup})
	s.must("start", "--cgroup", s.Cgroup, "--observe", "sockets", "--history=no")
	var got struct{ Configuration struct{ Settings []set } }
	decode(t, s.must("start", "--cgroup", s.Cgroup, "--history=no", "-o", "json"), &got)
	if len(got.Configuration.Settings) != 2 {
		t.Errorf("flags that say otherwise: %+v", got)
	}
}

// watched are the interfaces of the observer tc.
func watched(observers []string) string {
	for _, o := range observers {
		if list, ok := strings.CutPrefix(o, "tc:"); ok {
			return list
		}
	}
	return ""
}

// start tells, for programs, what there is to be looked at in the configuration.
func TestStartCounts(t *testing.T) {
	s := newSite(t)
	s.write("config.yaml", "flush: no\nlists: [{file: ads, format: adblock, target: block}]\nrules: [{match: com, target: vpn0}]\n")
	s.write("ads", "||ads.test^\n/regexp/\n")
	var got struct {
		Counts  map[string]int `json:"finding_counts"`
		Skipped int
	}
	decode(t, s.must("start", "--cgroup", s.Cgroup, "-o", "json"), &got)
	if d := cmp.Diff(map[string]int{"public_suffix": 1}, got.Counts); d != "" || got.Skipped != 1 {
		t.Errorf("skipped %d, found %s", got.Skipped, d)
	}
}
