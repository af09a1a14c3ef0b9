package warm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// service is the user of resolvers, a system user.
const service = 991

// nobody is the user that dnsmasq is, by default.
const nobody = 65534

// TestSignalsOnlyResolvers: a signal goes to a system service of this network namespace whose program is a resolver's,
// and to nobody else, whatever he calls himself.
func TestSignalsOnlyResolvers(t *testing.T) {
	tests := []struct {
		what, name string
		uid        uint32
		owner      int  // of the program file
		elsewhere  bool // in another network namespace
		want       string
		says       string // %d: the pid
	}{
		{"a service", "dnsmasq", service, 0, false, "hangup", "flush: dnsmasq (pid %d) by SIGHUP"},
		{"root's", "dnsmasq", 0, 0, false, "hangup", "flush: dnsmasq (pid %d) by SIGHUP"},
		{"nobody's", "dnsmasq", nobody, 0, false, "hangup", "flush: dnsmasq (pid %d) by SIGHUP"},
		{"nobody's", "systemd-resolved", nobody, 0, false, "", "flush: systemd-resolved (pid %d) is left alone: it is user 65534's, "},
		{"a service", "systemd-resolved", service, 0, false, "user defined signal 2", "flush: systemd-resolved (pid %d) by SIGUSR2"},
		{"a user's", "dnsmasq", before, 0, false, "", "flush: dnsmasq (pid %d) is left alone: it is user 4242's, "},
		{"a user's", "systemd-resolved", before, 0, false, "", "flush: systemd-resolved (pid %d) is left alone: it is user 4242's, "},
		{"a user's", "nscd", before, 0, false, "", "flush: nscd (pid %d) is left alone: it is user 4242's, "},
		{"a user's", "unbound", before, 0, false, "", "flush: unbound (pid %d) is left alone: it is user 4242's, "},
		{"a user's file", "dnsmasq", service, before, false, "", "flush: dnsmasq (pid %d) is left alone: others than root can write "},
		{"elsewhere", "dnsmasq", service, 0, true, "", ""},
		{"elsewhere, root's", "systemd-resolved", 0, 0, true, "", ""},
		{"only by its comm", "webserver", service, 0, false, "", ""},
		{"another unbound", "unbound", service, 0, false, "", "flush: unbound (pid %d) keeps its cache: "},
		{"another nscd", "nscd", service, 0, false, "", "flush: nscd (pid %d) keeps its cache: "},
	}
	for _, tt := range tests {
		t.Run(tt.what+" "+tt.name, func(t *testing.T) {
			h := harness.New(t, lab.Options{})
			ns := h.Client
			if tt.elsewhere {
				ns = h.Internet
			}
			r := startRecorder(t, h, tt.name, ns, tt.uid, tt.owner, "-")
			started := h.Run("start", "--cgroup", h.Cgroup)
			if started.Code != 0 {
				t.Errorf("start: exit %d\n%s", started.Code, started.Stderr)
			}
			if got := r.signals(t); got != tt.want {
				t.Errorf("it got %q, want %q", got, tt.want)
			}
			says := "flush: no resolver that caches was found here"
			if tt.says != "" {
				says = fmt.Sprintf(tt.says, r.pid)
			}
			if !strings.Contains(started.Stderr, says) {
				t.Errorf("start says\n%swant %q", started.Stderr, says)
			}
		})
	}
}

// TestNotYetHandling: a resolver that has just begun would die of the signal.
func TestNotYetHandling(t *testing.T) {
	h := harness.New(t, lab.Options{})
	path := filepath.Join(h.Dir, "dnsmasq")
	copyFile(t, "/bin/sleep", path)
	cmd := h.Command(t.Context(), path, "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started := h.Run("start", "--cgroup", h.Cgroup)
	if !strings.Contains(started.Stderr, "it does not handle SIGHUP yet") {
		t.Errorf("start says\n%s", started.Stderr)
	}
	if err := cmd.Process.Signal(unix.Signal(0)); err != nil {
		t.Errorf("it ended: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
}

// TestManyOfAUser: users cannot make start talk without end.
func TestManyOfAUser(t *testing.T) {
	h := harness.New(t, lab.Options{})
	var all []*recorder
	for range 3 {
		all = append(all, startRecorder(t, h, "unbound", h.Client, before, 0, "-"))
	}
	started := h.Run("start", "--cgroup", h.Cgroup)
	if n := strings.Count(started.Stderr, "unbound"); n != 1 || !strings.Contains(started.Stderr, "and 2 more are left alone: it is user 4242's") {
		t.Errorf("start says\n%s", started.Stderr)
	}
	for _, r := range all {
		r.signals(t)
	}
}

// TestForeignUnboundConfig: what a service names as its configuration is read by root's tools only if it is a file that root
// wrote. Opening a FIFO would not come back.
func TestForeignUnboundConfig(t *testing.T) {
	for what, spoil := range map[string]func(conf string) error{
		"others than root can write %q": func(conf string) error { return os.Chown(conf, service, service) },
		"%q is no regular file": func(conf string) error {
			return errors.Join(os.Remove(conf), unix.Mkfifo(conf, 0o600))
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := harness.New(t, lab.Options{})
			r := running(t, h, (*lab.Lab).StartUnboundControlled)
			conf := filepath.Join(h.Dir, "unbound.conf")
			if err := spoil(conf); err != nil {
				t.Fatal(err)
			}
			started := h.Run("start", "--cgroup", h.Cgroup)
			want := fmt.Sprintf("flush: unbound (pid %d) keeps its cache: "+what, r.PID, conf)
			if !strings.Contains(started.Stderr, want) {
				t.Errorf("start says\n%swant %q", started.Stderr, want)
			}
		})
	}
}
