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

/*
 * How a hook ends: what it returns in the lowest bit, then as what it counts, then what is told of it: see close.
 */
#define COUNTED_AS(outcome) ((outcome) >> 1 & 0xff)
#define RULED 0x200   /* a rule decided */
#define QUIET 0x400   /* as the datagram before: nothing is told of it */
#define NOTHING 0x800 /* there was nothing to decide: no verdict counts */
#define LEAVE (PASS | QUIET | NOTHING)
#define STEP(i) ((i) << 16)
#define STEP_OF(outcome) ((outcome) >> 16)

static __always_inline __u32 refuse(enum counter why, __s64 error)
{
	set_retval(-error);
	return REFUSE | why << 1;
}

static __always_inline __u32 pass(enum counter why)
{
	return PASS | why << 1;
}

static __always_inline __u32 pass_quietly(enum counter why)
{
	return pass(why) | QUIET;
}

/* What the rules for addresses and the default say, under the rule set that an opinion was made by. */
__noinline int judge_address(const struct addr *to, struct opinion *o)
{
	struct prefix key = {.bits = 128};
	struct prefix_target *p = 0;
	struct ruleset *set;
	void *prefixes;
	__u64 leads = 0;
	__u32 slot;

	if (!to || !o)
		return 0;
	slot = slot_of(o->active);
	prefixes = bpf_map_lookup_elem(&addresses, &slot);
	if (prefixes) {
		__builtin_memcpy(key.addr, to->b, 16);
		p = bpf_map_lookup_elem(prefixes, &key);
	}
	if (p) {
		leads = target_of(p->ref, slot);
		o->rule = p->rule;
		o->how = BY_ADDRESS;
	}
	set = bpf_map_lookup_elem(&rulesets, &slot);
	if (!(__u32)leads && set && set->default_ref && !addr_is_private(to)) {
		leads = target_of(set->default_ref, slot);
		o->rule = 0;
		o->how = BY_DEFAULT;
	}
	o->target = leads;
	o->condition = leads >> 32;
	return 0;
}

/*
 * What the rule set in force says of an address. Names go first, then addresses, then the default. A rule set that is
 * replaced meanwhile may be gone under our feet: then once more.
 */
static __always_inline void verdict_for(struct state *st, const struct addr *to, struct opinion *o)
{
	struct ruleset *set;
	__u64 active;
	__u32 slot;

	for (int i = 0; i < 2; i++) {
		active = *(volatile __u64 *)&st->active;
		slot = slot_of(active);
		if (i)
			__builtin_memset(o, 0, sizeof(*o));
		o->active = active;
		if (hinted(to, st->key))
			judge(to, active, *(volatile __u64 *)&st->crowded, o);
		set = bpf_map_lookup_elem(&rulesets, &slot);
		if (!o->target && set && (set->prefixes || set->default_ref))
			judge_address(to, o);
		if (active == *(volatile __u64 *)&st->active)
			break;
	}
	if (o->mixed)
		count(COUNT_CONFLICT);
}

/* As what it counts if it leads to an interface. */
static __always_inline enum counter counts_as(const struct opinion *o)
{
	return COUNT_STEERED + o->how;
}

#endif
