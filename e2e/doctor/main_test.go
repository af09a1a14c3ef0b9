// Package doctor tests `doctor`: the real program in the lab, with things seeded that are wrong, each alone. It names
// them and what helps, and what it says helps.
package doctor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	if server := os.Getenv(tunnelEnv); server != "" {
		if err := tunnel(server); err != nil {
			fmt.Fprintln(os.Stderr, "tunnel:", err)
		}
		return
	}
	lab.Isolate()
	if err := privateEtc(); err != nil {
		fmt.Fprintln(os.Stderr, "a private /etc:", err)
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// privateEtc puts a copy of /etc in its place, in this mount namespace only: cures write there.
func privateEtc() error {
	dir, err := os.MkdirTemp("", "doctor-etc")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := unix.Mount("etc", dir, "tmpfs", 0, "mode=0755,size=64m"); err != nil {
		return err
	}
	if out, err := exec.Command("cp", "-a", "/etc/.", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	for _, browser := range []string{"chromium", "chromium-browser", "firefox", "firefox-esr", "opt", "brave"} {
		if err := os.RemoveAll(filepath.Join(dir, browser)); err != nil {
			return err
		}
	}
	return unix.Mount(dir, "/etc", "", unix.MS_MOVE, "")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// check is one of doctor's.
type check struct {
	ID, Group, Level, Subject, Found, Cure string
}

// consult runs doctor.
func consult(t testing.TB, h *harness.Host) []check {
	t.Helper()
	var data struct {
		Sound  bool
		Checks []check
	}
	r := h.JSON(&data, "doctor")
	wrong := wrongIn(data.Checks)
	if data.Sound != (r.Code == 0) || data.Sound != (len(wrong) == 0) || r.Code > 1 {
		t.Errorf("exit %d, sound %v, wrong: %+v; %s", r.Code, data.Sound, wrong, r.Stderr)
	}
	return data.Checks
}

// wrongIn are those that say that something is wrong.
func wrongIn(all []check) []check {
	var wrong []check
	for _, c := range all {
		if c.Level == "warn" || c.Level == "fail" {
			wrong = append(wrong, c)
		}
	}
	return wrong
}

// wantWrong wants one thing to be wrong, whatever follows from it, and returns it.
func wantWrong(t testing.TB, h *harness.Host, id, level, found, cure string, also ...string) check {
	t.Helper()
	var hit *check
	for _, c := range wrongIn(consult(t, h)) {
		switch {
		case c.ID == id && hit == nil:
			hit = &c
		case c.ID == id || strings.Contains(strings.Join(also, " "), c.ID):
		default:
			t.Errorf("is wrong beside %s: %+v", id, c)
		}
	}
	if hit == nil {
		t.Fatalf("%s is not named", id)
	}
	if hit.Level != level || !strings.Contains(hit.Subject+": "+hit.Found, found) || !strings.Contains(hit.Cure, cure) {
		t.Errorf("%+v; want %s, %q, cure %q", *hit, level, found, cure)
	}
	return *hit
}

// wantSound wants nothing to be wrong.
func wantSound(t testing.TB, h *harness.Host) {
	t.Helper()
	if wrong := wrongIn(consult(t, h)); len(wrong) > 0 {
		t.Errorf("wrong: %+v", wrong)
	}
}

// mend runs a cure as a user does: by a shell, with what stands for something filled in.
func mend(t testing.TB, h *harness.Host, cure string, fill ...string) {
	t.Helper()
	bin := harness.Binary(t)
	text := strings.NewReplacer(fill...).Replace(cure)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := h.HostCommand(ctx, "sh", "-c", "domain_route() { "+bin+` "$@"; }; `+strings.ReplaceAll(text, "domain-route ", "domain_route "))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", text, err, out)
	}
}

// sound is a lab in which nothing is wrong: a rule, and a program that has connected by it.
func sound(t *testing.T, args ...string) (*harness.Host, *lab.Agent, lab.Host) {
	t.Helper()
	must(t, os.MkdirAll("/etc/chromium/policies/managed", 0o755))
	must(t, os.WriteFile("/etc/chromium/policies/managed/off.json", []byte(`{"DnsOverHttpsMode":"off"}`), 0o644))
	h := harness.Started(t, args...)
	site := h.MustHost("www.site.test")
	h.Must("rule", "add", "site.test", "vpn0")
	a := h.MustAgent(lab.AgentOptions{})
	must(t, via.Learn(a, "www.site.test"))
	if got := via.Out(h.Lab, a, via.TCP4, site, "vpn0"); got != "vpn0" {
		t.Fatalf("goes by %s", got)
	}
	return h, a, site
}

// setting sets a value below /proc/sys/net, of the client's.
func setting(t testing.TB, h *harness.Host, path, value string) {
	t.Helper()
	must(t, h.Client.Do(func() error { return os.WriteFile("/proc/sys/net/"+path, []byte(value), 0) }))
}
