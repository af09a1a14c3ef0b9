# shellcheck shell=bash
# The guest's initramfs; sourced by run.

# go_static OUTPUT build|test FLAG... PACKAGE: a static amd64 binary of a package of this module.
go_static() {
	local out=$1 command=$2
	shift 2
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go "$command" -C "$HERE/.." -trimpath -o "$out" "$@"
}

# build_base DIR: what every kernel's initramfs has in common. VMTEST_PROGRAM and VMTEST_TESTS, if set, are binaries to use in
# place of ones built from the tree.
build_base() {
	local dir=$1
	mkdir -p "$dir"/{bin,vmtest}
	go_static "$dir/init" build -ldflags '-s -w' ./vmtest/init
	if [[ -n ${VMTEST_PROGRAM:-} ]]; then
		cp -- "$VMTEST_PROGRAM" "$dir/bin/domain-route"
	else
		say "building domain-route"
		go_static "$dir/bin/domain-route" build -ldflags '-s -w' ./cmd/domain-route
	fi
	if [[ -n ${VMTEST_TESTS:-} ]]; then
		cp -- "$VMTEST_TESTS" "$dir/bin/vm.test"
	else
		say "building the tests in e2e/vm"
		go_static "$dir/bin/vm.test" test -c ./e2e/vm
	fi
	chmod 755 "$dir"/bin/*
	guest_arguments >"$dir/vmtest/args"
	guest_environment >"$dir/vmtest/env"
}

# guest_arguments: the test binary's arguments, one a line. Its own time-out comes before the host's, for the goroutine dump.
guest_arguments() {
	echo "-test.v"
	echo "-test.timeout=$((TIMEOUT - 20))s"
	[[ -z ${VMTEST_RUN:-} ]] || echo "-test.run=$VMTEST_RUN"
}

# guest_environment: KEY=VALUE lines. Every DOMAIN_ROUTE_* variable goes in, except the one about the host's directories.
guest_environment() {
	echo "DOMAIN_ROUTE_NO_SKIP=1"
	env | grep '^DOMAIN_ROUTE_' | grep -Ev '^DOMAIN_ROUTE_(CACHE|BIN)=' || true
	echo "DOMAIN_ROUTE_BIN=/bin/domain-route"
}

# module_files ROOT RELEASE: the wanted modules and what they need, one path a line, in the order of loading.
module_files() {
	local want
	mapfile -t want < <(grep -v '^#' "$HERE/modules")
	modprobe -C /dev/null -d "$1" -S "$2" --show-depends -a "${want[@]}" |
		sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++'
}

# add_modules DIR ROOT RELEASE: copies them to DIR/vmtest/modules, unpacked, numbered in the order of loading.
add_modules() {
	local dir=$1/vmtest/modules files file name n=100
	mkdir "$dir"
	files=$(module_files "$2" "$3") || die "$3: a module of vmtest/modules is missing"
	for file in $files; do
		name=$dir/$n-$(basename "$file")
		case $file in
		*.ko) cp -- "$file" "$name" ;;
		*.xz) xz -dc -- "$file" >"${name%.xz}" ;;
		*.zst) zstd -qdc -- "$file" >"${name%.zst}" ;;
		*) die "$file: do not know how to unpack it" ;;
		esac
		n=$((n + 1))
	done
}

# build_initramfs BASE RELEASE OUTPUT
build_initramfs() {
	local dir=$WORK/$2
	cp -al -- "$1" "$dir"
	add_modules "$dir" "$CACHE/kernels/$2" "$2"
	(cd "$dir" && find . -print0 | cpio --null --create --format=newc --owner=0:0 --quiet) >"$3"
	rm -rf "$dir"
}
