/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* One name on its way into the maps of evidence, whatever observer it comes from. */
#ifndef DR_LESSON_H
#define DR_LESSON_H

#include "crowd.h"
#include "event.h"
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
	/* Once more if the rule set was replaced meanwhile: it may have gone under our feet. */
	for (int i = 0; i < 2; i++) {
		active = *(volatile __u64 *)&st->active;
		if (match_name(name, slot_of(active), m) || !m->name)
			return -1;
		if (active == *(volatile __u64 *)&st->active)
			break;
	}
	if (!m->rule && !*(volatile __u64 *)&st->history) {
		count(COUNT_NOT_KEPT);
		return -1;
	}
	l->hint |= m->rule != 0;
	l->learnt.name = m->name;
	l->learnt.rule = m->rule;
	l->learnt.match = make_match(generation_of(active), m->ref);
	l->learnt.seen = bpf_ktime_get_boot_ns();
	l->learnt.ends = l->learnt.seen + ttl * SECOND;
	__builtin_memset(&l->fresh, 0, sizeof(l->fresh));
	l->fresh.names[0] = l->learnt;
	return 0;
}

#define KEEP(map, hash, name)                                           \
	do {                                                            \
		if (!bpf_map_lookup_elem(&map, hash))                   \
			bpf_map_update_elem(&map, hash, name, BPF_ANY); \
	} while (0)

/* The name's text, to match it again and to show it; `uid` is who is charged for it. */
static __always_inline void keep_name(const struct name *name, const struct learnt *l, __u32 uid)
{
	__u64 hash = l->name;

	if (!l->rule)
		KEEP(names_plain, &hash, name);
	else if (bpf_map_lookup_elem(&names_ruled, &hash))
		return;
	else if (uid < HOST_UIDS || CHARGE(uid, names, SHARE_NAMES))
		bpf_map_update_elem(&names_ruled, &hash, name, BPF_ANY);
	else
		KEEP(crowd_names, &hash, name);
}

static __always_inline void learn_for_host(struct lesson *l, struct scope *scope)
{
	if (l->learnt.rule)
		REMEMBER(host_ruled, scope, &l->learnt, &l->fresh);
	else
		REMEMBER(host_plain, scope, &l->learnt, &l->fresh);
}

/* Enters the name for one address and one process or user. */
static __always_inline void learn_for(struct lesson *l, struct scope *scope)
{
	if (l->learnt.rule) {
		if (bpf_map_lookup_elem(&users_ruled, scope) || CHARGE(scope->uid, ruled, SHARE_ENTRIES)) {
			REMEMBER(users_ruled, scope, &l->learnt, &l->fresh);
		} else {
			join_crowd();
			REMEMBER(crowd_ruled, scope, &l->learnt, &l->fresh);
		}
	} else {
		if (bpf_map_lookup_elem(&users_plain, scope) || CHARGE(scope->uid, plain, SHARE_ENTRIES)) {
			REMEMBER(users_plain, scope, &l->learnt, &l->fresh);
		} else {
			join_crowd();
			REMEMBER(crowd_plain, scope, &l->learnt, &l->fresh);
		}
	}
}

/* What those who watch are told of each address of a lesson. */
static __always_inline void begin_event(struct event *e, const struct lesson *l, const struct match *m,
					enum event_source from, __u32 pid, __u32 uid)
{
	__builtin_memset(e, 0, sizeof(*e));
	e->name = l->learnt.name;
	e->rule = l->learnt.rule;
	e->generation = l->learnt.match >> 32;
	e->target = m->ref;
	e->pid = pid;
	e->uid = uid;
	e->ttl = (l->learnt.ends - l->learnt.seen) / SECOND;
	e->ruled = m->rule != 0;
	e->counter = m->rule ? COUNT_LEARNT : COUNT_LEARNT_NO_RULE;
	e->source = from;
}

/* After the evidence: who sees the hint finds it. */
static __always_inline void hint_at(const struct lesson *l, const struct addr *a, const struct state *st)
{
	if (l->hint)
		set_hint(a, st->key);
}

#endif
