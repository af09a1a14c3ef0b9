// Package config tests what is said by files: the configuration, lists, apply, and what is written back.
package config

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	if os.Getenv(namesEnv) != "" {
		writeNames()
	}
	lab.Isolate()
	os.Exit(m.Run())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// site is a lab with a configuration of its own.
type site struct {
	*harness.Host
	t   testing.TB
	dir string // config.yaml and what is beside it
}

func newSite(t testing.TB) *site {
	s := &site{harness.New(t, lab.Options{}), t, t.TempDir()}
	s.t.(*testing.T).Setenv("CACHE_DIRECTORY", t.TempDir())
	return s
}

// startedSite has domain-route started, without a configuration.
func startedSite(t testing.TB) *site {
	s := newSite(t)
	s.Must("start", "--cgroup", s.Cgroup, "--flush=no", "--config=none")
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name, text string) {
	s.t.Helper()
	check(s.t, os.MkdirAll(filepath.Dir(s.path(name)), 0o755))
	check(s.t, os.WriteFile(s.path(name), []byte(text), 0o644))
}

func (s *site) read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(s.path(name))
	check(s.t, err)
	return string(b)
}

// with runs a command with the site's configuration and a standard input.
func (s *site) with(stdin string, args ...string) harness.Result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := s.HostCommand(ctx, harness.Binary(s.t), append([]string{"--config", s.path("config.yaml")}, args...)...)
	cmd.Dir = s.dir
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("%q: %v", args, err)
	}
	return harness.Result{Stdout: out.String(), Stderr: errs.String(), Code: cmd.ProcessState.ExitCode()}
}

func (s *site) run(args ...string) harness.Result {
	s.t.Helper()
	return s.with("", args...)
}

// must runs a command that succeeds.
func (s *site) must(args ...string) harness.Result {
	s.t.Helper()
	r := s.run(args...)
	if r.Code != 0 {
		s.t.Fatalf("%q: exit %d\n%s%s", args, r.Code, r.Stdout, r.Stderr)
	}
	return r
}

// fails runs a command that ends with a code and an error with words in it.
func (s *site) fails(code int, words string, args ...string) {
	s.t.Helper()
	wantFailure(s.t, s.run(args...), code, words, args)
}

func wantFailure(t testing.TB, r harness.Result, code int, words string, args []string) {
	t.Helper()
	if r.Code != code || !strings.Contains(r.Stderr, words) || r.Stdout != "" {
		t.Errorf("%q: exit %d, want %d and %q\nstdout: %s\nstderr: %s", args, r.Code, code, words, r.Stdout, r.Stderr)
	}
}

func (s *site) rules() string {
	s.t.Helper()
	return s.must("rule", "list").Stdout
}

// state is what status has of rules and configuration.
type state struct {
	Rules, Generation int
	History           bool
	Observers         []string
	Warnings          []string
	Configuration     struct {
		Files           []string
		Differs, Cached bool
		Error           string
		Settings        []struct{ Key, Configured, Running string }
	}
}

func (s *site) state() (st state) {
	s.t.Helper()
	decode(s.t, s.must("status", "-o", "json"), &st)
	return st
}

// decode reads the data of what -o json printed.
func decode(t testing.TB, r harness.Result, data any) {
	t.Helper()
	envelope := struct{ Data any }{data}
	if err := json.Unmarshal([]byte(r.Stdout), &envelope); err != nil {
		t.Fatalf("%v in %q (%s)", err, r.Stdout, r.Stderr)
	}
}
