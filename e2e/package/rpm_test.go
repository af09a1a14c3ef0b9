package packages

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rpmHere are rpm's options on a system that is not of it: Debian's keeps its database in the home directory otherwise.
func rpmHere(t *testing.T) []string {
	return []string{"--dbpath", t.TempDir(), "--nodeps", "--force-debian"}
}

// What the .rpm holds, as rpm tells it.
func TestRPMContents(t *testing.T) {
	path, db := pack(t, "rpm", newVersion), "--dbpath="+t.TempDir()
	said(t, run(t, "rpm", db, "-qlp", path), "/usr/sbin/domain-route\n", "/usr/lib/systemd/system/domain-route.service\n",
		"/usr/share/man/man8/domain-route.8.gz\n", "/usr/share/zsh/site-functions/_domain-route\n", config+"\n")
	said(t, run(t, "rpm", db, "-qcp", path), config+"\n")
	said(t, run(t, "rpm", db, "-qip", path), "Version     : "+newVersion, "License     : MIT", "URL         : https://")
}

// The scripts of both packages are POSIX sh without a mistake that tools find.
func TestScripts(t *testing.T) {
	dir := t.TempDir()
	run(t, "dpkg-deb", "-e", pack(t, "deb", newVersion), filepath.Join(dir, "deb"))
	for _, name := range []string{"preinst", "postinst", "prerm", "postrm"} {
		path := filepath.Join(dir, "deb", name)
		run(t, "dash", "-n", path)
		if out, err := exec.Command("shellcheck", "-s", "sh", "-e", "SC2317,SC2043", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	text := run(t, "rpm", "--dbpath="+t.TempDir(), "-qp", "--scripts", pack(t, "rpm", newVersion))
	parts := strings.Split(text, "scriptlet (using /bin/sh):\n")
	if len(parts) != 5 {
		t.Fatalf("%d scripts, want 4:\n%s", len(parts)-1, text)
	}
	for i, part := range parts[1:] {
		if i < 3 { // the line that announces the next one
			part = part[:strings.LastIndex(strings.TrimRight(part, "\n"), "\n")+1]
		}
		path := filepath.Join(dir, "rpm")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+part), 0o755); err != nil {
			t.Fatal(err)
		}
		run(t, "dash", "-n", path)
		if out, err := exec.Command("shellcheck", "-s", "sh", "-e", "SC2317,SC2043", path).CombinedOutput(); err != nil {
			t.Errorf("script %d of the rpm: %v\n%s", i, err, out)
		}
	}
}

// Installed, updated over a running system, erased: rpm's way.
func TestRPM(t *testing.T) {
	h := newHost(t)
	path := pack(t, "rpm", newVersion)
	here := rpmHere(t)
	rpm := func(args ...string) string { return h.must("rpm", append(args, here...)...) }
	rpm("-i", path)
	h.nothingInKernel() // to start it is up to the distribution's presets
	h.configure("rules:\n  - {match: a.test, target: vpn0}\n")
	h.must(program, "start")
	h.must(program, "rule", "add", "b.test", "block")
	ids := h.ids()
	said(t, rpm("-U", "--replacepkgs", path), "updated; observers")
	if got := h.must(program, "rule", "list"); got != "a.test vpn0\nb.test block\n" {
		t.Errorf("rules after the update: %q", got)
	}
	for name, id := range h.ids() {
		if ids[name] == id {
			t.Errorf("%s is the old program", name)
		}
	}
	rpm("-e", "domain-route")
	h.nothingInKernel()
	for _, gone := range []string{program, "/var/cache/domain-route"} {
		if _, err := os.Stat(gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", gone, err)
		}
	}
	if kept, err := os.ReadFile(config + ".rpmsave"); err != nil || !strings.Contains(string(kept), "a.test") {
		t.Errorf("the changed configuration is not kept: %v", err)
	}
	if err := os.RemoveAll(filepath.Dir(config)); err != nil {
		t.Fatal(err)
	}
}

// make install and uninstall, with Go only: all that belongs to it, where PREFIX and DESTDIR say, and a configuration
// that is there stays.
func TestMakeInstall(t *testing.T) {
	dest := t.TempDir()
	mine := filepath.Join(dest, config)
	if err := os.MkdirAll(filepath.Dir(mine), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, []byte("rules: []\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// Without git and without what was built before.
	tree := t.TempDir()
	run(t, "bash", "-c", `tar -C "$0" -c --exclude=./bin --exclude=./.git . | tar -C "$1" -x`, top, tree)
	run(t, "make", "-C", tree, "install", "DESTDIR="+dest, "PREFIX=/opt/x")
	if text, err := os.ReadFile(mine); err != nil || string(text) != "rules: []\n" {
		t.Errorf("the configuration was changed to %q, %v", text, err)
	}
	unit, err := os.ReadFile(filepath.Join(dest, "opt/x/lib/systemd/system/domain-route.service"))
	if err != nil || !strings.Contains(string(unit), "ExecStart=/opt/x/sbin/domain-route start") || strings.Contains(string(unit), "/usr/local") {
		t.Errorf("the unit: %v\n%s", err, unit)
	}
	for _, name := range []string{"sbin/domain-route", "share/man/man8/domain-route.8.gz", "share/man/man5/domain-route.conf.5.gz",
		"share/bash-completion/completions/domain-route", "share/zsh/site-functions/_domain-route",
		"share/fish/vendor_completions.d/domain-route.fish", "share/doc/domain-route/SECURITY.md"} {
		if st, err := os.Stat(filepath.Join(dest, "opt/x", name)); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	run(t, "make", "-C", tree, "uninstall", "DESTDIR="+dest, "PREFIX=/opt/x")
	var left []string
	_ = filepath.WalkDir(dest, func(path string, d fs.DirEntry, _ error) error {
		if !d.IsDir() {
			left = append(left, path)
		}
		return nil
	})
	if len(left) != 1 || left[0] != mine {
		t.Errorf("left: %q, want the configuration alone", left)
	}
}
