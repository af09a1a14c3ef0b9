package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// newerResolvedScript downloads systemd-resolved 254 from the backports of the archive that this machine's apt is set up for, by
// lists of its own below the working directory, and unpacks it into root. It fits Debian 12's libraries. Names are
// resolved by the machine's resolv.conf, not by the lab's.
const newerResolvedScript = `umount -l /etc/resolv.conf 2>/dev/null
set -e
archive=$(apt-get update --print-uris |
	sed -nE "s#^'(https?://[^']*/)dists/bookworm/(InRelease|Release)'.*#\\1#p" | sed -n 1p)
[ -n "$archive" ] || { echo "no Debian archive with the suite bookworm in this machine's apt configuration" >&2; exit 1; }
mkdir -p sources state/lists/partial cache/archives/partial
{
	apt-config dump Acquire
	printf '%s "%s";\n' Dir::Etc::Main /dev/null Dir::Etc::Parts /dev/null Dir::Etc::SourceList /dev/null \
		Dir::Etc::SourceParts "$PWD/sources" Dir::Etc::Preferences /dev/null Dir::Etc::PreferencesParts /dev/null \
		Dir::State "$PWD/state" Dir::State::status /dev/null Dir::Cache "$PWD/cache" APT::Sandbox::User root \
		Acquire::Languages none
} >apt.conf
printf 'Types: deb\nURIs: %s\nSuites: bookworm-backports\nComponents: main\nTargets: Packages\nSigned-By: %s\n' \
	"$archive" /usr/share/keyrings/debian-archive-keyring.gpg >sources/newer.sources
export APT_CONFIG=$PWD/apt.conf
apt-get update -qq -o APT::Update::Error-Mode=any
apt-get download -qq systemd-resolved libsystemd-shared libnss-resolve
for deb in *.deb; do dpkg -x "$deb" root; done`

// StartNewerResolved starts a systemd-resolved whose cache can be asked for (254 or later), as StartResolved does. An error
// that is exec.ErrNotFound says that there is none to be had.
func (l *Lab) StartNewerResolved() (*Resolver, error) {
	dir, path, err := newerResolved()
	if err != nil {
		return nil, err
	}
	if err := l.privateRun(); err != nil {
		return nil, fmt.Errorf("start systemd-resolved: %w", err)
	}
	cmd := l.Command(context.Background(), path).AsUser(resolverUID)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "SYSTEMD_LOG_TARGET=console", "LD_LIBRARY_PATH="+strings.Join(libraryDirs(dir), ":"))
	return l.runResolver(loopback(53), cmd)
}

// newerResolved finds it: below dir, where it is unpacked from Debian 12's backports.
func newerResolved() (dir, path string, err error) {
	dir = filepath.Join(packageCache, "resolved-newer")
	path = filepath.Join(dir, "lib/systemd/systemd-resolved")
	if _, err := os.Stat(path); err == nil {
		return dir, path, nil
	}
	if err := os.MkdirAll(packageCache, 0o755); err != nil {
		return "", "", err
	}
	tmp, err := os.MkdirTemp(packageCache, "new-")
	if err != nil {
		return "", "", err
	}
	defer os.RemoveAll(tmp)
	cmd := exec.Command("sh", "-c", newerResolvedScript)
	cmd.Dir = tmp
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("get a newer systemd-resolved: %w: %w: %s", exec.ErrNotFound, err, out)
	}
	root := filepath.Join(tmp, "root")
	if err := os.Chmod(root, 0o755); err != nil {
		return "", "", err
	}
	err = os.Rename(root, dir)
	if _, there := os.Stat(path); there == nil {
		return dir, path, nil // also when somebody else was quicker
	}
	return "", "", errors.Join(fmt.Errorf("get a newer systemd-resolved: %w", exec.ErrNotFound), err)
}
