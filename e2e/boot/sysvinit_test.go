package boot

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// script runs the init script as it is, by a shell that knows nothing but POSIX.
type script struct {
	*harness.Host
	path, config string
}

func (s script) run(t *testing.T, word string) (said string, code int) {
	t.Helper()
	cmd := s.HostCommand(t.Context(), "dash", s.path, word)
	cmd.Env = append(os.Environ(), "CACHE_DIRECTORY="+filepath.Join(s.Dir, "cache"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func (s script) want(t *testing.T, word string, code int, says string) {
	t.Helper()
	if said, got := s.run(t, word); got != code || !strings.Contains(said, says) {
		t.Errorf("%s: exit %d, want %d, and %q in:\n%s", word, got, code, says, said)
	}
}

func (s script) configure(t *testing.T, text string) {
	t.Helper()
	write(t, s.config, "cgroup: "+s.Cgroup+"\n"+text, 0o644)
}

func newScript(t *testing.T) script {
	t.Helper()
	_, err := exec.LookPath("dash")
	harness.Need(t, err == nil, "dash")
	h := harness.New(t, lab.Options{})
	s := script{h, contrib(t, "sysvinit/domain-route"), filepath.Join(h.Dir, "etc/config.yaml")}
	if err := unix.Mount("defaults", "/etc/default", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount("/etc/default", 0) })
	defaults(t, harness.Binary(t), s.config)
	return s
}

func defaults(t *testing.T, program, config string) {
	t.Helper()
	write(t, "/etc/default/domain-route", "DAEMON="+program+"\nOPTIONS=\"--config "+config+"\"\n", 0o644)
}

// TestInitScript: its words do what they say, by the real program.
func TestInitScript(t *testing.T) {
	s := newScript(t)
	s.configure(t, "rules:\n  - match: [a.test]\n    target: vpn0\n")
	s.want(t, "status", 3, "not started")
	s.want(t, "start", 0, "started; observers")
	s.want(t, "status", 0, "steers")
	if got := s.Must("rule", "list"); !strings.Contains(got, "a.test vpn0") {
		t.Errorf("after start: %q", got)
	}
	s.configure(t, "rules:\n  - match: [b.test]\n    target: vpn0\n")
	for _, word := range []string{"reload", "force-reload"} {
		s.want(t, word, 0, "")
		if got := s.Must("rule", "list"); !strings.Contains(got, "b.test vpn0") || strings.Contains(got, "a.test") {
			t.Errorf("after %s: %q", word, got)
		}
	}
	s.configure(t, "ruels: []\n")
	s.want(t, "reload", 2, s.config)
	s.configure(t, "rules:\n  - match: [c.test]\n    target: block\n")
	s.want(t, "restart", 0, "updated; observers")
	if got := s.Must("rule", "list"); !strings.Contains(got, "c.test block") || strings.Contains(got, "b.test") {
		t.Errorf("after restart: %q", got)
	}
	s.want(t, "stop", 0, "stopped")
	s.want(t, "status", 3, "not started")
}

// TestInitScriptMistakes: what cannot be done is said by the codes that init scripts have for it.
func TestInitScriptMistakes(t *testing.T) {
	s := newScript(t)
	s.configure(t, "rules: []\n")
	s.want(t, "", 2, "usage: ")
	s.want(t, "begin", 2, "usage: ")
	defaults(t, "/nowhere/domain-route", s.config)
	s.want(t, "start", 5, "/nowhere/domain-route is not there")
	s.want(t, "status", 4, "")
}
