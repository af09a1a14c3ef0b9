# shellcheck shell=bash
# Finding and unpacking Debian kernels; sourced by run. Nothing is installed, and the machine's own apt state is only read.

readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
readonly LIST_DAYS=7 # how old the package list may grow before it is fetched again

# write_apt_config: apt on lists and directories of our own. Of the machine's settings only Acquire (proxies) is taken over: its
# hooks would tidy the machine's caches at each of our updates.
write_apt_config() {
	mkdir -p "$CACHE"/apt/{sources,state/lists/partial,cache/archives/partial}
	{
		apt-config dump Acquire
		cat <<-EOF
			Dir::Etc::Main "/dev/null";
			Dir::Etc::Parts "/dev/null";
			Dir::Etc::SourceList "/dev/null";
			Dir::Etc::SourceParts "$CACHE/apt/sources";
			Dir::Etc::Preferences "/dev/null";
			Dir::Etc::PreferencesParts "/dev/null";
			Dir::State "$CACHE/apt/state";
			Dir::State::status "/dev/null";
			Dir::Cache "$CACHE/apt/cache";
			APT::Architecture "amd64";
			APT::Sandbox::User "root";
			Acquire::Languages "none";
		EOF
	} >"$CACHE/apt/apt.conf"
}

# apt_own TOOL ARG...: an apt tool with that configuration.
apt_own() { APT_CONFIG=$CACHE/apt/apt.conf "$@"; }

# archive_base SUITE-REGEX: the address of the first archive in the machine's apt configuration that has such a suite.
# apt itself reads its configuration, in whichever of its formats; no package list has to be there.
archive_base() {
	apt-get update --print-uris |
		sed -nE "s#^'(https?://[^']*/)dists/($1)/(InRelease|Release)'.*#\\1#p" | sed -n 1p
}

# source_entry URI SUITES: one deb822 paragraph.
source_entry() {
	printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nTargets: Packages\nSigned-By: %s\n\n' "$1" "$2" "$KEYRING"
}

write_sources() {
	local main security
	main=$(archive_base 'bookworm|trixie')
	[[ -n $main ]] || die "no Debian archive (suite bookworm or trixie) in this machine's apt configuration"
	security=$(archive_base '(bookworm|trixie)-security')
	{
		source_entry "$main" 'bookworm trixie trixie-backports'
		[[ -z $security ]] || source_entry "$security" 'bookworm-security trixie-security'
	} >"$CACHE/apt/sources/vmtest.sources"
}

# refresh_list: fetches the package list.
refresh_list() {
	say "fetching the package lists of bookworm, trixie and trixie-backports"
	write_sources
	apt_own apt-get update -qq -o APT::Update::Error-Mode=any || die "the package lists could not be fetched"
	touch "$CACHE/apt/updated"
}

# refresh_stale_list: the same if the list is older than LIST_DAYS days. A stale list is good enough when offline.
refresh_stale_list() {
	[[ -z $(find "$CACHE/apt/updated" -mtime -"$LIST_DAYS" 2>/dev/null) ]] || return 0
	if [[ -e $CACHE/apt/updated ]]; then
		(refresh_list) || say "going on with the list of $(date -r "$CACHE/apt/updated" +%F)"
	else
		refresh_list
	fi
}

# newest_release KERNEL: the newest cloud kernel release whose version begins with KERNEL, e.g. 6.1 -> 6.1.0-53-cloud-amd64.
# A meta-package (6.12-cloud-amd64) has no patch level or ABI number and so does not match.
newest_release() {
	local kernel=${1//./\\.}
	apt_own apt-cache pkgnames linux- |
		sed -nE "s/^linux-(image|binary)-(${kernel}(\.[0-9]+)*(\+|-[0-9]).*cloud-amd64)\$/\2/p" |
		sort -Vu | tail -n 1
}

# packages_of RELEASE: the packages that hold its image and modules. Up to 6.x that is linux-image; 7.x has them apart (the
# list of built-in modules is in linux-base there), and linux-image only depends on them.
packages_of() {
	local all name
	all=$(apt_own apt-cache pkgnames linux-)
	for name in linux-{image,base,binary,modules}-"$1"; do
		! grep -qxF -- "$name" <<<"$all" || echo "$name"
	done
}

# fetch_kernel RELEASE: has it unpacked in $CACHE/kernels/RELEASE: vmlinuz, and lib/modules/RELEASE with a modules.dep.
fetch_kernel() {
	local release=$1 target=$CACHE/kernels/$1 stage packages
	[[ ! -d $target ]] || return 0
	mapfile -t packages < <(packages_of "$release")
	say "downloading ${packages[*]}"
	rm -rf "$CACHE"/kernels/.stage.* # of a run that was interrupted; the lock is ours
	stage=$(mktemp -d "$CACHE/kernels/.stage.XXXXXX")
	mkdir "$stage/deb" "$stage/root"
	if ! download "$stage/deb" "${packages[@]}" || ! unpack "$stage" "$release"; then
		rm -rf "$stage"
		return 1
	fi
	mv "$stage/root" "$target"
	rm -rf "$stage"
}

# download DIR PACKAGE...: a list can name packages the archive has dropped since, so one retry with a fresh list.
download() {
	local dir=$1
	shift
	(cd "$dir" && apt_own apt-get download -qq "$@") && return
	refresh_list && (cd "$dir" && apt_own apt-get download -qq "$@")
}

# unpack STAGE RELEASE: STAGE/deb/*.deb into STAGE/root, and the module dependencies worked out.
unpack() {
	local root=$1/root release=$2 deb image
	for deb in "$1"/deb/*.deb; do
		dpkg -x "$deb" "$root" || return
	done
	[[ -e $root/lib ]] || ln -s usr/lib "$root/lib"
	for image in "$root/boot/vmlinuz-$release" "$root/lib/modules/$release/vmlinuz"; do
		[[ ! -f $image ]] || mv "$image" "$root/vmlinuz"
	done
	if [[ ! -f $root/vmlinuz || ! -d $root/lib/modules/$release/kernel ]]; then
		say "$release: no image or no modules in its packages"
		return 1
	fi
	depmod -b "$root" "$release"
}
