package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// packageCache keeps unpacked Debian packages between runs.
	packageCache = "/var/cache/domain-route-lab"
	resolvedConf = `[Resolve]
DNS=%s
FallbackDNS=
Domains=~.
DNSSEC=no
DNSOverTLS=no
LLMNR=no
MulticastDNS=no
`
)

// StartResolved starts systemd-resolved on 127.0.0.53:53, without D-Bus. Where it is not installed its Debian package is
// downloaded and unpacked, never installed. While the lab lives a private directory hides /run, in which nss-resolve
// (see ResolvedLibraries) finds resolved's socket.
func (l *Lab) StartResolved() (*Resolver, error) {
	dir, path, err := resolvedProgram()
	if err != nil {
		return nil, err
	}
	return l.startResolved(dir, path)
}

// startResolved starts the one at path, with the libraries below dir.
func (l *Lab) startResolved(dir, path string) (*Resolver, error) {
	if err := l.privateRun(); err != nil {
		return nil, fmt.Errorf("start systemd-resolved: %w", err)
	}
	cmd := l.Command(context.Background(), path).AsUser(resolverUID)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "SYSTEMD_LOG_TARGET=console", "LD_LIBRARY_PATH="+strings.Join(libraryDirs(dir), ":"))
	return l.runResolver(loopback(53), cmd)
}

// ResolvedLibraries lists the directories of libnss_resolve.so.2 and its like that came with the downloaded packages, for
// LD_LIBRARY_PATH; none if systemd-resolved is installed.
func ResolvedLibraries() ([]string, error) {
	dir, _, err := resolvedProgram()
	return libraryDirs(dir), err
}

// privateRun hides /run from this mount namespace behind a directory with resolved's configuration.
func (l *Lab) privateRun() error {
	run := filepath.Join(l.Dir, "run")
	if _, err := os.Stat(run); err == nil {
		return nil // started before
	}
	conf, state := filepath.Join(run, "systemd/resolved.conf.d"), filepath.Join(run, "systemd/resolve")
	for _, dir := range []string{conf, state, filepath.Join(run, "systemd/netif/links")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(conf, "lab.conf"), fmt.Appendf(nil, resolvedConf, l.DNS.Addr4), 0o644); err != nil {
		return err
	}
	if err := os.Chown(state, resolverUID, resolverUID); err != nil {
		return err
	}
	if err := unix.Mount(run, "/run", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind over /run: %w", err)
	}
	l.onClose(func() error { return unix.Unmount("/run", unix.MNT_DETACH) })
	return nil
}

// resolvedProgram finds systemd-resolved: installed, or below dir, where its packages are unpacked.
func resolvedProgram() (dir, path string, err error) {
	if path, err := findProgram("systemd-resolved"); err == nil {
		return "", path, nil
	}
	return unpackedResolved("resolved", downloadScript)
}

// unpackedResolved finds a systemd-resolved below a directory of the cache, where what a script downloads is unpacked.
func unpackedResolved(name, script string) (dir, path string, err error) {
	dir = filepath.Join(packageCache, name)
	path = filepath.Join(dir, "lib/systemd/systemd-resolved")
	if _, err := os.Stat(path); err == nil {
		return dir, path, nil
	}
	if err := unpackPackages(dir, script, "systemd-resolved", "libsystemd-shared", "libnss-resolve"); err != nil {
		return "", "", fmt.Errorf("get systemd-resolved: %w", err)
	}
	_, err = os.Stat(path)
	return dir, path, err
}

// downloadScript downloads Debian packages from where the machine gets its own.
const downloadScript = `apt-get -q -o APT::Sandbox::User=root download "$@"`

// unpackPackages has a script download Debian packages and unpacks them into dir, all or none.
func unpackPackages(dir, script string, packages ...string) error {
	if err := os.MkdirAll(packageCache, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(packageCache, "new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	// In a mount namespace of its own, so that names are resolved by the machine's resolv.conf and not by the lab's.
	script = `umount -l /etc/resolv.conf 2>/dev/null
set -e
` + script + `
for deb in *.deb; do dpkg -x "$deb" root; done`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, packages...)...)
	cmd.Dir = tmp
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("download %s: %w: %s", strings.Join(packages, " "), err, out)
	}
	if err := os.Chmod(filepath.Join(tmp, "root"), 0o755); err != nil {
		return err
	}
	err = os.Rename(filepath.Join(tmp, "root"), dir)
	if _, there := os.Stat(dir); there == nil {
		return nil // somebody else was quicker
	}
	return err
}

// libraryDirs lists the directories below dir that hold shared libraries.
func libraryDirs(dir string) []string {
	if dir == "" {
		return nil
	}
	var dirs []string
	for _, pattern := range []string{"usr/lib/*/systemd", "usr/lib/*-linux-gnu", "lib/*-linux-gnu"} {
		found, _ := filepath.Glob(filepath.Join(dir, pattern)) // the only error is a malformed pattern
		dirs = append(dirs, found...)
	}
	return dirs
}
