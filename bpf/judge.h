/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Whose evidence decides about an address. */
#ifndef DR_JUDGE_H
#define DR_JUDGE_H

#include "evidence.h"
#include "task.h"

#define CONSULT(map, scope, active, now, o)                                 \
	do {                                                                \
		struct learnt_set *set_ = bpf_map_lookup_elem(&map, scope); \
                                                                            \
		if (set_)                                                   \
			consult(set_, active, now, o);                      \
	} while (0)

/* Both maps of a level: a name learnt without a rule may have got one since. */
#define CONSULT_LEVEL(level, scope, active, now, o)            \
	do {                                                   \
		CONSULT(level##_ruled, scope, active, now, o); \
		CONSULT(level##_plain, scope, active, now, o); \
	} while (0)

#define ANCESTORS 3 /* chromium and firefox have a child, or a child's child, connect */

/*
 * The nearest ancestor that knows the address under a name, as the same user: a program may ask in one process and
 * connect in a child of it.
 */
static __always_inline void consult_ancestors(struct scope *scope, __u64 active, __u64 now, bool crowded,
					      struct opinion *o)
{
	struct task_struct *task = bpf_get_current_task_btf();

	for (int i = 0; i < ANCESTORS; i++) {
		task = task->real_parent;
		if (task->tgid <= 1)
			break;
		scope->pid = task->tgid;
		CONSULT_LEVEL(users, scope, active, now, o);
		if (crowded)
			CONSULT_LEVEL(crowd, scope, active, now, o);
		if (o->live)
			break;
	}
}

/*
 * The first level with a live name decides: this process, its ancestors, this user, the host.
 * System users are the host: they have no user level of their own.
 */
static __always_inline void judge(const struct addr *a, __u64 active, bool crowded, struct opinion *o)
{
	struct scope scope = {};
	__u64 now = bpf_ktime_get_boot_ns();

	__builtin_memcpy(scope.addr, a->b, 16);
	scope.pid = bpf_get_current_pid_tgid() >> 32;
	scope.uid = bpf_get_current_uid_gid();
	CONSULT_LEVEL(users, &scope, active, now, o);
	if (crowded)
		CONSULT_LEVEL(crowd, &scope, active, now, o);
	if (o->live)
		return;
	consult_ancestors(&scope, active, now, crowded, o);
	if (o->live)
		return;
	scope.pid = 0;
	if (scope.uid >= HOST_UIDS) {
		CONSULT_LEVEL(users, &scope, active, now, o);
		if (crowded)
			CONSULT_LEVEL(crowd, &scope, active, now, o);
		if (o->live)
			return;
	}
	scope.uid = 0;
	CONSULT_LEVEL(host, &scope, active, now, o);
}

#endif
