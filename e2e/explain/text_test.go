package explain

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

var write = flag.Bool("write", false, "write testdata anew")

// The users of these tests have no names on any host.
const (
	alice = 400_001
	bob   = 400_002
)

// dir is where the tests' configuration is: always the same path, so that lines wrap where they do.
const dir = "/mnt"

// site is a lab with a configuration.
type site struct {
	*harness.Host
	t *testing.T
}

func newSite(t *testing.T, files map[string]string) *site {
	t.Helper()
	check(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755,size=8m")) // in this process's mount namespace only
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	for name, text := range files {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return &site{harness.New(t, lab.Options{}), t}
}

func (s *site) configured(args ...string) []string {
	return append([]string{"--config", dir + "/config.yaml"}, args...)
}

func (s *site) start(args ...string) {
	s.t.Helper()
	s.Must(s.configured(append([]string{"start", "--cgroup", s.Cgroup}, args...)...)...)
}

// explain runs explain and wants an exit code.
func (s *site) explain(code int, args ...string) string {
	s.t.Helper()
	r := s.Run(s.configured(append([]string{"explain"}, args...)...)...)
	if r.Code != code || (r.Stderr != "") != (code > 1) {
		s.t.Errorf("explain %v: exit %d, want %d\n%s%s", args, r.Code, code, r.Stdout, r.Stderr)
	}
	for line := range strings.Lines(r.Stdout) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 && !strings.Contains(line, " -> ") {
			s.t.Errorf("explain %v: a line of %d columns: %s", args, n, line)
		}
	}
	return r.Stdout + r.Stderr
}

// what differs from run to run.
var changing = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`\b\d+ s\b`), "N s"},
	{regexp.MustCompile(`alone\s+\(--process\s+\d+`), "alone\n             (--process PID"}, // short numbers have the line end later
	{regexp.MustCompile(`\b(process|parent) \d+`), "$1 PID"},
	{regexp.MustCompile(`ifindex \d+`), "ifindex N"},
	{regexp.MustCompile(`generation \d+`), "generation N"},
	{regexp.MustCompile(`/domain-route-lab-[0-9.]+-\d+`), "/LAB"},
}

// wantText compares with a file of testdata.
func wantText(t *testing.T, name, got string) {
	t.Helper()
	for _, c := range changing {
		got = c.is.ReplaceAllString(got, c.as)
	}
	file := filepath.Join("testdata", name+".txt")
	if *write {
		check(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	check(t, err)
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s: %s\n%s", name, d, got)
	}
}

// Whoever asks is told the answer first, then each step to it.
func TestText(t *testing.T) {
	s := newSite(t, map[string]string{
		"config.yaml": `targets:
  office: {chain: [vpn0, lte0], else: block}
rules:
  - match: [example.test, "*.sub.example.test"]
    target: office
  - {match: =www.example.test, target: block, user: 400002}
  - {match: cdn.test, target: direct}
lists:
  - {file: list.txt, format: plain, match: suffix, target: gone0}
`,
		"list.txt": "# names\nlisted.test\ncdn.test\n",
	})
	s.start()
	s.DNS.SetTTL(300)
	www := s.MustHost("www.example.test", "cdn.test")
	s.MustHost("listed.test")
	a, b := s.MustAgent(lab.AgentOptions{UID: alice}), s.MustAgent(lab.AgentOptions{UID: bob})
	of := func(a *lab.Agent) string { return fmt.Sprint(a.PID) }

	wantText(t, "unlearnt", s.explain(0, "www.example.test", "--user", fmt.Sprint(alice)))
	check(t, via.Learn(a, "cdn.test", "www.example.test"))
	wantText(t, "steered", s.explain(0, "www.example.test", "--process", of(a)))
	wantText(t, "others", s.explain(1, "www.example.test", "--process", of(b)))
	wantText(t, "conflict", s.explain(0, "cdn.test", "--process", of(a)))
	check(t, via.Learn(b, "www.example.test"))
	wantText(t, "blocked", s.explain(1, "https://www.EXAMPLE.test:8443/page", "--process", of(b)))
	wantText(t, "address", s.explain(0, www.Addr4.String(), "--process", of(a)))
	check(t, via.Learn(b, "listed.test"))
	wantText(t, "refused", s.explain(1, "listed.test", "--process", of(b)))
	s.Must("rule", "add", "listed.test", "mark:0x23")
	wantText(t, "marked", s.explain(0, "listed.test", "--process", of(b)))
	s.Must("rule", "add", "default", "vpn0", "cgroup=/nowhere.slice")
	wantText(t, "norule", s.explain(1, "nothing.test", "--user", fmt.Sprint(bob)))
	wantText(t, "private", s.explain(1, "10.1.2.3"))
	wantText(t, "own", s.explain(1, s.Uplink("vpn0").Addr4.String()))
	s.Must("rule", "del", "default", "cgroup=/nowhere.slice")
	check(t, s.SetUplinkState("vpn0", false))
	wantText(t, "down", s.explain(0, "www.example.test", "--process", of(a)))
}

// Names in any script, and what is no name, or not one.
func TestSubjects(t *testing.T) {
	s := newSite(t, map[string]string{"config.yaml": "rules: []\n"})
	s.start()
	s.Must("rule", "add", "bücher.test", "vpn0")
	wantText(t, "script", s.explain(0, "BÜCHER.test"))
	for arg, first := range map[string]string{
		"https://bücher.test/?q=1": "xn--bcher-kva.test -> vpn0 (", "xn--bcher-kva.test:443": "xn--bcher-kva.test -> vpn0 (",
		"www.bücher.test./page": "www.xn--bcher-kva.test -> vpn0 (", "[2001:db8::7]:443": "2001:db8::7 -> direct (no rule)\n",
		"http://[2001:db8::7%eth0]/": "domain-route: no host", "::ffff:192.0.2.1": "192.0.2.1 -> direct", "http://192.0.2.1:80/": "192.0.2.1 -> direct",
		"127.0.0.1": "127.0.0.1 -> left alone (loopback", "192.0.2.1/32": "192.0.2.1 -> direct", "//bücher.test/": "xn--bcher-kva.test -> vpn0 (",
		"BÜCHER.test.": "xn--bcher-kva.test -> vpn0 (",
	} {
		r := s.Run("explain", arg)
		if !strings.HasPrefix(r.Stdout+r.Stderr, first) {
			t.Errorf("%s: %s%s", arg, r.Stdout, r.Stderr)
		}
	}
	for arg, words := range map[string]string{
		"*.example.test": "give a name, such as www.example.test", "=example.test": "give a name, such as example.test", "default": "the default rule is for",
		"192.0.2.0/24": "give one, such as 192.0.2.0", "https://": "no host", "a..b": "empty", "": "give a name, an address or a URL", " ": "", "a b.test": "",
		"256.1.1.1": "take for an IPv4 address", "0x7f.1": "take for an IPv4 address", "mailto:me@example.test": "no port", "example.test:65536": "no port",
		"\x1b[2J.test": "",
	} {
		r := s.Run("explain", arg)
		if r.Code != 2 || !strings.Contains(r.Stderr, words) || strings.Count(r.Stderr, "\n") != 1 || strings.Contains(r.Stderr, "\x1b") {
			t.Errorf("%q: exit %d, %q", arg, r.Code, r.Stderr)
		}
	}
}
