package boot

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
)

const unitName = "domain-route.service"

// unit is what a unit file says: the values of each key, in order. An empty value empties those before, as for systemd.
type unit map[string][]string

func readUnit(t *testing.T, path string) unit {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	u := unit{}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(key, "#") {
			u[key] = append(u[key], value)
		}
	}
	return u
}

// words splits the values of a key.
func (u unit) words(key string) []string { return strings.Fields(strings.Join(u[key], " ")) }

// TestUnit: systemd understands every line. It knows neither that the program is there nor runs it; vmtest does.
func TestUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	harness.Need(t, err == nil, "systemd-analyze")
	text, err := os.ReadFile(contrib(t, "systemd/"+unitName))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	unitFile := filepath.Join(dir, unitName)
	installed := strings.ReplaceAll(string(text), "=/usr/local/sbin/domain-route ", "="+harness.Binary(t)+" ")
	write(t, unitFile, installed, 0o644)
	dropIns, err := filepath.Glob(contrib(t, "systemd/"+unitName+".d/*.conf"))
	if err != nil || len(dropIns) == 0 {
		t.Fatalf("drop-ins: %v, %v", dropIns, err)
	}
	for _, from := range dropIns {
		more, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(unitFile+".d", filepath.Base(from)), string(more), 0o644)
	}
	verify := func() string {
		out, err := exec.Command(analyze, "verify", "--man=no", unitFile).CombinedOutput()
		if err != nil {
			return fmt.Sprintf("%s%v", out, err)
		}
		return string(out)
	}
	if out := verify(); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	write(t, unitFile, installed+"\n[Service]\nProtectHomes=yes\n", 0o644)
	if out := verify(); !strings.Contains(out, "ProtectHomes") {
		t.Errorf("systemd-analyze verify finds no fault in a unit that has one: %s", out)
	}
}

// TestUnitPromises: what docs/boot.md promises, and vmtest would notice only by luck.
func TestUnitPromises(t *testing.T) {
	u := readUnit(t, contrib(t, "systemd/"+unitName))
	for key, want := range map[string][]string{
		"DefaultDependencies": {"no"},
		"Conflicts":           nil, // the rules hold until the kernel is gone
		"Wants":               {"network-pre.target"},
		"Type":                {"oneshot"},
		"RemainAfterExit":     {"yes"},
		"ExecReload":          {"/usr/local/sbin/domain-route", "apply", "--quiet"},
		"PrivateNetwork":      nil,
		"CacheDirectory":      {"domain-route"},
	} {
		if got := u.words(key); !slices.Equal(got, want) {
			t.Errorf("%s=%s, want %s", key, got, want)
		}
	}
	for key, want := range map[string][]string{
		"Before": {"network-pre.target", "sysinit.target"},
		"After":  {"local-fs.target", "sys-fs-bpf.mount"},
	} {
		for _, w := range want {
			if !slices.Contains(u.words(key), w) {
				t.Errorf("%s=%s, want %s in it", key, u.words(key), w)
			}
		}
	}
}
