package config

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/e2e/terminal"
	"github.com/domain-route/domain-route/internal/lab"
)

// A process that has ended is judged without its cgroup: decision says that it is gone.
func TestDecisionGone(t *testing.T) {
	s := startedSite(t)
	s.MustHost("www.a.test")
	s.must("rule", "add", "a.test", "vpn0")
	stays, goes := s.MustAgent(lab.AgentOptions{}), s.MustAgent(lab.AgentOptions{})
	check(t, via.Learn(stays, "www.a.test"))
	check(t, via.Learn(goes, "www.a.test"))
	gone := func() (n int) {
		var got struct {
			Decisions []struct {
				Level string
				Gone  bool
			}
		}
		decode(t, s.must("decision", "-o", "json"), &got)
		for _, d := range got.Decisions {
			if d.Gone {
				n++
				if d.Level != "process" {
					t.Errorf("%+v", d)
				}
			}
		}
		return n
	}
	const words = " gone\t"
	if n, text := gone(), s.must("decision").Stdout; n != 0 || strings.Contains(text, words) {
		t.Errorf("%d, %s", n, text)
	}
	check(t, goes.Close())
	n, text := gone(), s.must("decision").Stdout
	if n == 0 || strings.Count(text, words) != n || strings.Count(text, "pid ") <= n {
		t.Errorf("%d, %s", n, text)
	}
}

// Who may not start is told so before lists are read.
func TestStartNotRoot(t *testing.T) {
	s := newSite(t)
	bin := filepath.Join(s.Dir, "domain-route")
	b, err := os.ReadFile(harness.Binary(t))
	check(t, err)
	check(t, os.WriteFile(bin, b, 0o755))
	s.write("config.yaml", "no: key\n")
	cmd := s.HostCommand(context.Background(), bin, "--config", s.path("config.yaml"), "start").AsUser(65534)
	cmd.Dir = "/"
	var errs strings.Builder
	cmd.Stderr = &errs
	_ = cmd.Run()
	if cmd.ProcessState.ExitCode() != 3 || errs.String() != "domain-route: refused: not root; run it as root, by sudo\n" {
		t.Errorf("exit %d, %s", cmd.ProcessState.ExitCode(), errs.String())
	}
}

// status says that it has counted nothing, and which rules lead nowhere.
func TestStatusWords(t *testing.T) {
	s := startedSite(t)
	if r := s.must("status", "--all"); !strings.Contains(r.Stdout, "explains them):\n  none\n") || strings.Contains(r.Stderr, "exists") {
		t.Errorf("%s%s", r.Stderr, r.Stdout)
	}
	s.must("rule", "add", "a.test", "gone0")
	s.must("rule", "add", "b.test", "gone0,vpn0")
	if r := s.must("status"); !strings.Contains(r.Stderr, "warning: no interface of the target gone0 exists: connections by it fail; rules: 1\n") ||
		strings.Count(r.Stderr, "no interface") != 1 {
		t.Errorf("%s", r.Stderr)
	}
}

// What is not learnt is a truthful no.
func TestRdnsOfNothing(t *testing.T) {
	s := startedSite(t)
	for _, of := range []string{"a.test", "192.0.2.1", "192.0.2.0/24"} {
		s.fails(1, "nothing is learnt of "+of, "rdns", of)
	}
	if r := s.run("rdns", "a.test", "-o", "json"); r.Code != 1 || !strings.Contains(r.Stdout, `"names": []`) {
		t.Errorf("%+v", r)
	}
	if r := s.must("rdns"); r.Stdout != "" || r.Stderr != "domain-route: nothing is learnt yet\n" {
		t.Errorf("%+v", r)
	}
	if r := s.must("rdns", "-o", "json"); r.Stderr != "" {
		t.Errorf("%+v", r)
	}
	s.fails(1, "nothing is learnt of https://www.a.test:8443/x", "rdns", "https://www.a.test:8443/x")
	s.MustHost("www.a.test")
	check(t, via.Learn(s.MustAgent(lab.AgentOptions{}), "www.a.test"))
	if r := s.must("rdns", "https://www.a.test:8443/x"); !strings.Contains(r.Stdout, "www.a.test") {
		t.Errorf("%+v", r)
	}
}

// start says that audit is on, or that it was turned off.
func TestStartTellsAudit(t *testing.T) {
	s := startedSite(t)
	for _, c := range []struct{ flag, want string }{
		{"--audit", "; audit: yes\n"}, {"", "; audit: yes\n"}, {"--audit=no", "; audit: no\n"}, {"", "; cgroup: " + s.Cgroup + "\n"},
	} {
		args := []string{"start", "--config=none", "--cgroup", s.Cgroup}
		if c.flag != "" {
			args = append(args, c.flag)
		}
		if r := s.must(args...); !strings.Contains(r.Stderr, c.want) {
			t.Errorf("%q: %q, want %q", c.flag, r.Stderr, c.want)
		}
	}
}

// Who looks at a terminal is told how to start; the word for programs stays alone.
func TestStatusStoppedOnTerminal(t *testing.T) {
	s := newSite(t)
	const cure = "start it: domain-route start"
	m := terminal.Open(t, s.Host, 80, 24, "", nil, harness.Binary(t), "--config", "none", "status")
	if text := m.Wait("stopped", cure); !strings.HasPrefix(strings.TrimSpace(text), "stopped") {
		t.Errorf("%s", text)
	}
	if r := s.run("status"); r.Code != 1 || r.Stdout != "stopped\n" || strings.Contains(r.Stderr, cure) {
		t.Errorf("%+v", r)
	}
}
