/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What is left to do once a verdict was carried out: count it and the rule that decided, and tell those who watch. */
#ifndef DR_CLOSE_H
#define DR_CLOSE_H

#include "event.h"
#include "verdict.h"

/* The rule that decided, as struct hit has it. False: it is not known, since the deciding name's text was evicted. */
static __always_inline bool decided(const struct opinion *o, struct hit *h)
{
	__builtin_memset(h, 0, sizeof(*h));
	h->condition = o->condition;
	h->target = o->target;
	h->how = o->how;
	h->rule = o->rule;
	if (o->how != BY_NAME)
		return true;
	if (o->other)
		h->rule = rule_of_name(o->name, slot_of(o->active));
	if (h->rule != o->name)
		h->how = BY_NAME_BELOW;
	return h->rule != 0;
}

static __noinline int count_hit(const struct hit *h)
{
	__u64 *n = bpf_map_lookup_elem(&hits, h), one = 1;

	if (!n && bpf_map_update_elem(&hits, h, &one, BPF_NOEXIST)) {
		n = bpf_map_lookup_elem(&hits, h); /* another CPU was faster */
		if (!n)
			count(COUNT_HIT_LOST);
	} else if (!n) {
		return 0;
	}
	if (n)
		__sync_fetch_and_add(n, 1);
	return 0;
}

static __noinline int tell(struct bpf_sock_addr *ctx, const struct addr *to, const struct opinion *o,
			   const struct hit *h, __u32 outcome)
{
	struct event e = {};
	struct state *st = get_state();
	struct bpf_sock *sk = ctx->sk;
	__u64 uid = bpf_get_current_uid_gid();

	if (!st)
		return 0;
	e.name = o->name;
	e.generation = generation_of(o->active);
	e.pid = bpf_get_current_pid_tgid() >> 32;
	e.uid = uid;
	__builtin_memcpy(e.addr, to->b, 16);
	bpf_get_current_comm(e.comm, sizeof(e.comm));
	e.port = bpf_ntohs((__u16)ctx->user_port);
	e.protocol = ctx->protocol;
	e.counter = COUNTED_AS(outcome);
	e.step = STEP_OF(outcome);
	if (sk) {
		e.ifindex = sk->bound_dev_if;
		e.mark = sk->mark;
	}
	if (outcome & RULED) {
		e.ruled = 1;
		e.rule = h->rule;
		e.condition = h->condition;
		e.target = h->target;
		e.how = h->how;
	}
	return emit(&e, told(st, e.ruled));
}

__noinline int settle(struct bpf_sock_addr *ctx, const struct addr *to, const struct opinion *o,
		      __u32 outcome)
{
	struct state *st = get_state();
	struct hit h = {};

	if (!to || !o)
		return 0;
	if (outcome & RULED && decided(o, &h))
		count_hit(&h);
	if (st && told(st, outcome & RULED))
		tell(ctx, to, o, &h, outcome);
	return 0;
}

/* Every verdict ends here. Returns what the hook returns. */
static __always_inline int close(struct bpf_sock_addr *ctx, struct state *st, const struct addr *to,
				 const struct opinion *o, __u32 outcome)
{
	if (!(outcome & NOTHING))
		count(COUNTED_AS(outcome));
	if (!(outcome & QUIET) && (outcome & RULED || told(st, false)))
		settle(ctx, to, o, outcome);
	return outcome & 1;
}

#endif
