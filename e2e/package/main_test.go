// Package packages installs, upgrades, removes and purges the .deb and the .rpm, with the host's own dpkg: /usr, /etc and
// /var are overlays of this process's mount namespace, so nothing of it is left.
package packages

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	lab.Isolate()
	if err := throwAway(); err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		os.Exit(3)
	}
	code := m.Run()
	os.RemoveAll(builds.dir)
	os.Exit(code)
}

// throwAway lays an empty layer over what packages write to.
func throwAway() error {
	if err := unix.Mount("run", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("hide /run: %w", err)
	}
	if err := os.Mkdir("/run/lock", 0o755); err != nil {
		return err
	}
	layers := "/run/layers"
	for _, dir := range []string{"/usr", "/etc", "/var"} {
		upper, work := filepath.Join(layers, dir, "upper"), filepath.Join(layers, dir, "work")
		for _, d := range []string{upper, work} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return err
			}
		}
		if err := unix.Mount("throw-away", dir, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work)); err != nil {
			return fmt.Errorf("overlay on %s: %w", dir, err)
		}
	}
	for _, ours := range []string{"/etc/domain-route", "/var/cache/domain-route", "/usr/sbin/policy-rc.d"} {
		if err := os.RemoveAll(ours); err != nil {
			return err
		}
	}
	// Nothing here has to outlast a power cut, and nobody looks for manual pages.
	if err := os.WriteFile("/etc/dpkg/dpkg.cfg.d/throw-away", []byte("force-unsafe-io\n"), 0o644); err != nil {
		return err
	}
	if err := os.RemoveAll("/var/lib/man-db/auto-update"); err != nil {
		return err
	}
	// invoke-rc.d starts nothing where no init runs: this says that one does.
	return os.WriteFile("/usr/sbin/runlevel", []byte("#!/bin/sh\necho N 2\n"), 0o755)
}
