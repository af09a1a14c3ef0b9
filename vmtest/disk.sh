# shellcheck shell=bash
# The disk of the guest with systemd; sourced by run. Its programs are Debian's, unpacked and not installed.

readonly USERLAND_SUITE=bookworm
readonly USERLAND=(systemd) # and what it depends on
readonly DISK_SIZE=192M     # sparse

# userland_files: the names of the packages' files, in the archive as the list has it.
userland_files() {
	apt_own apt-get install --print-uris -qq -t "$USERLAND_SUITE" --no-install-recommends "${USERLAND[@]}" | cut -d' ' -f2 | sort
}

# fetch_userland: has them unpacked in $CACHE/userland/KEY, and sets USERLAND_DIR to that. KEY stands for their versions. A list can
# name files the archive has dropped since, so one retry with a fresh list.
fetch_userland() {
	try_userland || { refresh_list && try_userland; } || die "the packages of the guest with systemd could not be fetched"
}

try_userland() {
	local files stage
	files=$(userland_files)
	if [[ -z $files ]]; then
		say "no package ${USERLAND[*]} in the archive's $USERLAND_SUITE"
		return 1
	fi
	USERLAND_DIR=$CACHE/userland/$(sha256sum <<<"$files" | cut -c1-16)
	[[ ! -d $USERLAND_DIR ]] || return 0
	say "downloading $(wc -l <<<"$files") packages: ${USERLAND[*]}, and what it depends on"
	rm -rf "$CACHE/userland" # other versions, and what an interrupted run left; the lock is ours
	mkdir -p "$CACHE/userland"
	stage=$(mktemp -d "$CACHE/userland/.stage.XXXXXX") || return
	if ! download_userland "$stage/deb" || ! unpack_userland "$stage/deb" "$stage/root"; then
		rm -rf "$stage"
		return 1
	fi
	mv "$stage/root" "$USERLAND_DIR"
	rm -rf "$stage"
}

# download_userland DIR
download_userland() {
	mkdir -p "$1/partial"
	apt_own apt-get install --download-only -qq -y -t "$USERLAND_SUITE" --no-install-recommends \
		-o "Dir::Cache::archives=$1" "${USERLAND[@]}" >/dev/null
}

# unpack_userland DIR ROOT: with /bin, /lib and so on being links, as Debian's installer makes them, and without what no program reads.
unpack_userland() {
	local root=$2 deb dir
	for dir in bin sbin lib lib64; do
		mkdir -p "$root/usr/$dir"
		ln -s "usr/$dir" "$root/$dir"
	done
	for deb in "$1"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink --no-same-owner -C "$root" || return
	done
	rm -rf "$root"/usr/share/{bash-completion,bug,doc,i18n,info,lintian,locale,man,perl5,zsh} "$root"/usr/lib/*/gconv
	mkdir -p "$root"/{dev,opt/other,proc,root,run,sys,tmp}
	chmod 1777 "$root/tmp"
}

# older_than RELEASE VERSION
older_than() { [[ $(printf '%s\n' "$2" "${1%%[-+]*}" | sort -V | head -n 1) != "$2" ]]; }

# build_deb DIR: the package as `make package` makes it, in DIR. VMTEST_PROGRAM is not built anew, but takes its program's place.
build_deb() {
	say "building the package"
	ARCHES=amd64 PACKAGERS=deb SBOM=no "$HERE/../scripts/package" "$1" 2>"$WORK/package.log" || { cat "$WORK/package.log" >&2 && die "no package"; }
}

# build_disk OUTPUT DEB RELEASE: the disk as it is before the first boot: systemd, the package's files, those of vmtest/systemd/root,
# and the guest's own program.
build_disk() {
	local dir=$WORK/disk
	cp -al -- "$USERLAND_DIR" "$dir"
	# What is there is linked to the cache: nothing may be written over it. tar unlinks first.
	dpkg-deb --fsys-tarfile "$2" | tar -x --keep-directory-symlink --no-same-owner --exclude='./usr/share/doc' --exclude='./usr/share/man' -C "$dir"
	cp -r --remove-destination --no-preserve=ownership -- "$HERE"/systemd/root/. "$dir/"
	[[ -z ${VMTEST_PROGRAM:-} ]] || install -m 755 -- "$VMTEST_PROGRAM" "$dir/usr/sbin/domain-route"
	mkdir -p "$dir"/usr/local/bin
	install -m 755 "$WORK/guest" "$dir/usr/local/bin/guest"
	install -m 755 "$WORK/guest" "$dir/usr/local/bin/dnsmasq"
	install -m 755 "$dir"/usr/lib/x86_64-linux-gnu/{ld-linux-x86-64.so.2,libc.so.6} "$dir/opt/other/"
	configure_package "$dir" "$3"
	PATH=$PATH:/usr/sbin:/sbin mke2fs -q -t ext4 -O ^has_journal -d "$dir" "$1" "$DISK_SIZE" >/dev/null
	rm -rf "$dir"
}

# configure_package ROOT RELEASE: what the package's postinst does to the disk, where there is no shell to run it (e2e/package does).
configure_package() {
	local etc=$1/etc/systemd/system
	if older_than "$2" 6.6; then
		mkdir -p "$etc/domain-route.service.d"
		ln -s /usr/share/domain-route/linux-below-6.6.conf "$etc/domain-route.service.d/package-linux-below-6.6.conf"
	fi
	mkdir -p "$etc/sysinit.target.wants"
	ln -s /lib/systemd/system/domain-route.service "$etc/sysinit.target.wants/"
}
