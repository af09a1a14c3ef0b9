/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* From a verdict at connect to a bound, marked, refused or untouched socket. */
#ifndef DR_STEER_H
#define DR_STEER_H

#include "binding.h"
#include "close.h"

#define SOCK_DGRAM 2

/* For the audit, which cannot ask. */
static __always_inline void note_away(struct target *t, bool away)
{
	if (t->away != away)
		t->away = away;
}

/*
 * Binds to the first interface of the chain that exists. By name, at each connect: an interface that came
 * back has another index. A socket that is bound already may be moved by those with CAP_NET_RAW only, not
 * even to where it is.
 */
static __always_inline __u32 bind_chain(struct bpf_sock_addr *ctx, struct bpf_sock *sk, struct target *t,
					struct steered *s, enum counter steered)
{
	if (!make_known(sk))
		return refuse(COUNT_BIND_FAILED, EHOSTUNREACH);
	for (int i = 0; i < MAX_CHAIN; i++) {
		const __u8 *name = t->chain[i];
		int error;

		if (i >= t->length)
			break;
		error = bind_to(ctx, name);
		if (!error) {
			remember_binding(sk, name);
			note_away(t, false);
			return pass(steered) | STEP(i);
		}
		if (error == -ENODEV)
			continue;
		if (error != -EPERM || !bound_by_us(sk, s))
			return refuse(COUNT_BIND_FAILED, EHOSTUNREACH);
		if (same_name(s->name, name))
			return pass(COUNT_KEPT) | STEP(i);
		return refuse(COUNT_REBIND_REFUSED, EPERM);
	}
	note_away(t, true);
	if (t->end != END_DIRECT)
		return refuse(COUNT_NO_INTERFACE, ENODEV);
	return unbind(ctx, sk, s) ? pass(COUNT_CHAIN_DIRECT) : refuse(COUNT_REBIND_REFUSED, EPERM);
}

static __always_inline __u32 apply(struct bpf_sock_addr *ctx, struct bpf_sock *sk, const struct opinion *o,
				   struct steered *s)
{
	__u32 target = o->target;
	struct target *t = bpf_map_lookup_elem(&targets, &target);

	if (!t)
		return LEAVE;
	if (t->kind == TARGET_BLOCK)
		return refuse(COUNT_BLOCKED, EHOSTUNREACH);
	if (t->kind == TARGET_MARK) {
		if (!unbind(ctx, sk, s))
			return refuse(COUNT_REBIND_REFUSED, EPERM);
		return set_mark(ctx, sk, t->mark) ? refuse(COUNT_BIND_FAILED, EHOSTUNREACH)
						  : pass(COUNT_MARKED);
	}
	unmark(ctx, sk, s);
	if (t->kind == TARGET_DIRECT)
		return unbind(ctx, sk, s) ? pass(COUNT_DIRECT) : refuse(COUNT_REBIND_REFUSED, EPERM);
	return bind_chain(ctx, sk, t, s, counts_as(o));
}

/* No rule: a socket that we steered to an earlier destination goes free, where that is allowed. */
static __always_inline __u32 release(struct bpf_sock_addr *ctx, struct bpf_sock *sk, enum counter why)
{
	struct steered *s;

	if (!sk->bound_dev_if && !sk->mark)
		return pass(why);
	s = known_socket(sk);
	unmark(ctx, sk, s);
	return pass(unbind(ctx, sk, s) ? why : COUNT_KEPT_OLD);
}

static __always_inline __u32 steer_socket(struct bpf_sock_addr *ctx, struct state *st, const struct addr *to,
					  struct opinion *o)
{
	struct bpf_sock *sk = ctx->sk;
	struct steered *s = 0;

	if (!sk)
		return LEAVE;
	if (addr_is_local(to))
		return release(ctx, sk, COUNT_LEFT_LOCAL);
	verdict_for(st, to, o);
	if (!o->target)
		return release(ctx, sk, o->live ? COUNT_NO_RULE : COUNT_UNKNOWN);
	if (bpf_get_netns_cookie(ctx) != st->home)
		return pass(COUNT_LEFT_FOREIGN);
	if (addr_is_own(to))
		return release(ctx, sk, COUNT_LEFT_OWN);
	if (sk->mark || sk->bound_dev_if)
		s = known_socket(sk);
	if (sk->mark && !marked_by_us(sk, s))
		return pass(COUNT_LEFT_MARKED);
	if (sk->bound_dev_if && !bound_by_us(sk, s))
		return pass(COUNT_LEFT_BOUND);
	return apply(ctx, sk, o, s) | RULED;
}

/*
 * Before a program connects, its resolver connects a datagram socket to each address that it found, to see by which
 * source address it would leave (RFC 6724 section 6), and sends nothing: glibc to port 0, Go to 9, musl to 65535. They are
 * steered, to see the true one, but are no connections, which counts and events are of. A program that gives glibc a
 * port has it probe that one: such a probe looks like a connection, and counts as one.
 */
static __always_inline bool is_probe(struct bpf_sock_addr *ctx)
{
	__u16 port = ctx->user_port;

	return ctx->type == SOCK_DGRAM && (!port || port == bpf_htons(9) || port == bpf_htons(65535));
}

static __always_inline int steer(struct bpf_sock_addr *ctx, struct state *st, const struct addr *to)
{
	struct opinion o = {};
	__u32 outcome = steer_socket(ctx, st, to, &o);

	if (is_probe(ctx)) {
		count(COUNT_PROBE);
		return outcome & 1;
	}
	return close(ctx, st, to, &o, outcome);
}

#endif
