package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// start takes from the configuration what no flag says, and its rules are in force at once.
func TestStart(t *testing.T) {
	s := newSite(t)
	to := s.MustHost("www.example.com")
	s.write("config.yaml", "observe: [sockets]\nhistory: no\nflush: no\ncgroup: "+s.Cgroup+"\n")
	s.write("config.d/10-rules.yaml", "rules: [{match: example.com, target: vpn0}]\n")
	r := s.must("start")
	if !strings.Contains(r.Stderr, "rules of the configuration: 1") || !strings.Contains(r.Stderr, "observers: sockets; cgroup: "+s.Cgroup+"\n") ||
		!strings.Contains(r.Stderr, "as --flush=no says") {
		t.Errorf("%s", r.Stderr)
	}
	a := s.MustAgent(lab.AgentOptions{})
	check(t, via.Learn(a, "www.example.com"))
	if got := via.Out(s.Lab, a, via.TCP4, to); got != "vpn0" {
		t.Errorf("by %s", got)
	}
	st := s.state()
	if st.Rules != 1 || st.History || !slices.Equal(st.Observers, []string{"sockets"}) || st.Configuration.Differs || len(st.Configuration.Files) != 2 {
		t.Errorf("%+v", st)
	}
	s.must("stop")
	s.must("start", "--observe", "sockets", "--observe", "libc", "--history=yes")
	if st := s.state(); !st.History || !slices.Equal(st.Observers, []string{"sockets", "libc"}) {
		t.Errorf("flags do not come before the configuration: %+v", st)
	}
}

// On a started system the rules stay, and start says where the configuration has others.
func TestStartAgain(t *testing.T) {
	s := newSite(t)
	s.write("config.yaml", "flush: no\nrules: [{match: a.test, target: vpn0}]\n")
	s.must("start", "--cgroup", s.Cgroup)
	if r := s.must("start"); strings.Contains(r.Stderr, "domain-route apply") {
		t.Errorf("they do not differ: %s", r.Stderr)
	}
	s.must("rule", "add", "b.test", "vpn0")
	const words = "the rules stay as they run, and the configuration has others; take its: domain-route apply"
	if r := s.must("start"); !strings.Contains(r.Stderr, words) {
		t.Errorf("%s", r.Stderr)
	}
	if got := s.rules(); got != "a.test vpn0\nb.test vpn0\n" {
		t.Errorf("%s", got)
	}
}

// A configuration that does not load fails the start before anything is done.
func TestStartRefuses(t *testing.T) {
	s := newSite(t)
	for config, words := range map[string]string{
		"observe: [socket]\n": `did you mean "sockets"`, "lists: [{file: gone, target: vpn0}]\n": "gone: no such file",
		"rules: [{match: a.test, target: vpn0, user: nobody-of-this-name}]\n": "unknown user", "observe: ['tc:gone0']\n": "gone0",
	} {
		s.write("config.yaml", config)
		s.fails(2, words, "start", "--cgroup", s.Cgroup)
	}
	if r := s.run("status"); r.Stdout != "stopped\n" || r.Code != 1 {
		t.Errorf("%+v", r)
	}
}

// A configuration that cannot be read is told by status, which goes on.
func TestStatusUnreadable(t *testing.T) {
	s := startedSite(t)
	if st := s.state(); len(st.Configuration.Files) != 0 || st.Configuration.Differs {
		t.Errorf("there is none: %+v", st)
	}
	s.write("config.yaml", "no: key\n")
	r := s.must("status")
	if !strings.Contains(r.Stderr, "the configuration cannot be read: "+s.path("config.yaml")+":1:1: ") || !strings.Contains(r.Stdout, "configuration: cannot be read\n") {
		t.Errorf("%s%s", r.Stderr, r.Stdout)
	}
}
