// Package harness runs the real domain-route binary in a lab, for end-to-end tests.
package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/internal/lab"
)

// BinaryEnv names the built binary; the Makefile and the VM's init set it.
const BinaryEnv = "DOMAIN_ROUTE_BIN"

// Host is a lab whose client namespace is the home of a domain-route under test.
type Host struct {
	*lab.Lab
	t   testing.TB
	bin string
}

// cacheEnv says where compiled rules are kept.
const cacheEnv = "CACHE_DIRECTORY"

// New makes a lab that ends with the test. Nothing is started yet. Compiled rules are kept in the lab's directory, unless the
// test has said where: nothing of the host's.
func New(t testing.TB, o lab.Options) *Host {
	t.Helper()
	Need(t, os.Getuid() == 0, "root")
	l, err := lab.New(o)
	if err != nil {
		t.Fatal(err)
	}
	h := &Host{Lab: l, t: t, bin: Binary(t)}
	if os.Getenv(cacheEnv) == "" {
		t.Setenv(cacheEnv, filepath.Join(l.Dir, "cache"))
	}
	t.Cleanup(func() {
		h.Run("stop")
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// Started makes a lab with domain-route started in it, attached to the lab's cgroup.
func Started(t testing.TB, args ...string) *Host {
	t.Helper()
	h := New(t, lab.Options{})
	h.Must(append([]string{"start", "--cgroup", h.Cgroup}, args...)...)
	return h
}

// Need skips the test for want of something, or fails it where it should be there.
func Need(t testing.TB, have bool, what string) {
	t.Helper()
	switch {
	case have:
	case os.Getenv("DOMAIN_ROUTE_NO_SKIP") == "1":
		t.Fatalf("needs %s, which should be here", what)
	default:
		t.Skipf("needs %s", what)
	}
}

// Binary returns the path of the built binary.
func Binary(t testing.TB) string {
	t.Helper()
	if b := os.Getenv(BinaryEnv); b != "" {
		return b
	}
	for dir, _ := os.Getwd(); dir != "/"; dir = filepath.Dir(dir) {
		b := filepath.Join(dir, "bin", "domain-route")
		if _, err := os.Stat(b); err == nil {
			return b
		}
	}
	t.Fatal("no binary: run `make build`, or set " + BinaryEnv)
	return ""
}

// Result is what one run of the command gave.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Run runs domain-route with the arguments, in the client's namespace.
func (h *Host) Run(args ...string) Result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := h.HostCommand(ctx, h.bin, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		// Not fatal: Run may be called from any goroutine.
		h.t.Errorf("domain-route %s: %v", strings.Join(args, " "), err)
		return Result{Stderr: err.Error(), Code: -1}
	}
	return Result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// Must runs domain-route and fails the test unless it exits 0. It returns stdout.
func (h *Host) Must(args ...string) string {
	h.t.Helper()
	r := h.Run(args...)
	if r.Code != 0 {
		h.t.Fatalf("domain-route %s: exit %d\n%s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// JSON runs domain-route with -o json, whatever it exits with, and decodes the envelope's data.
func (h *Host) JSON(data any, args ...string) Result {
	h.t.Helper()
	r := h.Run(append(args, "-o", "json")...)
	envelope := struct {
		APIVersion, Kind string
		Data             any
	}{Data: data}
	if err := json.Unmarshal([]byte(r.Stdout), &envelope); err != nil {
		h.t.Fatalf("domain-route %s: %v in %q (%s)", strings.Join(args, " "), err, r.Stdout, r.Stderr)
	}
	if envelope.APIVersion != "domain-route/v1" || envelope.Kind == "" {
		h.t.Fatalf("envelope of %s: %q %q", args, envelope.APIVersion, envelope.Kind)
	}
	return r
}

// Learnt is one row of `rdns -o json`.
type Learnt struct {
	Address netip.Addr
	Name    string
	Level   string // process, user or host
	PID     uint32
	UID     uint32
	TTL     int // seconds; negative once it is over
	Rule    string
	Target  string
}

// Learnt lists all learnt names.
func (h *Host) Learnt() []Learnt {
	h.t.Helper()
	var data struct{ Names []Learnt }
	h.JSON(&data, "rdns")
	return data.Names
}

// Names returns the names learnt for an address, at whatever level, each once.
func (h *Host) Names(a netip.Addr) []string {
	h.t.Helper()
	var names []string
	seen := map[string]bool{}
	for _, l := range h.Learnt() {
		if l.Address == a && !seen[l.Name] {
			seen[l.Name] = true
			names = append(names, l.Name)
		}
	}
	return names
}

// Counters returns the named counters that status shows.
func (h *Host) Counters() map[string]uint64 {
	h.t.Helper()
	var data struct{ Counters map[string]uint64 }
	h.JSON(&data, "status")
	return data.Counters
}

// MustAgent starts an agent that ends with the test.
func (h *Host) MustAgent(o lab.AgentOptions) *lab.Agent {
	h.t.Helper()
	a, err := h.Agent(o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { a.Close() })
	return a
}

// MustHost adds a server to the lab, with names (if any) that the lab's DNS resolves to it.
func (h *Host) MustHost(names ...string) lab.Host {
	h.t.Helper()
	s, err := h.AddHost()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, n := range names {
		h.DNS.Set(n, s.Addr4, s.Addr6)
	}
	return s
}
