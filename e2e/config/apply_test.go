package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

const office = `targets:
  office: {chain: [vpn0, wan0], else: block}
rules:
  - match: [example.com, "=exact.example", "*.sub.example", 198.51.100.0/24]
    target: office
lists:
  - file: lists/names.txt
    format: plain
    match: suffix
    target: direct
`

const officeRules = `example.com vpn0,wan0
=exact.example vpn0,wan0
*.sub.example vpn0,wan0
one.test direct
two.test direct
198.51.100.0/24 vpn0,wan0
`

// A configuration is applied once; what changes is said; applied again it changes nothing, not even the generation.
func TestApply(t *testing.T) {
	s := startedSite(t)
	s.write("config.yaml", office)
	s.write("lists/names.txt", "one.test\ntwo.test\nkey*word\n")
	s.must("rule", "add", "two.test", "vpn0")
	s.must("rule", "add", "gone.test", "block")
	before := s.state()
	want := `+ example.com vpn0,wan0
+ =exact.example vpn0,wan0
+ *.sub.example vpn0,wan0
- gone.test block
+ one.test direct
~ two.test vpn0 -> direct
+ 198.51.100.0/24 vpn0,wan0
`
	dry := s.must("apply", "--dry-run")
	if dry.Stdout != want || !strings.Contains(dry.Stderr, "dry run, nothing is changed") || !strings.Contains(dry.Stderr, "1 of bad name on line 3, first: key*word") {
		t.Errorf("--dry-run: %s\n%s", dry.Stdout, dry.Stderr)
	}
	if after := s.state(); after.Generation != before.Generation || after.Rules != 2 {
		t.Errorf("--dry-run changed something: %+v, %+v", before, after)
	}
	if r := s.must("apply"); r.Stdout != want || !strings.Contains(r.Stderr, "applied; added: 5, deleted: 1, changed: 1; rules: 6") {
		t.Errorf("%s\n%s", r.Stdout, r.Stderr)
	}
	if got := s.rules(); got != officeRules {
		t.Errorf("%s", got)
	}
	once := s.state()
	for range 2 {
		if r := s.must("apply"); r.Stdout != "" || !strings.Contains(r.Stderr, "nothing to change; rules: 6") {
			t.Errorf("again: %s\n%s", r.Stdout, r.Stderr)
		}
	}
	if again := s.state(); again.Generation != once.Generation {
		t.Errorf("applied again it is generation %d, not %d", again.Generation, once.Generation)
	}
}

// What is applied steers.
func TestAppliedSteers(t *testing.T) {
	s := startedSite(t)
	to := s.MustHost("www.example.com")
	a := s.MustAgent(lab.AgentOptions{})
	check(t, via.Learn(a, "www.example.com"))
	if got := via.Out(s.Lab, a, via.TCP4, to); got != "wan0" {
		t.Fatalf("without a rule: %s", got)
	}
	s.write("config.yaml", "rules: [{match: example.com, target: vpn0}]")
	s.must("apply")
	if got := via.Out(s.Lab, a, via.TCP4, to); got != "vpn0" {
		t.Errorf("with a rule: %s", got)
	}
}

// --prune=no leaves the rules that the new set has no word about.
func TestPrune(t *testing.T) {
	s := startedSite(t)
	s.must("rule", "add", "kept.test", "vpn0")
	s.must("rule", "add", "both.test", "vpn0")
	s.write("config.yaml", "rules: [{match: [both.test, new.test], target: block}]")
	if r := s.must("apply", "--prune=no"); r.Stdout != "~ both.test vpn0 -> block\n+ new.test block\n" {
		t.Errorf("%s", r.Stdout)
	}
	if got := s.rules(); got != "both.test block\nkept.test vpn0\nnew.test block\n" {
		t.Errorf("%s", got)
	}
	s.fails(2, "--prune=maybe: it is yes or no", "apply", "--prune=maybe")
}

// Whatever is wrong, nothing at all changes, and one line says where it is.
func TestAllOrNothing(t *testing.T) {
	s := startedSite(t)
	s.must("rule", "add", "kept.test", "vpn0")
	before := s.state()
	lists := "rules: [{match: new.test, target: vpn0}]\nlists: [{file: list, format: plain, match: suffix, target: vpn0}]\n"
	for name, c := range map[string]struct {
		config, words string
		prepare       func() error
	}{
		"key":         {"rules: [{match: a.test, target: vpn0}]\nobserv: [libc]\n", `config.yaml:2:1: unknown key "observ"; did you mean "observe"?`, nil},
		"type":        {"rules: 3\n", "config.yaml:1:8: a list is wanted here", nil},
		"pattern":     {"rules: [{match: [new.test, a..b], target: vpn0}]\n", "config.yaml:1:28: ", nil},
		"contradicts": {"rules: [{match: a.test, target: vpn0}, {match: a.test, target: wan0}]\n", "a.test goes to wan0 here", nil},
		"no list":     {lists, "list: no such file", nil},
		"pipe":        {lists, "list: is a pipe", func() error { return unix.Mkfifo(s.path("list"), 0o600) }},
		"directory":   {lists, "list: is a directory", func() error { return os.Mkdir(s.path("list"), 0o700) }},
		"others'": {lists, "list: belongs to user 1000", func() error {
			s.write("list", "x.test\n")
			return os.Chown(s.path("list"), 1000, 0)
		}},
		"writable": {lists, "list: may be written by others (mode 0666); chmod go-w", func() error {
			s.write("list", "x.test\n")
			return os.Chmod(s.path("list"), 0o666)
		}},
		"huge": {lists, "list: is larger than 2 GiB", func() error {
			s.write("list", "x.test\n")
			return os.Truncate(s.path("list"), 3<<30)
		}},
	} {
		check(t, os.RemoveAll(s.path("list")))
		s.write("config.yaml", c.config)
		if c.prepare != nil {
			check(t, c.prepare())
		}
		r := s.run("apply")
		wantFailure(t, r, 2, c.words, []string{name})
		if strings.Count(r.Stderr, "\n") != 1 {
			t.Errorf("%s: more than a line: %s", name, r.Stderr)
		}
	}
	check(t, os.Chmod(s.path("config.yaml"), 0o666))
	s.fails(2, "config.yaml: may be written by others", "apply")
	check(t, os.Remove(s.path("config.yaml")))
	s.fails(2, "there is no configuration", "apply")
	s.fails(2, "there is no configuration", "start")
	s.fails(2, "--config none is no configuration", "apply", "--config=none")
	if after := s.state(); after.Generation != before.Generation || s.rules() != "kept.test vpn0\n" {
		t.Errorf("something changed: %+v, %s", after, s.rules())
	}
}

// What a swap would refuse a dry run refuses, too.
func TestDryRunRefuses(t *testing.T) {
	s := startedSite(t)
	name, rules := "test", "rules:\n"
	for user := range 17 {
		name = fmt.Sprintf("l%d.%s", user, name)
		rules += fmt.Sprintf("  - {match: %s, target: vpn0, user: %d}\n", name, 2000+user)
	}
	s.write("config.yaml", rules)
	for _, args := range [][]string{{"apply", "--dry-run"}, {"apply"}} {
		s.fails(2, "too many conditions", args...)
	}
	s.write("config.yaml", rules[:strings.LastIndex(rules, "  - ")])
	s.must("apply", "--dry-run")
	s.must("apply")
}

// Nobody but root may put another file, or another config.d, in the place of one there is.
func TestOthersDirectories(t *testing.T) {
	s := startedSite(t)
	s.write("config.d/10.yaml", "rules: [{match: a.test, target: vpn0}]\n")
	for _, alone := range []bool{true, false} {
		for _, dir := range []string{".", "config.d"} {
			check(t, os.Chmod(s.path(dir), 0o777))
			s.fails(2, s.path(dir)+": may be written by others (mode 0777); chmod go-w "+s.path(dir), "apply")
			check(t, os.Chmod(s.path(dir), 0o755))
		}
		if alone {
			s.write("config.yaml", "rules: []\n")
		}
	}
	s.must("apply")
}

// Where start has not run: a truthful no with the cure. The configuration is looked at all the same.
func TestNotStarted(t *testing.T) {
	s := newSite(t)
	s.write("config.yaml", office)
	s.write("lists/names.txt", "one.test\n")
	for _, args := range [][]string{{"apply"}, {"apply", "--dry-run"}, {"rule", "save"}, {"export", "--format", "plain"}} {
		s.fails(1, "domain-route is not started; first: domain-route start", args...)
	}
	s.write("config.yaml", "no: key")
	s.fails(2, "config.yaml:1:1", "apply")
}

// apply -f takes what rule list prints, of whatever kind the file is, and does not take silence for an empty set.
func TestApplyFile(t *testing.T) {
	s := startedSite(t)
	s.write("config.yaml", "no: key") // not looked at
	for _, c := range []struct{ in, rules string }{
		{"a.test vpn0\n# comment\n\n2001:db8:: wan0\n", "a.test vpn0\n2001:db8:: wan0\n"},
		{"# a comment\nrules:\n- match: b.test\n  target: vpn0\n", "b.test vpn0\n"},
		{"---\nrules: [{match: c.test, target: vpn0}]\n", "c.test vpn0\n"},
		{`{"rules": [{"match": "d.test", "target": "vpn0", "user": "root", "cgroup": "/x"}]}`, "d.test vpn0 user=0 cgroup=/x\n"},
		{"e.test vpn0 user=root cgroup=/sys/fs/cgroup/x/\n", "e.test vpn0 user=0 cgroup=/x\n"},
		{"# no rules\n", "# no rules\n"},
	} {
		s.write("in", c.in)
		for _, r := range []harness.Result{s.with(c.in, "apply", "-f", "-"), s.run("apply", "-f", "in")} {
			if got := s.rules(); r.Code != 0 || got != c.rules {
				t.Errorf("%q: exit %d, %s%s", c.in, r.Code, r.Stderr, got)
			}
		}
		s.must("apply", "-f", "in")
	}
	s.write("one", "one.test vpn0\n")
	s.must("apply", "-f", "one")
	for in, words := range map[string]string{
		"": "standard input: there are no rules in it", "\n# nothing\n \n": "there are no rules in it",
		"a.test vpn0\nb..c vpn0\n": "standard input: line 2: ", "a.test\n": "the target is missing", "a.test vpn0 user=nobody-of-this-name": "unknown user",
		"a.test vpn0\na.test wan0\n": "line 2: ", "rules: [\n": "standard input:1:8: ",
	} {
		wantFailure(t, s.with(in, "apply", "-f", "-"), 2, words, []string{in})
	}
	s.fails(2, "gone: no such file", "apply", "-f", "gone")
	if got := s.rules(); got != "one.test vpn0\n" {
		t.Errorf("an error changed the rules: %s", got)
	}
}

// -o json has everything that text has.
func TestApplyJSON(t *testing.T) {
	s := startedSite(t)
	s.must("rule", "add", "old.test", "vpn0", "user=1000")
	s.write("config.yaml", "rules: [{match: com, target: gone0, cgroup: /x}]\nlists: [{file: list, target: vpn0}]\n")
	s.write("list", "||ads.test^\n||x.test/path\n")
	var got struct {
		DryRun                         bool `json:"dry_run"`
		Added, Removed, Changed, Rules int
		Changes                        []struct {
			Change, Pattern, From, To, Cgroup string
			User                              *uint32
		}
		Findings []struct{ Kind, Text string }
		Lists    []struct {
			Format  string
			Guessed bool
			Items   int
			Skipped []struct{ Count int }
		}
		Warnings []string
	}
	r := s.must("apply", "-o", "json")
	decode(t, r, &got)
	if got.Added != 2 || got.Removed != 1 || got.Rules != 2 || len(got.Changes) != 3 || got.Changes[0].Cgroup != "/x" ||
		got.Changes[2].Change != "removed" || got.Changes[2].User == nil || *got.Changes[2].User != 1000 {
		t.Errorf("%s", r.Stdout)
	}
	if len(got.Findings) != 1 || got.Findings[0].Kind != "public_suffix" || len(got.Lists) != 1 || got.Lists[0].Format != "adblock" ||
		!got.Lists[0].Guessed || got.Lists[0].Items != 1 || len(got.Lists[0].Skipped) != 1 || len(got.Warnings) != 1 {
		t.Errorf("%s", r.Stdout)
	}
	s.fails(2, "public suffixes with a rule: 1; nothing is changed", "apply", "--strict")
}

// What a missing interface means for rules is told once, however many rules it is told of: where they go on to differs.
func TestWarningsOnce(t *testing.T) {
	s := startedSite(t)
	r := s.with("a.test gone0\nalso.test gone0\nb.test gone0,vpn0\nc.test gone0,direct\nalso.c.test gone0,direct\n", "apply", "-f", "-")
	for _, means := range []string{"what the rule sends there fails", "the rule goes on to vpn0", "leaves alone what it would send there (direct)"} {
		if r.Code != 0 || strings.Count(r.Stderr, means) != 1 {
			t.Errorf("%q not once:\n%s", means, r.Stderr)
		}
	}
	if n := strings.Count(r.Stderr, "interface gone0 does not exist now"); n != 3 {
		t.Errorf("%d warnings:\n%s", n, r.Stderr)
	}
}
