/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Learnt names: address -> up to four names at each level, written by the learner, judged at connect. */
#ifndef DR_EVIDENCE_H
#define DR_EVIDENCE_H

#include "addr.h"
#include "choice.h"
#include "suffix.h"

#define SECOND 1000000000ULL
#define GRACE (3600 * SECOND) /* programs use addresses long after their TTL */
#define TTL_MAX (604800)      /* seconds; RFC 8767 section 4 suggests a cap of a week */
#define HOST_UIDS 1000        /* below: system services, which speak for the host */

static __always_inline __u64 make_match(__u32 generation, __u32 ref)
{
	return (__u64)generation << 32 | ref;
}

/* What one level says of an address, and which rule it was; `how` for the stages that come after names. */
struct opinion {
	__u64 active;    /* under which rule set */
	__u64 seen;      /* of the deciding name */
	__u64 name;      /* its hash */
	__u64 rule;      /* as in struct hit */
	__u32 condition; /* id of the one that held; 0: none */
	__u16 target;    /* 0: no rule */
	__u16 any;       /* the target of one of the names */
	__u8 live;       /* there are names that count */
	__u8 mixed;      /* they have different targets */
	__u8 other;      /* the rule is another one than `rule` says: see OTHER_RULE */
	__u8 how;
};

static __always_inline struct name *name_of(__u64 hash)
{
	return bpf_map_lookup_elem(&names_ruled, &hash) ?:
		       bpf_map_lookup_elem(&names_plain, &hash) ?: bpf_map_lookup_elem(&crowd_names, &hash);
}

/*
 * Where the rules lead a learnt name, a ref, under the rule set in force; matched again after a rule change, and kept where it
 * was found unless another one was written there since.
 */
static __always_inline __u32 current_ref(struct learnt *place, const struct learnt *l, __u64 active)
{
	struct match m = {};
	struct name *name;

	if (l->match >> 32 == generation_of(active))
		return l->match;
	name = name_of(l->name);
	if (!name || match_name(name, slot_of(active), &m) || m.name != l->name)
		m.ref = ref_of_rule(l->rule, l->name, slot_of(active));
	else if (m.ref && m.rule != l->rule)
		m.ref |= OTHER_RULE;
	__sync_val_compare_and_swap(&place->match, l->match, make_match(generation_of(active), m.ref));
	return m.ref;
}

/*
 * Reads by adding nothing, which is 0: an atomic operation that returns a value is a full barrier on every
 * machine. The compiler must not know the 0, or it makes an "or" of it: a loop on x86.
 */
static __always_inline __u64 sequence_of(struct learnt_set *set, __u64 nothing)
{
	return __sync_fetch_and_add(&set->sequence, nothing);
}

/* One name of a set, all of its words from between two writes; after so many tries as it comes. */
static __always_inline void read_learnt(struct learnt_set *set, __u32 i, struct learnt *l)
{
	const volatile struct learnt *place = &set->names[i];
	__u64 nothing = 0;

	asm volatile("" : "+r"(nothing));
	for (int try = 0; try < 8; try++) {
		__u64 before = sequence_of(set, nothing);

		l->name = place->name;
		l->match = place->match;
		l->rule = place->rule;
		l->ends = place->ends;
		l->seen = place->seen;
		if (!(before & 1) && sequence_of(set, nothing) == before)
			break;
	}
}

/* Whether a name goes before the one that decides so far: with a rule before without, then the latest. */
static __always_inline bool goes_before(const struct opinion *o, const struct learnt *l, bool ruled)
{
	return ruled == (o->target != 0) ? l->seen >= o->seen : ruled;
}

static __always_inline void consult_one(struct learnt_set *set, __u32 i, __u64 active, __u64 now,
					struct opinion *o)
{
	struct learnt *place = &set->names[i];
	struct learnt l;
	__u64 leads;
	__u16 target;
	__u32 ref;

	if (!*(volatile __u64 *)&place->name)
		return;
	read_learnt(set, i, &l);
	if (!l.name || now > l.ends + GRACE)
		return;
	ref = current_ref(place, &l, active);
	leads = target_of(ref & ~OTHER_RULE, slot_of(active));
	target = leads;
	if (o->live && target != o->any)
		o->mixed = 1;
	o->any = target;
	o->live = 1;
	if (!goes_before(o, &l, target != 0))
		return;
	o->seen = l.seen;
	o->name = l.name;
	o->rule = l.rule;
	o->target = target;
	o->condition = leads >> 32;
	o->other = (ref & OTHER_RULE) != 0;
}

/* Adds what a set of names says to an opinion: with a rule beats without, then the latest. */
__noinline int consult(struct learnt_set *set, __u64 active, __u64 now, struct opinion *o)
{
	if (!set || !o)
		return 0;
	for (__u32 i = 0; i < MAX_NAMES; i++)
		consult_one(set, i, active, now, o);
	return 0;
}

/* The hash of the suffix whose rule a learnt name has now; 0: its text was evicted. */
__noinline __u64 rule_of_name(__u64 hash, __u32 slot)
{
	struct name *name = name_of(hash);
	struct match m = {};

	if (!name || match_name(name, slot, &m) || m.name != hash)
		return 0;
	return m.rule;
}

/* Where a name goes: its own place, or an empty one, or one past its TTL, or the least lately seen. */
static __always_inline __u32 place_for(const struct learnt_set *set, const struct learnt *l)
{
	__u64 least = ~0ULL;
	__u32 which = 0;

	for (__u32 i = 0; i < MAX_NAMES; i++) {
		const struct learnt *there = &set->names[i];
		__u64 rank = there->seen;

		if (there->name == l->name)
			return i;
		if (!there->name)
			rank = 0;
		else if (there->ends >= l->seen)
			rank |= 1ULL << 63;
		if (rank < least) {
			least = rank;
			which = i;
		}
	}
	return which;
}

#define LOCK_TRIES 4096 /* well over what a hardware interrupt takes */

struct lock_try {
	struct learnt_set *set;
	__u64 held; /* the sequence as we made it, odd; 0: not ours */
};

static long try_lock(__u32 i, struct lock_try *l)
{
	__u64 now = *(volatile __u64 *)&l->set->sequence;

	if (now & 1 || __sync_val_compare_and_swap(&l->set->sequence, now, now + 1) != now)
		return 0;
	l->held = now + 1;
	return 1;
}

/*
 * A set's sequence is odd while one writes to it: LRU maps take no bpf_spin_lock. Writers run in softirq or with
 * it disabled, so that nobody is kept waiting; but for the observer libc and the audit, whose writers may be preempted, and
 * keep others from sets of their own process or user only. Nobody takes over: who is late would write all the same. Returns what
 * write_unlock needs, 0 if the lock cannot be had.
 */
static __always_inline __u64 write_lock(struct learnt_set *set)
{
	struct lock_try l = {.set = set};

	bpf_loop(LOCK_TRIES, try_lock, &l, 0);
	return l.held;
}

/* Where the element was recycled meanwhile the sequence began anew, and is left alone. A full barrier, too. */
static __always_inline void write_unlock(struct learnt_set *set, __u64 held)
{
	__sync_val_compare_and_swap(&set->sequence, held, held + 1);
}

/* Takes a set's lock for those who cannot afford it inline; as write_lock. */
__noinline __u64 lock_set(struct learnt_set *set)
{
	return set ? write_lock(set) : 0;
}

/* Enters a name into a set whose lock is held. */
__noinline int enter(struct learnt_set *set, const struct learnt *l)
{
	if (!set || !l)
		return -1;
	set->names[place_for(set, l) & (MAX_NAMES - 1)] = *l;
	return 0;
}

/*
 * `fresh` is a set with this one name. Not there: inserted, unless another CPU does so in the same moment. A set
 * that left the map before it was locked (evicted, or forgotten: see chores.h) may be another address's by now,
 * or nobody's: what is asked with the lock held tells, and the second try makes a new one.
 */
#define REMEMBERED(map, scope, l, fresh)                                               \
	({                                                                             \
		struct learnt_set *set_ = bpf_map_lookup_elem(&map, scope);            \
		__u64 held_ = 0;                                                       \
		bool done_ = false;                                                    \
                                                                                       \
		if (!set_) {                                                           \
			done_ = !bpf_map_update_elem(&map, scope, fresh, BPF_NOEXIST); \
			if (!done_)                                                    \
				set_ = bpf_map_lookup_elem(&map, scope);               \
		}                                                                      \
		if (!done_ && set_)                                                    \
			held_ = lock_set(set_);                                        \
		if (held_) {                                                           \
			done_ = bpf_map_lookup_elem(&map, scope) == set_;              \
			if (done_)                                                     \
				enter(set_, l);                                        \
			write_unlock(set_, held_);                                     \
		}                                                                      \
		done_;                                                                 \
	})

#define REMEMBER(map, scope, l, fresh)                 \
	do {                                           \
		if (REMEMBERED(map, scope, l, fresh))  \
			break;                         \
		if (!REMEMBERED(map, scope, l, fresh)) \
			count(COUNT_LEARNT_LOST);      \
	} while (0)

#endif
