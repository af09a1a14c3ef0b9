/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* From a verdict to a bound, refused or untouched socket. */
#ifndef DR_STEER_H
#define DR_STEER_H

#include "evidence.h"

#define SOL_SOCKET 1
#define SO_BINDTODEVICE 25
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

static __always_inline bool same_name(const __u8 *a, const __u8 *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return x[0] == y[0] && x[1] == y[1];
}

static __always_inline int bind_to(struct bpf_sock_addr *ctx, const __u8 *name)
{
	__u8 copy[IFNAME];

	__builtin_memcpy(copy, name, IFNAME);
	return bpf_setsockopt(ctx, SOL_SOCKET, SO_BINDTODEVICE, copy, IFNAME);
}

/* So that a later connect of the same socket knows the binding as ours. */
static __always_inline void remember_binding(struct bpf_sock_addr *ctx, struct bpf_sock *sk, const __u8 *name)
{
	struct steered *s = bpf_sk_storage_get(&steered_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!s)
		return; /* then it counts as the program's own: left where it is */
	s->ifindex = sk->bound_dev_if;
	__builtin_memcpy(s->name, name, IFNAME);
}

/* Takes our own binding off again. False: there is one, and the calling task may not. */
static __always_inline bool unbind(struct bpf_sock_addr *ctx, struct steered *ours)
{
	__u8 none[IFNAME] = {};

	if (!ours)
		return true;
	if (bpf_setsockopt(ctx, SOL_SOCKET, SO_BINDTODEVICE, none, IFNAME))
		return false;
	ours->ifindex = 0;
	return true;
}

/*
 * Binds to the first interface of the chain that exists. By name, at each connect: an interface that came
 * back has another index. A socket that is bound already may be moved by those with CAP_NET_RAW only, not
 * even to where it is.
 */
static __always_inline int bind_chain(struct bpf_sock_addr *ctx, struct bpf_sock *sk, struct target *t,
				      struct steered *ours, bool by_default)
{
	for (int i = 0; i < MAX_CHAIN; i++) {
		const __u8 *name = t->chain[i];
		int error;

		if (i >= t->length)
			break;
		error = bind_to(ctx, name);
		if (!error) {
			remember_binding(ctx, sk, name);
			return pass(by_default ? COUNT_STEERED_BY_DEFAULT : COUNT_STEERED);
		}
		if (error == -ENODEV)
			continue;
		if (error != -EPERM || !ours)
			return refuse(COUNT_BIND_FAILED, EHOSTUNREACH);
		if (same_name(ours->name, name))
			return pass(COUNT_KEPT);
		return refuse(COUNT_REBIND_REFUSED, EPERM);
	}
	if (t->end != END_DIRECT)
		return refuse(COUNT_NO_INTERFACE, ENODEV);
	return unbind(ctx, ours) ? pass(COUNT_CHAIN_DIRECT) : refuse(COUNT_REBIND_REFUSED, EPERM);
}

static __always_inline int apply(struct bpf_sock_addr *ctx, struct bpf_sock *sk, __u32 target,
				 struct steered *ours, bool by_default)
{
	struct target *t = bpf_map_lookup_elem(&targets, &target);

	if (!t)
		return PASS;
	if (t->kind == TARGET_BLOCK)
		return refuse(COUNT_BLOCKED, EHOSTUNREACH);
	if (t->kind == TARGET_DIRECT)
		return unbind(ctx, ours) ? pass(COUNT_DIRECT) : refuse(COUNT_REBIND_REFUSED, EPERM);
	return bind_chain(ctx, sk, t, ours, by_default);
}

/* No rule: a socket that we bound for an earlier destination goes free, where that is allowed. */
static __always_inline int release(struct bpf_sock_addr *ctx, struct bpf_sock *sk, enum counter why)
{
	struct steered *ours;

	if (!sk->bound_dev_if)
		return pass(why);
	ours = bpf_sk_storage_get(&steered_sockets, sk, 0, 0);
	if (!ours || ours->ifindex != sk->bound_dev_if || unbind(ctx, ours))
		return pass(why);
	return pass(COUNT_KEPT_OLD);
}

/*
 * What the rule set in force says of an address: a target number, 0 for none. A rule set that is replaced
 * meanwhile may be gone under our feet: then once more.
 */
static __always_inline __u32 verdict_for(struct state *st, const struct addr *to, struct opinion *o)
{
	struct ruleset *set;
	__u64 active;
	__u32 slot;

	for (int i = 0; i < 2; i++) {
		active = *(volatile __u64 *)&st->active;
		slot = slot_of(active);
		__builtin_memset(o, 0, sizeof(*o));
		if (hinted(to, st->key))
			judge(to, active, o);
		set = bpf_map_lookup_elem(&rulesets, &slot);
		if (active == *(volatile __u64 *)&st->active)
			break;
	}
	if (o->target)
		return o->target;
	return set && !addr_is_private(to) ? set->default_target : 0;
}

static __always_inline int steer(struct bpf_sock_addr *ctx, struct state *st, const struct addr *to)
{
	struct bpf_sock *sk = ctx->sk;
	struct steered *ours = 0;
	struct opinion o;
	__u32 target;

	if (!sk)
		return PASS;
	if (addr_is_local(to))
		return release(ctx, sk, COUNT_LEFT_LOCAL);
	target = verdict_for(st, to, &o);
	if (!target)
		return release(ctx, sk, o.live ? COUNT_NO_RULE : COUNT_UNKNOWN);
	if (bpf_get_netns_cookie(ctx) != st->home)
		return pass(COUNT_LEFT_FOREIGN);
	if (addr_is_own(to))
		return release(ctx, sk, COUNT_LEFT_OWN);
	if (sk->mark)
		return pass(COUNT_LEFT_MARKED);
	if (sk->bound_dev_if) {
		ours = bpf_sk_storage_get(&steered_sockets, sk, 0, 0);
		if (!ours || ours->ifindex != sk->bound_dev_if)
			return pass(COUNT_LEFT_BOUND);
	}
	return apply(ctx, sk, target, ours, !o.target);
}

#endif
