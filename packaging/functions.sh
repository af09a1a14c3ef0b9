# What the packages' scripts share; scripts/package puts it into each. POSIX sh, and nothing here fails: a package must
# install and go away on a machine whose kernel refuses.
DAEMON=/usr/sbin/domain-route
# What an upgrade keeps of the rules that run, in case the new program cannot take over what is pinned.
SAVED=/run/domain-route-upgrade

say() { echo "domain-route: $*" >&2; }

# A chroot shares the kernel with the system around it, whose rules are none of its business. Without /proc, or where / is
# no mount, it is one; otherwise if the first process has another root, as far as that may be looked at.
in_chroot() {
	grep -q '^[^ ]* [^ ]* [^ ]* [^ ]* / ' /proc/self/mountinfo 2>/dev/null || return 0
	root=$(stat -Lc %d:%i /proc/1/root/. 2>/dev/null) || return 1
	[ "$root" != "$(stat -Lc %d:%i /.)" ]
}

policy=/usr/sbin/policy-rc.d

# forbidden ACTION tells whether the administrator's policy has a word against it.
forbidden() {
	[ -x "$policy" ] || return 1
	"$policy" domain-route "$1" >/dev/null 2>&1 </dev/null
	[ $? -eq 101 ]
}

with_systemd() { [ -d /run/systemd/system ]; }

# state PROGRAM prints started, stopped, foreign (of another layout) or the like; nothing if that cannot be told.
state() {
	[ -x "$1" ] || return 0
	"$1" status -o json 2>/dev/null </dev/null | sed -n 's/^ *"state": "\([a-z]*\)".*/\1/p' | head -n 1
}

# forget_saved removes what an earlier upgrade left.
forget_saved() { rm -rf "$SAVED"; }

# save keeps the rules that run and how they run, by a program that understands them: the package's that is replaced, or
# one that was installed by hand. What an upgrade before could not carry over stays until there is something newer.
save() {
	if in_chroot || [ ! -d /sys/fs/bpf/domain-route ]; then return 0; fi
	for old in "$DAEMON" /usr/local/sbin/domain-route; do
		[ "$(state "$old")" = started ] || continue
		if (
			umask 077
			mkdir -p "$SAVED"
			"$old" status -o json >"$SAVED/status.new" && "$old" rule list >"$SAVED/rules.new"
		) 2>/dev/null </dev/null; then
			mv "$SAVED/status.new" "$SAVED/status.json"
			mv "$SAVED/rules.new" "$SAVED/rules"
			rm -f "$SAVED/failed"
		else
			rm -f "$SAVED/status.new" "$SAVED/rules.new"
		fi
		return 0
	done
}

# saved KEY prints what status said of it, each value in a line.
saved() {
	sed -n -e "/^    \"$1\": \[\$/,/^    \]/s/^      \"\(.*\)\",\{0,1\}\$/\1/p" \
		-e "s/^    \"$1\": \"\(.*\)\",\{0,1\}\$/\1/p" \
		-e "s/^    \"$1\": \([a-z0-9]*\),\{0,1\}\$/\1/p" "$SAVED/status.json"
}

# settings prints the flags of start, one a line, with which the saved system ran.
settings() {
	saved observers | sed 's/^/--observe=/'
	saved cgroup | sed '/./s/^/--cgroup=/'
	case $(saved history) in
	true) echo --history=yes ;;
	false) echo --history=no ;;
	esac
	case $(saved audit) in
	true) echo --audit=yes ;;
	false) echo --audit=no ;;
	esac
}

# restart_saved starts anew with the saved rules and settings; without the configuration where that is broken.
restart_saved() {
	set --
	while read -r flag; do
		[ -z "$flag" ] || set -- "$@" "$flag"
	done <<EOF
$(settings)
EOF
	"$DAEMON" stop </dev/null || return 1
	"$DAEMON" start "$@" </dev/null || "$DAEMON" --config none start "$@" </dev/null || return 1
	"$DAEMON" apply --quiet --allow-empty -f "$SAVED/rules" </dev/null || return 1
	# Again, now that the rules are there: it looks up their names, which were forgotten.
	"$DAEMON" --config none start --flush=no </dev/null || :
}

# carry_over makes the saved rules run by programs of another layout.
carry_over() {
	if [ ! -e "$SAVED/rules" ]; then
		say "what runs in the kernel is of another version, and goes on; this one takes its place by:"
		say "    domain-route stop && domain-route start"
		say "which forgets rules that are not in the configuration"
		return 0
	fi
	if restart_saved; then
		say "the programs in the kernel are new; rules and settings were carried over, and learnt names are forgotten."
		say "Those of rules were looked up anew, see above; until others are asked for again, programs that keep them connect as"
		say "if there were no rule"
		forget_saved
	else
		: >"$SAVED/failed"
		say "could not carry the rules over, see above; they are in $SAVED/rules until the next boot. Try again:"
		say "    domain-route stop; domain-route start && domain-route apply -f $SAVED/rules"
	fi
	return 0
}

# take_over has this version's programs take the place of those that run, which changes nothing else: whatever the
# configuration says by now waits for a start. It fails if none run.
take_over() {
	if in_chroot; then return 0; fi
	now=$(state "$DAEMON")
	case $now in
	stopped | unfinished)
		if [ -e "$SAVED/failed" ]; then
			say "rules that an earlier upgrade could not carry over are in $SAVED/rules; they are back by:"
			say "    domain-route start && domain-route apply -f $SAVED/rules"
		else
			forget_saved
		fi
		return 1
		;;
	'')
		[ -d /sys/fs/bpf/domain-route ] || return 1
		say "what runs in the kernel could not be looked at, and goes on: domain-route status tells why"
		return 0
		;;
	esac
	if forbidden restart; then
		say "a policy forbids to restart it: what ran goes on until \`domain-route start\`"
		return 0
	fi
	case $now in
	foreign) carry_over ;;
	*)
		failed=''
		said=$("$DAEMON" --config none start --flush=no </dev/null 2>&1) || failed=1
		# Which caches are left alone is no news in an upgrade, which forgets no names.
		printf '%s\n' "$said" | sed -e '/flush: caches are left alone/d' -e '/^$/d' >&2
		[ -z "$failed" ] || say "what ran before goes on; once that is mended: domain-route start"
		failed=''
		forget_saved
		;;
	esac
	return 0
}

# tell_by_hand tells of what was installed by hand and goes before what the package brings.
tell_by_hand() {
	for other in /usr/local/sbin/domain-route /etc/systemd/system/domain-route.service /usr/local/lib/systemd/system/domain-route.service; do
		if [ -f "$other" ]; then say "$other is there, too, and is taken in place of the package's: remove it"; fi
	done
}

# halt removes everything from the kernel, whoever started it.
halt() {
	if in_chroot || [ ! -x "$DAEMON" ] || [ ! -d /sys/fs/bpf/domain-route ]; then return 0; fi
	if forbidden stop; then
		say "a policy forbids to stop it: it goes on in the kernel until the next boot, or until: rm -r /sys/fs/bpf/domain-route"
		return 0
	fi
	"$DAEMON" stop </dev/null && return 0
	say "could not stop it, see above: what is left in the kernel goes on until the next boot, or until:"
	say "    rm -r /sys/fs/bpf/domain-route"
	return 0
}

# old_kernel gives the unit what kernels below 6.6 want for the observer libc.
old_kernel() {
	dir=/etc/systemd/system/domain-route.service.d
	link=$dir/package-linux-below-6.6.conf
	case $(uname -r) in
	[0-5].* | 6.[0-5] | 6.[0-5][!0-9]*)
		mkdir -p "$dir"
		ln -sf /usr/share/domain-route/linux-below-6.6.conf "$link"
		;;
	*) no_old_kernel ;;
	esac
}

no_old_kernel() {
	rm -f /etc/systemd/system/domain-route.service.d/package-linux-below-6.6.conf
	rmdir /etc/systemd/system/domain-route.service.d 2>/dev/null || :
}

# forget_metrics removes what the timer wrote, or node_exporter would tell it forever.
forget_metrics() { rm -f /var/lib/prometheus/node-exporter/domain-route.prom; }
