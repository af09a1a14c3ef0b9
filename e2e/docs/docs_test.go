// Package docs runs every block of commands that README.md and CONTRIBUTING.md show.
package docs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}

const top = "../.."

// block is one fenced block of shell commands.
type block struct {
	file string
	line int
	text string
}

func blocks(t *testing.T, file string) []block {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, file))
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	var in *block
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case in == nil && strings.HasPrefix(line, "```"):
			if line != "```sh" {
				t.Fatalf("%s:%d: a block that is not sh: no test runs it", file, i+1)
			}
			in = &block{file: file, line: i + 1}
		case in != nil && line == "```":
			all = append(all, *in)
			in = nil
		case in != nil:
			in.text += line + "\n"
		}
	}
	return all
}

// TestBlocks runs the blocks of both pages in order, in one lab that has what they talk of.
func TestBlocks(t *testing.T) {
	h := harness.New(t, lab.Options{})
	for _, name := range []string{"wg0", "eth1", "wwan0"} {
		if err := h.AddUplink(name, lab.UplinkOptions{Metric: 8000}); err != nil {
			t.Fatal(err)
		}
	}
	h.MustHost("example.com")
	path := tools(t, h)
	work := t.TempDir()
	if err := os.Mkdir(filepath.Join(work, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(harness.Binary(t), filepath.Join(work, "bin", "domain-route")); err != nil {
		t.Fatal(err)
	}
	all := append(blocks(t, "README.md"), blocks(t, "CONTRIBUTING.md")...)
	if len(all) < 8 {
		t.Fatalf("found %d blocks only: is the reader broken?", len(all))
	}
	for _, b := range all {
		t.Run(fmt.Sprintf("%s:%d", b.file, b.line), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			// -e: every line has to succeed.
			cmd := h.Command(ctx, "bash", "-euc", b.text)
			cmd.Env = append(os.Environ(), "PATH="+path)
			cmd.Dir = work
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, b.text, out)
			}
			if strings.Contains(b.text, "curl") && !bytes.Contains(out, []byte(h.Uplink("wg0").Addr4.String())) &&
				!bytes.Contains(out, []byte(h.Uplink("wg0").Addr6.String())) {
				t.Errorf("curl's server saw another address than wg0's:\n%s", out)
			}
		})
	}
}

// tools makes a PATH on which sudo is nobody's business, make only says what it would do, and the rest is real.
// What the pages install goes to a directory of this mount namespace; the root cgroup is the lab's.
func tools(t *testing.T, h *harness.Host) string {
	t.Helper()
	dir := t.TempDir()
	script := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script("sudo", `exec "$@"`)
	// The targets run the tests, or are run by CI beside them.
	abs, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	script("make", `exec /usr/bin/make -C '`+abs+`' -n "$@" >/dev/null`)
	script("go", `case "$1 $2" in "test -v") exit 0;; esac; echo "go $*: not expected" >&2; exit 1`)
	if err := os.Symlink(harness.Binary(t), filepath.Join(dir, "domain-route")); err != nil {
		t.Fatal(err)
	}
	// The lab's cgroup is all of cgroup v2 that is to be seen, and a systemd slice at that.
	cgroup, err := os.Open(h.Cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer cgroup.Close()
	hide(t, "/usr/local/sbin")
	hideNew(t, "/etc/domain-route")
	hideNew(t, "/var/cache/domain-route")
	hide(t, "/sys/fs/cgroup")
	slice := "/sys/fs/cgroup/system.slice"
	if err := os.MkdirAll(slice, 0o755); err != nil {
		t.Fatal(err)
	}
	bind(t, fmt.Sprintf("/proc/self/fd/%d", cgroup.Fd()), slice)
	return dir + ":" + os.Getenv("PATH")
}

func bind(t *testing.T, from, to string) {
	t.Helper()
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("bind %s over %s: %v", from, to, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(to, unix.MNT_DETACH) })
}

// hideNew is hide for a directory that may not be there.
func hideNew(t *testing.T, dir string) {
	t.Helper()
	if os.Mkdir(dir, 0o755) == nil {
		t.Cleanup(func() { _ = os.Remove(dir) })
	}
	hide(t, dir)
}

func hide(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Fatalf("hide %s: %v", dir, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
}
