// Package completion drives the completion of real shells, on a system that runs.
package completion

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}

// tests are what is typed, and what Tab makes of it.
var tests = []struct{ name, typed, want string }{
	{"commands", "domain-route expl", "domain-route explain"},
	{"flags", "domain-route apply --dry", "domain-route apply --dry-run"},
	{"formats", "domain-route status -o js", "domain-route status -o json"},
	{"rules", "domain-route rule del rul", "domain-route rule del ruled.test"},
	{"rules of one name", "domain-route rule del =ex", "domain-route rule del =exact.test"},
	{"rules for addresses", "domain-route rule del 2001:d", "domain-route rule del 2001:db8:9::/48"},
	{"conditions of a rule", "domain-route rule del limited.test us", "domain-route rule del limited.test user=7"},
	{"names for a new rule", "domain-route rule add lea", "domain-route rule add learnt.test"},
	{"interfaces", "domain-route rule add new.test vp", "domain-route rule add new.test vpn0"},
	{"chains", "domain-route rule add new.test vpn0,wa", "domain-route rule add new.test vpn0,wan0"},
	{"running targets", "domain-route export --target mark:0x2", "domain-route export --target mark:0x23"},
	{"users", "domain-route rule add new.test vpn0 user=daem", "domain-route rule add new.test vpn0 user=daemon"},
	{"learnt names", "domain-route rdns lea", "domain-route rdns learnt.test"},
	{"learnt names to forget", "domain-route flush lea", "domain-route flush learnt.test"},
	{"names to explain", "domain-route explain lea", "domain-route explain learnt.test"},
	{"help", "domain-route help rule sa", "domain-route help rule save"},
}

// newHost has rules and a learnt name, and the program in PATH.
func newHost(t *testing.T) *harness.Host {
	t.Helper()
	h := harness.Started(t)
	h.MustHost("learnt.test")
	for _, rule := range []string{"ruled.test vpn0", "=exact.test block", "2001:db8:9::/48 mark:0x23", "limited.test vpn0 user=7"} {
		h.Must(append([]string{"rule", "add"}, strings.Fields(rule)...)...)
	}
	if err := via.Learn(h.MustAgent(lab.AgentOptions{}), "learnt.test"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(harness.Binary(t), filepath.Join(dir, "domain-route")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("HOME", t.TempDir())
	t.Setenv("TERM", "dumb")
	return h
}

// script writes a shell's completion to a file.
func script(t *testing.T, h *harness.Host, shell, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(h.Must("completion", shell)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// session is a shell that is typed to.
type session struct {
	tty  *os.File
	said string
}

// shell starts a shell at a terminal of its own, in the home namespace.
func shell(t *testing.T, h *harness.Host, args ...string) *session {
	t.Helper()
	_, err := exec.LookPath(args[0])
	harness.Need(t, err == nil, args[0])
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(ours, &pty.Winsize{Rows: 50, Cols: 500}); err != nil {
		t.Fatal(err)
	}
	cmd := h.HostCommand(t.Context(), args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	cmd.Dir = t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		ours.Close()
	})
	return &session{tty: ours}
}

// typed types, and returns what is then said that matches.
func (s *session) typed(t *testing.T, text, pattern string) []string {
	t.Helper()
	s.said = ""
	if _, err := s.tty.WriteString(text); err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(pattern)
	if err := s.tty.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for {
		b := make([]byte, 4096)
		n, err := s.tty.Read(b)
		s.said += strings.ReplaceAll(string(b[:n]), "\r", "")
		if m := wanted.FindStringSubmatch(s.said); m != nil {
			return m
		}
		if err != nil {
			t.Fatalf("typed %q, waited for %q: %v\n%q", text, pattern, err, s.said)
		}
	}
}

// completes types what is begun and Tab, then has the shell print the line that came of it.
func (s *session) completes(t *testing.T) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Ctrl-A: to the line's begin.
			if got := s.typed(t, tt.typed+"\t\x01echo GOT: \r", `(?m)^GOT: (.*)\n`)[1]; strings.TrimSpace(got) != tt.want {
				t.Errorf("%q was completed to %q, want %q", tt.typed, got, tt.want)
			}
		})
	}
}

func TestBash(t *testing.T) {
	const bashCompletion = "/usr/share/bash-completion/bash_completion"
	_, err := os.Stat(bashCompletion)
	harness.Need(t, err == nil, "bash-completion")
	h := newHost(t)
	s := shell(t, h, "bash", "--norc", "--noprofile", "-i")
	s.typed(t, fmt.Sprintf("PS1='> '; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'; . %s; . %s; echo READY:$?\r",
		bashCompletion, script(t, h, "bash", "bash")), `(?m)^READY:0\n`)
	s.completes(t)
}

func TestZsh(t *testing.T) {
	h := newHost(t)
	s := shell(t, h, "zsh", "-f", "-i")
	dir := filepath.Dir(script(t, h, "zsh", "_domain-route"))
	// To zsh a word that begins with = is the path of a program, unless it is told otherwise, or the = is quoted.
	s.typed(t, fmt.Sprintf("setopt noequals; unsetopt zle_bracketed_paste prompt_cr prompt_sp; unset zle_bracketed_paste; bindkey -e; PS1='> '; setopt nobeep; fpath=(%s $fpath); autoload -Uz compinit; compinit -u -D; echo READY:$?\r", dir),
		`(?m)^READY:0\n`)
	s.completes(t)
}

// fish tells what it would complete to.
func TestFish(t *testing.T) {
	_, err := exec.LookPath("fish")
	harness.Need(t, err == nil, "fish")
	h := newHost(t)
	path := script(t, h, "fish", "domain-route.fish")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := h.HostCommand(t.Context(), "fish", "--no-config", "-c", `source $argv[1]; complete -C "$argv[2]"`, path, tt.typed).Output()
			if err != nil {
				t.Fatal(err)
			}
			want := tt.want[strings.LastIndex(tt.want, " ")+1:]
			var words []string
			for line := range strings.Lines(string(out)) {
				word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
				words = append(words, strings.ReplaceAll(word, `\`, ""))
			}
			if !slices.Equal(words, []string{want}) {
				t.Errorf("%q is completed to %q, want %q", tt.typed, words, want)
			}
		})
	}
}

// offered is what the program offers to whatever shell.
func offered(t *testing.T, cmd *lab.Cmd) []string {
	t.Helper()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var words []string
	for _, l := range lines[:len(lines)-1] { // the last is a number for the shell
		word, _, _ := strings.Cut(l, "\t")
		words = append(words, word)
	}
	return words
}

// While another command holds the lock nothing is waited for.
func TestWaitsForNobody(t *testing.T) {
	h := newHost(t)
	dir, err := os.Open("/sys/fs/bpf/domain-route")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, words := range [][]string{{"rule", "del", ""}, {"rdns", ""}, {"rule", "add", "a.test", ""}, {"explain", ""}} {
		got := offered(t, h.HostCommand(t.Context(), harness.Binary(t), append([]string{"__complete"}, words...)...))
		if slices.Contains(got, "ruled.test") || slices.Contains(got, "learnt.test") {
			t.Errorf("%q: %q is offered in spite of the lock: is that what holds it?", words, got)
		}
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("four completions took %v while another command held the lock", took)
	}
}

// Without root there are the interfaces, users and words, and nothing of what runs.
func TestWithoutRoot(t *testing.T) {
	h := newHost(t)
	run := func(words ...string) []string {
		return offered(t, h.HostCommand(t.Context(), harness.Binary(t), append([]string{"__complete"}, words...)...).AsUser(65534))
	}
	if got := run("rule", "add", "a.test", ""); !slices.Contains(got, "vpn0") || !slices.Contains(got, "direct") {
		t.Errorf("targets: %q", got)
	}
	for _, words := range [][]string{{"rule", "del", ""}, {"rdns", ""}, {"flush", ""}, {"export", "--target", ""}} {
		if got := run(words...); len(got) > 0 {
			t.Errorf("%q: %q is told to anybody", words, got)
		}
	}
}

// Cgroups are completed step by step, as a rule has them.
func TestCgroups(t *testing.T) {
	h := newHost(t)
	got := offered(t, h.HostCommand(t.Context(), harness.Binary(t), "__complete", "rule", "add", "a.test", "vpn0", "cgroup=/"))
	if len(got) == 0 || !slices.Contains(got, "cgroup=/"+filepath.Base(h.Cgroup)) {
		t.Errorf("the lab's cgroup %s is not among %q", h.Cgroup, got)
	}
}

// Processes are told with their names.
func TestProcesses(t *testing.T) {
	h := newHost(t)
	got := offered(t, h.HostCommand(t.Context(), harness.Binary(t), "__complete", "watch", "--process", fmt.Sprint(os.Getpid())))
	if !slices.Contains(got, fmt.Sprint(os.Getpid())) {
		t.Errorf("this process, %d, is not among %q", os.Getpid(), got)
	}
}
