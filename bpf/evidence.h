/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Learnt names: address -> up to four names at each level, written by the learner, judged at connect. */
#ifndef DR_EVIDENCE_H
#define DR_EVIDENCE_H

#include "addr.h"
#include "suffix.h"

#define SECOND 1000000000ULL
#define GRACE (3600 * SECOND) /* programs use addresses long after their TTL */
#define TTL_MAX (604800)      /* seconds; RFC 8767 section 4 suggests a cap of a week */
#define HOST_UIDS 1000        /* below: system services, which speak for the host */

static __always_inline __u64 make_match(__u32 generation, __u32 target)
{
	return (__u64)generation << 32 | target;
}

/* What one level says of an address. */
struct opinion {
	__u64 seen;   /* of the deciding name */
	__u32 target; /* 0: no rule */
	__u32 live;   /* names that count */
};

static __always_inline struct name *name_of(__u64 hash)
{
	return bpf_map_lookup_elem(&names_ruled, &hash) ?: bpf_map_lookup_elem(&names_plain, &hash);
}

#define NAME_NONE 0ULL
#define NAME_BUSY ~0ULL

/*
 * The target of a learnt name under the rule set in force; matched again after a rule change. The result is
 * kept only if nobody put another name in the place meanwhile.
 */
static __always_inline __u32 current_target(struct learnt *l, __u64 hash, __u64 active)
{
	__u64 before = *(volatile __u64 *)&l->match;
	struct match m = {};
	struct name *name;

	if (before >> 32 == generation_of(active))
		return before;
	name = name_of(hash);
	if (!name || match_name(name, slot_of(active), &m) || m.name != hash) {
		m.rule = l->rule;
		m.target = target_of_rule(m.rule, hash, slot_of(active));
	}
	if (__sync_val_compare_and_swap(&l->match, before, make_match(generation_of(active), m.target)) ==
	    before)
		l->rule = m.rule;
	return m.target;
}

/* Adds what a set of names says to an opinion: with a rule beats without, then the latest. */
__noinline int consult(struct learnt_set *set, __u64 active, __u64 now, struct opinion *o)
{
	if (!set || !o)
		return 0;
	for (int i = 0; i < MAX_NAMES; i++) {
		struct learnt *l = &set->names[i];
		__u64 name = *(volatile __u64 *)&l->name, seen = l->seen;
		__u32 target;

		if (name == NAME_NONE || name == NAME_BUSY || now > l->ends + GRACE)
			continue;
		target = current_target(l, name, active);
		/* Atomic, and so a barrier: what was read belongs to the name if it is still there. */
		if (__sync_fetch_and_add(&l->name, 0) != name)
			continue;
		o->live++;
		if (target && seen >= o->seen) {
			o->target = target;
			o->seen = seen;
		}
	}
	return 0;
}

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

/*
 * The first level with a live name decides: this process, this user, the host.
 * System users are the host: they have no user level of their own.
 */
static __always_inline void judge(const struct addr *a, __u64 active, struct opinion *o)
{
	struct scope scope = {};
	__u64 now = bpf_ktime_get_boot_ns();

	__builtin_memcpy(scope.addr, a->b, 16);
	scope.pid = bpf_get_current_pid_tgid() >> 32;
	scope.uid = bpf_get_current_uid_gid();
	CONSULT_LEVEL(users, &scope, active, now, o);
	if (o->live)
		return;
	scope.pid = 0;
	if (scope.uid >= HOST_UIDS) {
		CONSULT_LEVEL(users, &scope, active, now, o);
		if (o->live)
			return;
	}
	scope.uid = 0;
	CONSULT_LEVEL(host, &scope, active, now, o);
}

/* Which of a set's places is taken next: an empty one, then one past its TTL, then the least lately seen. */
static __always_inline __u32 victim(const struct learnt_set *set, __u64 now)
{
	__u64 least = ~0ULL;
	__u32 which = 0;

	for (__u32 i = 0; i < MAX_NAMES; i++) {
		const struct learnt *l = &set->names[i];
		__u64 rank = l->seen;

		if (l->name == NAME_BUSY)
			continue;
		if (l->name == NAME_NONE)
			rank = 0;
		else if (l->ends >= now)
			rank |= 1ULL << 63;
		if (rank < least) {
			least = rank;
			which = i;
		}
	}
	return which & (MAX_NAMES - 1);
}

/*
 * Enters a name into a set that others may read and write at the same time: the place is marked busy, filled,
 * and published by its name. 0, or -1 if others were faster twice.
 */
__noinline int enter(struct learnt_set *set, const struct learnt *l)
{
	if (!set || !l)
		return -1;
	for (int i = 0; i < MAX_NAMES; i++) {
		if (set->names[i].name == l->name) {
			set->names[i].rule = l->rule;
			set->names[i].ends = l->ends;
			set->names[i].seen = l->seen;
			set->names[i].match = l->match;
			return 0;
		}
	}
	for (int try = 0; try < 2; try++) {
		struct learnt *place = &set->names[victim(set, l->seen)];
		__u64 old = *(volatile __u64 *)&place->name;

		if (old == NAME_BUSY || __sync_val_compare_and_swap(&place->name, old, NAME_BUSY) != old)
			continue;
		place->rule = l->rule;
		place->ends = l->ends;
		place->seen = l->seen;
		place->match = l->match;
		__sync_lock_test_and_set(&place->name, l->name);
		return 0;
	}
	return -1;
}

/* `fresh` is a set with this one name. Not there: inserted, unless another CPU does so in the same moment. */
#define REMEMBER(map, scope, l, fresh)                                             \
	do {                                                                       \
		struct learnt_set *set_ = bpf_map_lookup_elem(&map, scope);        \
                                                                                   \
		if (!set_) {                                                       \
			if (!bpf_map_update_elem(&map, scope, fresh, BPF_NOEXIST)) \
				break;                                             \
			set_ = bpf_map_lookup_elem(&map, scope);                   \
		}                                                                  \
		if (!set_ || enter(set_, l))                                       \
			count(COUNT_LEARNT_LOST);                                  \
	} while (0)

#endif
