/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What a C library told its program: the name that was asked for, and the addresses it gave, wherever it has them
 * from. All of it is read from the program's memory, and may be anything: it counts for that process alone.
 *
 * Nobody can ask for the network namespace here. It does no harm: a process of another one teaches itself only, and
 * its sockets are left alone at connect.
 */
#ifndef DR_LIBC_H
#define DR_LIBC_H

#include "libc_name.h"

struct cgroup_search {
	__u64 wanted;
	__u32 found;
	__u32 pad;
};

static long next_cgroup(__u32 level, struct cgroup_search *s)
{
	__u64 id = bpf_get_current_ancestor_cgroup_id(level);

	if (!id)
		return 1;
	if (id != s->wanted)
		return 0;
	s->found = 1;
	return 1;
}

/* Whether the process is in the cgroup, or below. */
static __always_inline bool in_cgroup(__u64 id)
{
	struct cgroup_search s = {.wanted = id};

	bpf_loop(CGROUP_DEPTH, next_cgroup, &s, 0);
	return s.found;
}

/* Tells `who` that r->addr was learnt. */
static __always_inline void tell_here(struct libc_room *r, __u32 who)
{
	if (!who)
		return;
	begin_event(&r->event, &r->lesson, &r->match, FROM_LIBC, bpf_get_current_pid_tgid() >> 32,
		    bpf_get_current_uid_gid());
	bpf_get_current_comm(r->event.comm, COMM);
	__builtin_memcpy(r->event.addr, r->addr.b, 16);
	emit(&r->event, who);
}

/* Learns r->addr, for the calling process. Returns 1 when there is no room for it. */
static __always_inline int learn_here(struct libc_room *r, struct state *st)
{
	struct scope scope = {};

	if (addr_is_local(&r->addr)) {
		r->refused++;
		return 0;
	}
	/* Each address comes once for each type of socket. */
	if (r->addr.d[0] == r->previous.d[0] && r->addr.d[1] == r->previous.d[1])
		return 0;
	if (r->found >= LIBC_ADDRESSES) {
		r->cut = 1;
		return 1;
	}
	r->previous = r->addr;
	r->found++;
	scope.pid = bpf_get_current_pid_tgid() >> 32;
	scope.uid = bpf_get_current_uid_gid();
	__builtin_memcpy(scope.addr, r->addr.b, 16);
	learn_for(&r->lesson, &scope);
	hint_at(&r->lesson, &r->addr, st);
	tell_here(r, told(st, r->match.rule != 0));
	return 0;
}

/* Reads an address into r->addr. Returns 1 if it is of no family that is steered. */
static __always_inline int read_address(struct libc_room *r, __u32 family, __u64 v4, __u64 v6)
{
	__u32 word = 0;
	long err;

	if (family == FAMILY_IPV4) {
		err = bpf_probe_read_user(&word, sizeof(word), (void *)v4);
		addr_from_v4(&r->addr, word);
	} else if (family == FAMILY_IPV6) {
		err = bpf_probe_read_user(&r->addr, sizeof(r->addr), (void *)v6);
	} else {
		return 1;
	}
	if (err)
		r->unreadable = 1;
	return err != 0;
}

/* One struct address_info of the list that r->at leads to. */
static long next_info(__u32 i, struct libc_ref *ref)
{
	struct libc_room *r = ref->r;
	__u64 address;

	if (!r->at)
		return 1;
	if (i == LIBC_ENTRIES) {
		r->cut = 1;
		return 1;
	}
	if (bpf_probe_read_user(&r->info, sizeof(r->info), (void *)r->at)) {
		r->unreadable = 1;
		return 1;
	}
	r->at = r->info.next;
	address = r->info.address;
	/* sin_addr and sin6_addr */
	if (!read_address(r, r->info.family, address + 4, address + 8) && learn_here(r, ref->st))
		return 1;
	return 0;
}

/* One address of a struct host_entry, whose list of pointers goes on at r->at. */
static long next_host(__u32 i, struct libc_ref *ref)
{
	struct libc_room *r = ref->r;
	__u64 address = 0;

	if (i == LIBC_ENTRIES) {
		r->cut = 1;
		return 1;
	}
	if (bpf_probe_read_user(&address, sizeof(address), (void *)r->at)) {
		r->unreadable = 1;
		return 1;
	}
	if (!address)
		return 1;
	r->at += sizeof(address);
	if (!read_address(r, r->family, address, address) && learn_here(r, ref->st))
		return 1;
	return 0;
}

static __always_inline void count_list(struct libc_room *r)
{
	if (r->unreadable)
		count(COUNT_LIBC_UNREADABLE);
	if (r->cut)
		count(COUNT_LIBC_CUT);
	if (r->refused)
		count_n(COUNT_ADDRESS_REFUSED, r->refused);
	if (!r->found)
		return;
	count(COUNT_LIBC_ANSWERS);
	count_n(r->match.rule ? COUNT_LEARNT : COUNT_LEARNT_NO_RULE, r->found);
}

/* Learns the addresses of the list at `result` under the name in the room. */
static __noinline int learn_list(struct libc_room *r, struct state *st, __u64 function, __u64 result)
{
	struct libc_ref ref = {.r = r, .st = st};

	/*
	 * A name of one label may be asked for with a search domain behind it. Without a rule of its own it says
	 * nothing, and must not stand before what others know of the address.
	 */
	if (prepare_lesson(&r->lesson, &r->name, &r->match, st, LIBC_TTL))
		return -1;
	if (r->name.labels == 1 && !r->match.rule) {
		count(COUNT_LIBC_NO_NAME);
		return -1;
	}
	keep_name(&r->name, &r->lesson.learnt, bpf_get_current_uid_gid());
	if (function == LIBC_GETADDRINFO) {
		r->at = result;
		bpf_loop(LIBC_ENTRIES + 1, next_info, &ref, 0);
	} else if (bpf_probe_read_user(&r->host, sizeof(r->host), (void *)result)) {
		r->unreadable = 1;
	} else {
		r->at = r->host.list;
		r->family = r->host.family;
		bpf_loop(LIBC_ENTRIES + 1, next_host, &ref, 0);
	}
	count_list(r);
	return 0;
}

/* Where the result of a call is, 0 if it failed. */
static __always_inline __u64 result_of(const struct libc_call *call, __u64 returned)
{
	__u64 result = 0;

	if (!call->result)
		return returned;
	if ((__u32)returned)
		return 0;
	bpf_probe_read_user(&result, sizeof(result), (void *)call->result);
	return result;
}

/* A call has returned. */
static __always_inline void learn_call(__u64 function, const struct libc_call *call, __u64 returned,
				       struct state *st)
{
	__u64 result = result_of(call, returned);
	struct libc_room *r;

	if (!result) {
		count(COUNT_LIBC_FAILED);
		return;
	}
	r = take_room();
	if (!r) {
		count(COUNT_LEARNT_LOST);
		return;
	}
	if (!read_name(r, call->name))
		learn_list(r, st, function, result);
	leave_room();
}

#endif
