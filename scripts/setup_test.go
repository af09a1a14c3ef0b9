// Package scripts_test tests the shell scripts of this directory.
package scripts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// world is a made-up system for scripts/setup: stub commands first in PATH, files below a root of its own.
type world struct {
	t    *testing.T
	root string
	bin  string
}

// newWorld makes a system run by root, with Go, apt lists, and the packages given installed.
func newWorld(t *testing.T, installed ...string) *world {
	t.Helper()
	w := &world{t: t, root: t.TempDir(), bin: t.TempDir()}
	for _, tool := range []string{"bash", "sh", "cat", "chmod", "dirname", "flock", "grep", "mkdir", "mktemp", "rm", "sed", "sort", "tail", "tr"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatalf("finding %s: %v", tool, err)
		}
		if err := os.Symlink(path, filepath.Join(w.bin, tool)); err != nil {
			t.Fatalf("linking %s: %v", tool, err)
		}
	}
	w.stub("id", "echo 0")
	w.stub("go", "echo go1.26.0")
	w.stub("update-rc.d", `echo "update-rc.d $*" >>"$DOMAIN_ROUTE_SETUP_ROOT/calls"`)
	w.stub("dpkg-query", "printf 'ii %s\\n' "+strings.Join(append(installed, "base-files"), " ")+"; exit 1")
	w.apt("")
	w.write("var/lib/apt/lists/mirror_main_binary-amd64_Packages", "")
	if err := os.MkdirAll(filepath.Join(w.root, "usr/sbin"), 0o755); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) stub(name, body string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.bin, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		w.t.Fatalf("writing stub %s: %v", name, err)
	}
}

// apt stubs apt-get: it notes its arguments and whether services were held back, then runs body.
func (w *world) apt(body string) {
	w.t.Helper()
	w.stub("apt-get", `held=free; [ -x "$DOMAIN_ROUTE_SETUP_ROOT/usr/sbin/policy-rc.d" ] && held=held
case "$*" in *" update"*) verb=update;; *" install "*) verb=install;; esac
echo "$verb $held $*" >>"$DOMAIN_ROUTE_SETUP_ROOT/calls"
`+body)
}

func (w *world) write(path, text string) {
	w.t.Helper()
	path = filepath.Join(w.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(path string) string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.root, path))
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	return string(text)
}

// run runs scripts/setup in the world and returns its exit status and what it said.
func (w *world) run(groups ...string) (int, string) {
	w.t.Helper()
	cmd := exec.Command("./setup", groups...)
	cmd.Env = []string{"PATH=" + w.bin, "DOMAIN_ROUTE_SETUP_ROOT=" + w.root, "TMPDIR=" + w.t.TempDir()}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		w.t.Fatalf("running setup: %v", err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestSetupIsSilentWhenAllIsThere(t *testing.T) {
	w := newWorld(t, "ca-certificates", "clang-format-19", "shellcheck")
	if code, out := w.run("lint"); code != 0 || out != "" {
		t.Errorf("exit %d, said %q; want 0 and nothing", code, out)
	}
	if calls := w.read("calls"); calls != "" {
		t.Errorf("called %q; want nothing", calls)
	}
}

func TestSetupInstallsOnlyWhatIsMissing(t *testing.T) {
	w := newWorld(t, "ca-certificates", "shellcheck")
	code, out := w.run("lint")
	if code != 0 || !strings.Contains(out, "installing clang-format-19\n") {
		t.Errorf("exit %d, said %q; want 0 and the package's name", code, out)
	}
	calls := strings.Split(strings.TrimSpace(w.read("calls")), "\n")
	if len(calls) != 2 || !strings.HasPrefix(calls[0], "update ") || !strings.HasPrefix(calls[1], "install held ") ||
		!strings.HasSuffix(calls[1], " install clang-format-19") {
		t.Errorf("called %q; want an update, then the installation with services held back", calls)
	}
	if text := w.read("usr/sbin/policy-rc.d"); text != "" {
		t.Errorf("policy-rc.d was left behind: %q", text)
	}
}

func TestSetupKeepsUnboundFromStartingAtBoot(t *testing.T) {
	w := newWorld(t, "ca-certificates")
	if code, out := w.run("test"); code != 0 {
		t.Fatalf("exit %d, said %q", code, out)
	}
	if calls := w.read("calls"); !strings.Contains(calls, "update-rc.d unbound disable") {
		t.Errorf("called %q; want unbound disabled", calls)
	}
}

func TestSetupLeavesAnAdministratorsPolicyAlone(t *testing.T) {
	w := newWorld(t)
	w.write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n")
	if code, out := w.run("lint"); code != 0 {
		t.Fatalf("exit %d, said %q", code, out)
	}
	if text := w.read("usr/sbin/policy-rc.d"); text != "#!/bin/sh\nexit 0\n" {
		t.Errorf("policy-rc.d is now %q", text)
	}
}

func TestSetupGoesOnAfterAFailedUpdate(t *testing.T) {
	w := newWorld(t)
	w.apt(`[ $verb = install ] || { echo "E: third party is gone" >&2; exit 100; }`)
	if code, out := w.run("lint"); code != 0 || !strings.Contains(out, "third party is gone") {
		t.Errorf("exit %d, said %q; want 0 and the failure named", code, out)
	}
}

func TestSetupUpdatesListsForTheTestsAlone(t *testing.T) {
	all := strings.Fields("ca-certificates dnsmasq-base unbound curl python3 openssh-client gcc libc6-dev musl-tools iproute2 strace util-linux chromium " +
		"bind9-dnsutils ntpsec-ntpdig stun-client socat wireguard-go wireguard-tools nftables procps systemd dash " +
		"libacl1 libapparmor1 libaudit1 libblkid1 libcap2 libcrypt1 libgcrypt20 libip4tc2 libkmod2 liblz4-1 " +
		"liblzma5 libmount1 libpam0g libseccomp2 libselinux1 libssl3 libzstd1 " +
		"bash-completion zsh fish mandoc lintian rpm shellcheck git openssl")
	w := newWorld(t, all...)
	if err := os.RemoveAll(filepath.Join(w.root, "var/lib/apt/lists")); err != nil {
		t.Fatal(err)
	}
	if code, out := w.run("test"); code != 0 || !strings.Contains(out, "updating the package lists") {
		t.Errorf("exit %d, said %q; want 0 and the update named", code, out)
	}
	if calls := w.read("calls"); !strings.HasPrefix(calls, "update ") || strings.Contains(calls, "install") {
		t.Errorf("called %q; want an update only", calls)
	}
}

func TestSetupRefusals(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(w *world)
		group string
		code  int
		want  string
	}{
		{"not root", func(w *world) { w.stub("id", "echo 1000") }, "test", 1, `setup: test needs root (BPF, network namespaces): sudo env "PATH=$PATH" make test`},
		{"not root, missing", func(w *world) { w.stub("id", "echo 1000") }, "lint", 1, "sudo apt-get install ca-certificates clang-format-19 shellcheck"},
		{"no apt", func(w *world) { w.remove("apt-get") }, "lint", 1, "by hand: ca-certificates clang-format-19 shellcheck"},
		{"no dpkg", func(w *world) { w.remove("apt-get"); w.remove("dpkg-query") }, "lint", 1, "by hand: ca-certificates clang-format-19 shellcheck"},
		{"no go", func(w *world) { w.remove("go") }, "lint", 1, "go is not in PATH"},
		{"old go", func(w *world) { w.stub("go", "echo go1.19.8") }, "lint", 1, "go1.19.8 is too old"},
		{"cannot install", func(w *world) { w.apt("exit 100") }, "lint", 1, "apt-get could not install the packages"},
		{"unknown group", func(*world) {}, "everything", 2, "usage: scripts/setup"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			tt.spoil(w)
			code, out := w.run(tt.group)
			if code != tt.code || !strings.Contains(out, tt.want) {
				t.Errorf("exit %d, said %q; want %d and %q", code, out, tt.code, tt.want)
			}
			if text := w.read("usr/sbin/policy-rc.d"); text != "" {
				t.Errorf("policy-rc.d was left behind: %q", text)
			}
		})
	}
}

func (w *world) remove(name string) {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.bin, name)); err != nil {
		w.t.Fatal(err)
	}
}
