/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What the rules say of a destination, and the ways in which a hook can end. */
#ifndef DR_VERDICT_H
#define DR_VERDICT_H

#include "judge.h"

#define EPERM 1
#define ENODEV 19
#define EHOSTUNREACH 113

#define PASS 1
#define REFUSE 0

/* The helper as it is in truth: from 7.x on the verifier wants to see a negative number of 64 bits. */
static long (*const set_retval)(__s64 error) = (void *)BPF_FUNC_set_retval;

static __always_inline int refuse(enum counter why, __s64 error)
{
	count(why);
	set_retval(-error);
	return REFUSE;
}

static __always_inline int pass(enum counter why)
{
	count(why);
	return PASS;
}

/* Where the rules for addresses lead: a ref. */
__noinline __u32 ref_of_addr(const struct addr *to, __u32 slot)
{
	struct prefix key = {.bits = 128};
	void *prefixes;
	__u32 *ref;

	if (!to)
		return 0;
	prefixes = bpf_map_lookup_elem(&addresses, &slot);
	if (!prefixes)
		return 0;
	__builtin_memcpy(key.addr, to->b, 16);
	ref = bpf_map_lookup_elem(prefixes, &key);
	return ref ? *ref : 0;
}

/*
 * What the rule set in force says of an address: a target number, 0 for none, and as what it counts if it leads to an
 * interface. Names go first, then addresses, then the default. A rule set that is replaced meanwhile may be gone under
 * our feet: then once more.
 */
static __always_inline __u32 verdict_for(struct state *st, const struct addr *to, struct opinion *o,
					 enum counter *steered)
{
	struct ruleset *set;
	__u64 active;
	__u32 slot, target;

	for (int i = 0; i < 2; i++) {
		active = *(volatile __u64 *)&st->active;
		slot = slot_of(active);
		__builtin_memset(o, 0, sizeof(*o));
		if (hinted(to, st->key))
			judge(to, active, *(volatile __u64 *)&st->crowded, o);
		set = bpf_map_lookup_elem(&rulesets, &slot);
		target = o->target;
		*steered = COUNT_STEERED;
		if (!target && set && set->prefixes) {
			target = target_of(ref_of_addr(to, slot), slot);
			*steered = COUNT_STEERED_BY_ADDRESS;
		}
		if (!target && set && set->default_ref && !addr_is_private(to)) {
			target = target_of(set->default_ref, slot);
			*steered = COUNT_STEERED_BY_DEFAULT;
		}
		if (active == *(volatile __u64 *)&st->active)
			break;
	}
	if (o->mixed)
		count(COUNT_CONFLICT);
	return target;
}

#endif
