// Package kit holds what the tests with real programs share: the programs, and rounds of names with their verdict.
package kit

import (
	"bytes"
	"context"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
)

// Patience is how long one run of a program may take.
const Patience = time.Minute

// User is an ordinary user, whose evidence is its own.
const User = 4242

var (
	//go:embed testdata/client.c
	sourceC string
	//go:embed testdata/client.go
	sourceGo string
	//go:embed testdata/client.py
	sourcePython string
)

// Command is a program with the arguments that come before those of one run.
type Command []string

// Tool finds a program in PATH or where the system keeps its own; the test cannot go on without it.
func Tool(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	harness.Need(t, false, strings.Join(names, " or "))
	return ""
}

// Glibc builds the C client against the system's libc.
func Glibc(t testing.TB, h *Host) Command {
	t.Helper()
	return buildC(t, h, Tool(t, "gcc", "cc"), "client-glibc")
}

// Musl builds the C client against musl, statically.
func Musl(t testing.TB, h *Host) Command {
	t.Helper()
	return buildC(t, h, Tool(t, "musl-gcc"), "client-musl", "-static")
}

// Go builds the Go client without cgo, so that it resolves by itself.
func Go(t testing.TB, h *Host) Command {
	t.Helper()
	program, source := filepath.Join(h.Dir, "client-go"), write(t, h, "client.go", sourceGo)
	cmd := exec.Command(Tool(t, "go", "/usr/local/go/bin/go"), "build", "-o", program, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	build(t, h, cmd)
	return Command{program}
}

// Python is the Python client, run by the system's interpreter: one below a home directory is nobody else's to run.
func Python(t testing.TB, h *Host) Command {
	t.Helper()
	return Command{Tool(t, "/usr/bin/python3", "python3"), "-I", "-S", write(t, h, "client.py", sourcePython)}
}

func buildC(t testing.TB, h *Host, compiler, name string, flags ...string) Command {
	t.Helper()
	program := filepath.Join(h.Dir, name)
	args := append([]string{"-O1", "-Wall", "-Werror", "-o", program, write(t, h, "client.c", sourceC)}, flags...)
	build(t, h, exec.Command(compiler, args...))
	return Command{program}
}

func build(t testing.TB, h *Host, cmd *exec.Cmd) {
	t.Helper()
	cmd.Dir = h.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// write puts a file where every user can read it, gone with the lab.
func write(t testing.TB, h *Host, name, text string) string {
	t.Helper()
	path := filepath.Join(h.Dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// Run runs a program in the lab as a user, with a bare environment, and fails the test unless it exits 0.
// It returns stdout.
func (c Command) Run(t testing.TB, h *Host, uid uint32, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := h.Command(ctx, c[0], append(c[1:len(c):len(c)], args...)...)
	if uid != 0 {
		cmd.AsUser(uid)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C"}
	if err := cmd.Run(); err != nil {
		t.Errorf("%s: %v\n%s%s", filepath.Base(c[0]), err, tail(out.String()), tail(errs.String()))
	}
	return out.String()
}

// tail keeps the end of a program's words, which is where it says why.
func tail(s string) string { return s[max(0, len(s)-2000):] }
