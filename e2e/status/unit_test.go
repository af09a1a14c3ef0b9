package status

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

const (
	units    = "../../contrib/systemd/"
	service  = "domain-route-metrics.service"
	timer    = "domain-route-metrics.timer"
	textfile = "/var/lib/prometheus/node-exporter"
)

// keys are the values of a key in a unit file.
func keys(t *testing.T, unit, key string) (values []string) {
	t.Helper()
	text, err := os.ReadFile(units + unit)
	check(t, err)
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			values = append(values, strings.Fields(value)...)
		}
	}
	return values
}

// systemd understands every line of both.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	harness.Need(t, err == nil, "systemd-analyze")
	dir := t.TempDir()
	for _, unit := range []string{service, timer} {
		text, err := os.ReadFile(units + unit)
		check(t, err)
		installed := strings.ReplaceAll(string(text), "=/usr/local/sbin/domain-route ", "="+harness.Binary(t)+" ")
		check(t, os.WriteFile(filepath.Join(dir, unit), []byte(installed), 0o644))
	}
	for _, unit := range []string{service, timer} {
		if out, err := exec.Command(analyze, "verify", "--man=no", filepath.Join(dir, unit)).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v: %s", unit, err, out)
		}
	}
	if run := strings.Join(keys(t, service, "ExecStart"), " "); run != "/usr/local/sbin/domain-route metrics --textfile "+textfile+"/domain-route.prom" {
		t.Errorf("it runs %s", run)
	}
	if most, own := keys(t, service, "LogLevelMax"), keys(t, service, "SyslogLevel"); !slices.Equal(most, own) {
		t.Errorf("of levels up to %v those of its errors, %v, are not in the journal", most, own)
	}
	for _, key := range []string{"ReadWritePaths", "RequiresMountsFor", "ConditionPathIsDirectory"} {
		if !slices.Contains(keys(t, service, key), textfile) {
			t.Errorf("%s is without %s", key, textfile)
		}
	}
}

// What the unit may do is enough, and without any one of it something fails or is warned of.
func TestUnitCapabilities(t *testing.T) {
	_, err := exec.LookPath("setpriv")
	harness.Need(t, err == nil, "setpriv")
	all := keys(t, service, "CapabilityBoundingSet")
	h := harness.New(t, lab.Options{})
	runOther(t, h)
	h.Must("start", "--cgroup", h.Cgroup)
	dir := filepath.Join(h.Dir, "of-node-exporter")
	check(t, os.Mkdir(dir, 0o755))
	check(t, os.Chown(dir, 4711, 4711))
	file := filepath.Join(dir, "domain-route.prom")
	warnings := func(capabilities []string) (n float64, failed error) {
		set := "-all"
		for _, c := range capabilities {
			set += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
		}
		cmd := h.HostCommand(t.Context(), "setpriv", "--no-new-privs", "--bounding-set", set, harness.Binary(t), "metrics", "--textfile", file)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Logf("with %s: %s", set, out)
			return 0, err
		}
		b, err := os.ReadFile(file)
		check(t, err)
		return scrape(t, string(b))["warnings"], nil
	}
	if n, err := warnings(all); n != 0 || err != nil {
		t.Errorf("%v warnings, %v: %v", n, err, inspect(h).Warnings)
	}
	for _, one := range all {
		rest := slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c == one })
		if n, err := warnings(rest); n == 0 && err == nil {
			t.Errorf("%s is not needed", one)
		}
	}
}

// runOther runs a program of another user, whose C library is to be looked at.
func runOther(t *testing.T, h *harness.Host) {
	t.Helper()
	cmd := h.HostCommand(t.Context(), "sleep", "infinity").AsUser(4242)
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = unix.Kill(cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
	})
}
