package config

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What rule add and del did is in the configuration once it is saved; saved twice it is the same.
func TestSave(t *testing.T) {
	s := startedSite(t)
	s.write("config.yaml", office)
	s.write("lists/names.txt", "one.test\ntwo.test\n")
	s.must("apply")
	if r := s.must("rule", "save"); !strings.Contains(r.Stderr, "nothing to save") {
		t.Errorf("%s", r.Stderr)
	}
	for _, args := range []string{
		"rule del example.com", "rule add one.test vpn0", "rule del two.test", "rule add new.test office", "rule add 192.0.2.0/24 block user=1000 cgroup=/x",
	} {
		s.must(strings.Fields(args)...)
	}
	rules := s.rules()
	if st := s.state(); !st.Configuration.Differs || !strings.Contains(strings.Join(st.Warnings, "\n"), "domain-route rule save") {
		t.Errorf("status does not say that they differ: %+v", st)
	}
	var first string
	for i := range 2 {
		r := s.must("rule", "save")
		if !strings.Contains(r.Stderr, "written: "+s.path("config.d/99-saved.yaml")) {
			t.Errorf("%s", r.Stderr)
		}
		if st := s.state(); st.Configuration.Differs || len(st.Configuration.Files) != 2 {
			t.Errorf("%+v", st)
		}
		if text := s.read("config.d/99-saved.yaml"); i == 0 {
			first = text
		} else if text != first {
			t.Errorf("saved twice:\n%s\n%s", first, text)
		}
	}
	s.with("# no rules", "apply", "-f", "-")
	s.must("apply")
	if got := s.rules(); got != rules {
		t.Errorf("the configuration comes to\n%swas\n%s", got, rules)
	}
	// Back to what the other files say, there is nothing to save.
	s.with(officeRules, "apply", "-f", "-")
	if r := s.must("rule", "save"); !strings.Contains(r.Stderr, "nothing to save any more") || !strings.Contains(r.Stderr, "removed: "+s.path("config.d/99-saved.yaml")) {
		t.Errorf("%s", r.Stderr)
	}
	if r := s.must("rule", "save"); !strings.Contains(r.Stderr, "nothing to save: ") {
		t.Errorf("again: %s", r.Stderr)
	}
	if _, err := os.Stat(s.path("config.d/99-saved.yaml")); !os.IsNotExist(err) {
		t.Errorf("a file that says nothing is left: %v", err)
	}
}

// Without any configuration the saved rules are all of it.
func TestSaveAll(t *testing.T) {
	s := startedSite(t)
	s.must("rule", "add", "a.test", "vpn0")
	s.must("rule", "save")
	s.must("rule", "del", "a.test")
	s.must("apply")
	if got := s.rules(); got != "a.test vpn0\n" {
		t.Errorf("%s", got)
	}
}

// What cannot be saved is said, and nothing is written.
func TestSaveRefuses(t *testing.T) {
	s := startedSite(t)
	s.must("rule", "add", "a.test", "vpn0")
	s.fails(2, "nowhere to save", "rule", "save", "--config=none")
	s.write("config.d/99-saved.yaml", "# by hand\n")
	s.fails(2, "99-saved.yaml is there already, and not by domain-route", "rule", "save")
	check(t, os.Remove(s.path("config.d/99-saved.yaml")))
	s.write("config.d/zz.yaml", "rules: [{match: a.test, target: wan0}]\n")
	s.fails(2, "zz.yaml would be read after 99-saved.yaml and says otherwise", "rule", "save")
	if _, err := os.Stat(s.path("config.d/99-saved.yaml")); !os.IsNotExist(err) {
		t.Errorf("it was written: %v", err)
	}
	check(t, os.Remove(s.path("config.d/zz.yaml")))
	check(t, unix.Mount("tmpfs", s.dir, "tmpfs", 0, ""))
	t.Cleanup(func() { check(t, unix.Unmount(s.dir, 0)) })
	s.write("config.yaml", "rules: []\n")
	check(t, unix.Mount("", s.dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	s.fails(3, "read-only file system; make it writable, or keep the rules elsewhere: domain-route rule list > FILE", "rule", "save")
	s.must("apply", "--allow-empty") // a configuration that cannot be written can be read
}
