/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* From an answer that was asked for to learnt names. */
#ifndef DR_LEARN_H
#define DR_LEARN_H

#include "dns.h"
#include "stream.h"

struct lesson {
	struct scratch *s;
	struct learnt learnt;
	__u64 key[2];
	__u32 pid, uid; /* who asked; both 0: the host alone learns */
	__u32 hint;
};

static __always_inline void learn_for(struct scratch *s, struct lesson *l, struct scope *scope, bool host)
{
	if (l->learnt.rule) {
		if (host)
			REMEMBER(host_ruled, scope, &l->learnt, &s->set);
		else
			REMEMBER(users_ruled, scope, &l->learnt, &s->set);
	} else {
		if (host)
			REMEMBER(host_plain, scope, &l->learnt, &s->set);
		else
			REMEMBER(users_plain, scope, &l->learnt, &s->set);
	}
}

static long learn_address(__u32 i, struct lesson *l)
{
	struct scratch *s = l->s;
	struct addr *a = &s->addrs[i & (RECORDS_MAX - 1)];
	struct scope scope = {.pid = l->pid, .uid = l->uid};

	__builtin_memcpy(scope.addr, a->b, 16);
	if (l->pid)
		learn_for(s, l, &scope, false);
	scope.pid = 0;
	if (l->uid < HOST_UIDS) {
		scope.uid = 0;
		learn_for(s, l, &scope, true);
	} else {
		learn_for(s, l, &scope, false);
	}
	/* After the evidence: who sees the hint finds it. */
	if (l->hint)
		set_hint(a, l->key);
	return 0;
}

static __always_inline void keep_name(struct scratch *s, bool ruled)
{
	__u64 hash = s->match.name;

	if (ruled) {
		if (!bpf_map_lookup_elem(&names_ruled, &hash))
			bpf_map_update_elem(&names_ruled, &hash, &s->name, BPF_ANY);
	} else {
		if (!bpf_map_lookup_elem(&names_plain, &hash))
			bpf_map_update_elem(&names_plain, &hash, &s->name, BPF_ANY);
	}
}

/* Learns what read_answer found and match_name made of its name. */
static __noinline int teach(struct scratch *s, struct state *st, __u32 pid, __u32 uid)
{
	struct lesson l = {.s = s, .pid = pid, .uid = uid};

	l.key[0] = st->key[0];
	l.key[1] = st->key[1];
	l.hint = s->hint;
	l.learnt.name = s->match.name;
	l.learnt.rule = s->match.rule;
	l.learnt.match = make_match(s->generation, s->match.target);
	l.learnt.seen = bpf_ktime_get_boot_ns();
	l.learnt.ends = l.learnt.seen + s->ttl * SECOND;
	__builtin_memset(&s->set, 0, sizeof(s->set));
	s->set.names[0] = l.learnt;
	bpf_loop(s->found, learn_address, &l, 0);
	count_n(s->match.rule ? COUNT_LEARNT : COUNT_LEARNT_NO_RULE, s->found);
	return 0;
}

/* Copies 1 to MESSAGE_MAX bytes, bounded in a way that the verifier of 6.1 follows. */
static __always_inline long copy_message(struct __sk_buff *skb, __u32 at, struct scratch *s, __u64 length)
{
	asm volatile("" : "+r"(length));
	length = ((length - 1) & (MESSAGE_MAX - 1)) + 1;
	return bpf_skb_load_bytes(skb, at, s->message, length);
}

/*
 * Learns from a message that was asked for, whose question has `question` bytes, for the process and user
 * given, or with both 0 for the host. Calls side by side, not one in the other: stacks are small.
 */
static __noinline int learn_message(struct __sk_buff *skb, struct cursor *c, __u32 question, __u32 pid,
				    __u32 uid)
{
	struct scratch *s = get_scratch();
	struct state *st = get_state();
	__u32 length = c->left < c->length ? c->left : c->length;
	__u64 active;

	if (length > MESSAGE_MAX)
		length = MESSAGE_MAX;
	if (!s || !st || length < DNS_HEADER || copy_message(skb, c->at, s, length))
		return -1;
	if (read_answer(s, length, DNS_HEADER + question, c->length))
		return -1;
	/* In this order: a learner that missed `staged` is one the rule change waits for. */
	s->hint = *(volatile __u64 *)&st->staged != 0;
	active = *(volatile __u64 *)&st->active;
	s->generation = generation_of(active);
	if (match_name(&s->name, slot_of(active), &s->match) || !s->match.name)
		return -1; /* the root has no address */
	s->hint |= s->match.rule != 0;
	keep_name(s, s->match.rule);
	return teach(s, st, pid, uid);
}

#endif
