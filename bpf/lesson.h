/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* One name on its way into the maps of evidence, whatever observer it comes from. */
#ifndef DR_LESSON_H
#define DR_LESSON_H

#include "evidence.h"

struct lesson {
	struct learnt learnt;
	struct learnt_set fresh; /* a set of this one name, for addresses that have none yet */
	__u32 hint;              /* the addresses are to be looked up at connect */
	__u32 pad;
};

/*
 * Matches a name and prepares to learn it, for `ttl` seconds. -1: it has no name (the root), or is not kept. The
 * order is: `staged`, then the rule set; a learner that missed `staged` is one that the rule change waits for.
 */
static __always_inline int prepare_lesson(struct lesson *l, const struct name *name, struct match *m,
					  struct state *st, __u64 ttl)
{
	__u64 active;

	l->hint = *(volatile __u64 *)&st->staged != 0;
	active = *(volatile __u64 *)&st->active;
	if (match_name(name, slot_of(active), m) || !m->name)
		return -1;
	if (!m->rule && !*(volatile __u64 *)&st->history) {
		count(COUNT_NOT_KEPT);
		return -1;
	}
	l->hint |= m->rule != 0;
	l->learnt.name = m->name;
	l->learnt.rule = m->rule;
	l->learnt.match = make_match(generation_of(active), m->target);
	l->learnt.seen = bpf_ktime_get_boot_ns();
	l->learnt.ends = l->learnt.seen + ttl * SECOND;
	__builtin_memset(&l->fresh, 0, sizeof(l->fresh));
	l->fresh.names[0] = l->learnt;
	return 0;
}

/* The name's text, to match it again and to show it. */
static __always_inline void keep_name(const struct name *name, const struct learnt *l)
{
	__u64 hash = l->name;

	if (l->rule) {
		if (!bpf_map_lookup_elem(&names_ruled, &hash))
			bpf_map_update_elem(&names_ruled, &hash, name, BPF_ANY);
	} else {
		if (!bpf_map_lookup_elem(&names_plain, &hash))
			bpf_map_update_elem(&names_plain, &hash, name, BPF_ANY);
	}
}

/* Enters the name for one address and one process or user (`host` false), or for the host. */
static __always_inline void learn_for(struct lesson *l, struct scope *scope, bool host)
{
	if (l->learnt.rule) {
		if (host)
			REMEMBER(host_ruled, scope, &l->learnt, &l->fresh);
		else
			REMEMBER(users_ruled, scope, &l->learnt, &l->fresh);
	} else {
		if (host)
			REMEMBER(host_plain, scope, &l->learnt, &l->fresh);
		else
			REMEMBER(users_plain, scope, &l->learnt, &l->fresh);
	}
}

/* After the evidence: who sees the hint finds it. */
static __always_inline void hint_at(const struct lesson *l, const struct addr *a, const struct state *st)
{
	if (l->hint)
		set_hint(a, st->key);
}

#endif
