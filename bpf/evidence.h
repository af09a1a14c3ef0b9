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

/* The target of a learnt name under the rule set in force; matched again after a rule change. */
static __always_inline __u32 current_target(struct learnt *l, __u64 active)
{
	struct match m = {};
	struct name *name;

	if (l->match >> 32 == generation_of(active))
		return l->match;
	name = name_of(l->name);
	if (name && !match_name(name, slot_of(active), &m)) {
		if (m.name != l->name)
			return 0;
		l->rule = m.rule;
	} else {
		m.target = target_of_rule(l->rule, slot_of(active));
	}
	l->match = make_match(generation_of(active), m.target);
	return m.target;
}

/* Adds what a set of names says to an opinion: with a rule beats without, then the latest. */
__noinline int consult(struct learnt_set *set, __u64 active, __u64 now, struct opinion *o)
{
	if (!set || !o)
		return 0;
	for (int i = 0; i < MAX_NAMES; i++) {
		struct learnt *l = &set->names[i];
		__u32 target;

		if (!l->name || now > l->ends + GRACE)
			continue;
		o->live++;
		target = current_target(l, active);
		if (target && l->seen >= o->seen) {
			o->target = target;
			o->seen = l->seen;
		}
	}
	return 0;
}

#define CONSULT_LEVEL(level, scope, active, now, o)                                   \
	do {                                                                          \
		struct learnt_set *set_ = bpf_map_lookup_elem(&level##_ruled, scope); \
                                                                                      \
		if (set_)                                                             \
			consult(set_, active, now, o);                                \
		if ((o)->target)                                                      \
			break;                                                        \
		set_ = bpf_map_lookup_elem(&level##_plain, scope);                    \
		if (set_)                                                             \
			consult(set_, active, now, o);                                \
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

/* Which of a full set's names has to go: one past its TTL before one within, the least lately seen first. */
static __always_inline __u32 victim(const struct learnt_set *set, __u64 now)
{
	__u64 least = ~0ULL;
	__u32 which = 0;

	for (__u32 i = 0; i < MAX_NAMES; i++) {
		const struct learnt *l = &set->names[i];
		__u64 rank;

		rank = l->name ? l->seen : 0;
		if (l->ends >= now)
			rank |= 1ULL << 63;
		if (rank < least) {
			least = rank;
			which = i;
		}
	}
	return which;
}

/* Enters a name into a set. True: the set was changed beyond one word and has to be written as a whole. */
static __always_inline bool enter(struct learnt_set *old, struct learnt_set *fresh, const struct learnt *l)
{
	if (!old) {
		__builtin_memset(fresh, 0, sizeof(*fresh));
		fresh->names[0] = *l;
		return true;
	}
	for (int i = 0; i < MAX_NAMES; i++) {
		if (old->names[i].name == l->name) {
			old->names[i].rule = l->rule;
			old->names[i].match = l->match;
			old->names[i].ends = l->ends;
			old->names[i].seen = l->seen;
			return false;
		}
	}
	*fresh = *old;
	fresh->names[victim(old, l->seen) & (MAX_NAMES - 1)] = *l;
	return true;
}

/*
 * Whole sets are replaced by the map's own update, which a reader sees at once or not at all; a name
 * that is there already is refreshed in place, a word at a time.
 */
#define REMEMBER(map, scope, l, fresh)                                      \
	do {                                                                \
		struct learnt_set *old_ = bpf_map_lookup_elem(&map, scope); \
                                                                            \
		if (enter(old_, fresh, l))                                  \
			bpf_map_update_elem(&map, scope, fresh, BPF_ANY);   \
	} while (0)

#endif
