package boot

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// A resolver that start has to do with belongs to another user.
type resolver struct {
	start   func(*lab.Lab) (*lab.Resolver, error)
	flushed string
}

var (
	dnsmasq = resolver{(*lab.Lab).StartDnsmasq, `flush: dnsmasq \(pid \d+\) by SIGHUP`}
	unbound = resolver{(*lab.Lab).StartUnboundControlled, `flush: unbound \(pid \d+\) by unbound-control`}
)

// without is what is said where the unit has one capability less.
var without = map[string]struct {
	beside resolver
	said   string
}{
	"CAP_BPF":                {dnsmasq, `(?m)^domain-route: refused: this process lacks CAP_BPF; run it as root`},
	"CAP_NET_ADMIN":          {dnsmasq, `(?m)^domain-route: refused: this process lacks CAP_NET_ADMIN; run it as root`},
	"CAP_PERFMON":            {dnsmasq, `(?m)^domain-route: refused: this process lacks CAP_PERFMON; run it as root`},
	"CAP_SYS_PTRACE":         {dnsmasq, `(?m)^domain-route: warning: not all programs could be looked at for C libraries: root needs CAP_SYS_PTRACE`},
	"CAP_CHECKPOINT_RESTORE": {dnsmasq, `(?m)^domain-route: warning: not all programs could be looked at for C libraries: .* and CAP_CHECKPOINT_RESTORE$`},
	"CAP_KILL":               {dnsmasq, `(?m)^domain-route: flush: dnsmasq \(pid \d+\) keeps its cache: operation not permitted; to flush it: restart dnsmasq$`},
	"CAP_DAC_OVERRIDE":       {unbound, `(?m)^domain-route: flush: unbound \(pid \d+\) keeps its cache: .*Permission denied.*; to flush it: `},
}

// host is a lab with a resolver and a program with a C library of its own.
type host struct {
	*harness.Host
	carried string // that library
	config  string
}

func newHost(t *testing.T, beside resolver) *host {
	t.Helper()
	h := &host{Host: harness.New(t, lab.Options{})}
	r, err := beside.start(h.Lab)
	harness.Need(t, !errors.Is(err, exec.ErrNotFound), "dnsmasq and unbound")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	h.carry(t)
	h.config = filepath.Join(h.Dir, "etc/config.yaml")
	write(t, h.config, "rules:\n  - match: [ruled.example]\n    target: vpn0\n", 0o644)
	return h
}

// carry runs a program whose C library is where none is looked for, as in a container.
func (h *host) carry(t *testing.T) {
	t.Helper()
	installed, err := filepath.Glob("/lib/*-linux-gnu/libc.so.6")
	harness.Need(t, err == nil && len(installed) > 0, "glibc")
	text, err := os.ReadFile(installed[0])
	if err != nil {
		t.Fatal(err)
	}
	h.carried = filepath.Join(h.Dir, "carried/libc.so.6")
	write(t, h.carried, string(text), 0o755)
	p := h.Command(context.Background(), "sleep", "infinity").AsUser(4242)
	p.Env = []string{"LD_LIBRARY_PATH=" + filepath.Dir(h.carried)}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
	})
	for end := time.Now().Add(5 * time.Second); ; {
		maps, err := os.ReadFile(filepath.Join("/proc", itoa(p.Process.Pid), "maps"))
		if err == nil && bytes.Contains(maps, []byte(h.carried)) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the program does not map %s: %v", h.carried, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// confined runs domain-route with no other capabilities than these, as systemd does. It returns what it prints.
func (h *host) confined(t *testing.T, capabilities []string, args ...string) (string, error) {
	t.Helper()
	set := "-all"
	for _, c := range capabilities {
		set += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
	}
	args = append([]string{"--no-new-privs", "--bounding-set", set, harness.Binary(t), "--config", h.config}, args...)
	cmd := h.HostCommand(t.Context(), "setpriv", args...)
	cmd.Env = append(os.Environ(), "CACHE_DIRECTORY="+filepath.Join(h.Dir, "cache"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// unitLife is what systemd runs in the life of the unit, and a start on a started system, which an upgrade is.
func (h *host) unitLife(t *testing.T, capabilities []string) (said string, failed error) {
	t.Helper()
	life := [][]string{{"start", "--cgroup", h.Cgroup}, {"apply", "--quiet"}, {"start"}}
	for _, args := range life {
		out, err := h.confined(t, capabilities, args...)
		said, failed = said+out, errors.Join(failed, err)
	}
	return said, failed
}

func capabilities(t *testing.T) []string {
	t.Helper()
	_, err := exec.LookPath("setpriv")
	harness.Need(t, err == nil, "setpriv")
	harness.Need(t, !olderThan(t, 6, 6), "Linux 6.6")
	all := readUnit(t, contrib(t, "systemd/"+unitName)).words("CapabilityBoundingSet")
	slices.Sort(all)
	return all
}

// TestCapabilities: those of the unit are enough for all that it does.
func TestCapabilities(t *testing.T) {
	all := capabilities(t)
	mountBPFFS(t)
	for _, r := range []resolver{dnsmasq, unbound} {
		h := newHost(t, r)
		said, err := h.unitLife(t, all)
		if err != nil || regexp.MustCompile(`not permitted|denied|CAP_|refused|keeps its cache`).MatchString(said) {
			t.Errorf("%v:\n%s", err, said)
		}
		if !regexp.MustCompile(r.flushed).MatchString(said) {
			t.Errorf("they say:\n%s\nwant %s", said, r.flushed)
		}
		if !h.observes(t) {
			t.Errorf("%s is not observed", h.carried)
		}
		if got := strings.TrimSpace(h.Must("rule", "list")); !strings.HasSuffix(got, "ruled.example vpn0") {
			t.Errorf("rules: %q", got)
		}
		if said, err := h.confined(t, all, "stop"); err != nil || !strings.Contains(said, "stopped") {
			t.Errorf("stop: %v: %s", err, said)
		}
		if r := h.Run("status"); r.Code != 1 {
			t.Errorf("status after stop: exit %d, %s", r.Code, r.Stderr)
		}
	}
}

// TestEachCapability: without any one of them something fails, and a line says what.
func TestEachCapability(t *testing.T) {
	all := capabilities(t)
	mountBPFFS(t)
	for _, c := range all {
		t.Run(c, func(t *testing.T) {
			want, known := without[c]
			if !known {
				t.Fatalf("the unit has %s; what is it for?", c)
			}
			rest := slices.DeleteFunc(slices.Clone(all), func(have string) bool { return have == c })
			said, _ := newHost(t, want.beside).unitLife(t, rest)
			if !regexp.MustCompile(want.said).MatchString(said) {
				t.Errorf("they say:\n%s\nwant %s", said, want.said)
			}
		})
	}
}

// observes tells whether status lists the carried library as observed.
func (h *host) observes(t *testing.T) bool {
	t.Helper()
	var s struct {
		Libraries []struct {
			Path     string
			Attached bool
		}
	}
	h.JSON(&s, "status")
	for _, l := range s.Libraries {
		if l.Path == h.carried {
			return l.Attached
		}
	}
	return false
}

func olderThan(t *testing.T, major, minor int) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	return kernelBefore(unix.ByteSliceToString(u.Release[:]), major, minor)
}
