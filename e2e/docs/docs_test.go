// Package docs runs every block of commands that README.md and CONTRIBUTING.md show.
package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/harness/page"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}

const top = "../.."

// blocks reads a page, all of whose blocks must be run.
func blocks(t *testing.T, file string) []page.Block {
	t.Helper()
	all := page.Read(t, top, file)
	for _, b := range all {
		if b.Kind != "sh" {
			t.Fatalf("%s:%d: a block that is not sh: no test runs it", b.File, b.Line)
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
	shell := tools(t, h)
	if err := os.Mkdir(filepath.Join(shell.Dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(harness.Binary(t), filepath.Join(shell.Dir, "bin", "domain-route")); err != nil {
		t.Fatal(err)
	}
	all := append(blocks(t, "README.md"), blocks(t, "CONTRIBUTING.md")...)
	if len(all) < 8 {
		t.Fatalf("found %d blocks only: is the reader broken?", len(all))
	}
	for _, b := range all {
		t.Run(fmt.Sprintf("%s:%d", b.File, b.Line), func(t *testing.T) {
			out := shell.Run(t, b)
			if strings.Contains(b.Text, "curl") && !strings.Contains(out, h.Uplink("wg0").Addr4.String()) &&
				!strings.Contains(out, h.Uplink("wg0").Addr6.String()) {
				t.Errorf("curl's server saw another address than wg0's:\n%s", out)
			}
		})
	}
}

// tools makes a shell in which make only says what it would do, and the rest is real. What the pages install goes to a
// directory of this mount namespace; the root cgroup is the lab's, and a systemd slice at that.
func tools(t *testing.T, h *harness.Host) *page.Shell {
	t.Helper()
	s := page.NewShell(t, h)
	// The targets run the tests, or are run by CI beside them.
	abs, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	s.Tool(t, "make", `exec /usr/bin/make -C '`+abs+`' -n "$@" >/dev/null`)
	s.Tool(t, "go", `case "$1 $2" in "test -v") exit 0;; esac; echo "go $*: not expected" >&2; exit 1`)
	page.Hide(t, "/usr/local/sbin")
	s.ShowCgroup(t, "system.slice")
	return s
}
