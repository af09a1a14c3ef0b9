package lab

import (
	"fmt"
	"os/exec"
)

// backportsScript downloads packages from the backports of the archive that this machine's apt is set up for, by lists of
// its own below the working directory. They fit Debian 12's libraries.
const backportsScript = `archive=$(apt-get update --print-uris |
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
apt-get download -qq "$@"`

// StartNewerResolved starts a systemd-resolved whose cache can be asked for (254 or later), as StartResolved does. An error
// that is exec.ErrNotFound says that there is none to be had.
func (l *Lab) StartNewerResolved() (*Resolver, error) {
	dir, path, err := unpackedResolved("resolved-newer", backportsScript)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", exec.ErrNotFound, err)
	}
	return l.startResolved(dir, path)
}
