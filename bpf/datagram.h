/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Unconnected datagrams. One socket may send anywhere and hear from anyone; bound to an interface it hears
 * from there alone. So it is bound by the first datagram that has a rule, unless others may be answering it:
 * then that datagram is refused, and the others' answers go on coming.
 */
#ifndef DR_DATAGRAM_H
#define DR_DATAGRAM_H

#include "binding.h"
#include "close.h"
#include "restart.h"

#define RECHECK SECOND /* how long a binding is taken to be to where its name leads */

/*
 * The kernel has taken the output interface and the mark from the socket already, so that what we change counts
 * from the next datagram on: this one must not leave. EINTR makes programs send it again at once; EAGAIN would
 * have them wait for an edge that never comes.
 */
static __always_inline __u32 send_again(enum counter why)
{
	count(COUNT_SEND_AGAIN);
	return refuse(why, again_error());
}

/* True: it was not noted before. */
static __always_inline bool note(struct steered *s, __u32 flag)
{
	if (s->flags & flag)
		return false;
	__sync_fetch_and_or(&s->flags, flag);
	return true;
}

/* A datagram that no rule sends anywhere: it goes where its socket goes. Only the first of a socket is told of. */
static __always_inline __u32 send_elsewhere(struct bpf_sock_addr *ctx, struct state *st, struct bpf_sock *sk,
					    enum counter why)
{
	struct steered *s = known_socket(sk);
	bool first;

	if (!s) {
		if (bpf_get_netns_cookie(ctx) != st->home)
			return pass(why);
		s = bpf_sk_storage_get(&steered_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (!s)
			return pass(why);
	}
	if (bound_by_us(sk, s) || (sk->dst_port && marked_by_us(sk, s)))
		return pass_quietly(COUNT_KEPT_OLD);
	first = note(s, SENT_ELSEWHERE);
	if (unmark(ctx, sk, s))
		return send_again(why);
	return first ? pass(why) : pass_quietly(why);
}

/*
 * To whom the socket is connected: connect has decided. Sent to explicitly, or by IPv6 sockets that are connected to an
 * IPv4 address, whose every datagram comes here.
 */
static __always_inline bool is_own_peer(struct bpf_sock_addr *ctx, struct bpf_sock *sk, const struct addr *to)
{
	if (!sk->dst_port || sk->dst_port != (__u16)ctx->user_port)
		return false;
	if (addr_is_v4(to))
		return sk->dst_ip4 == to->w[3];
	return sk->dst_ip6[0] == to->w[0] && sk->dst_ip6[1] == to->w[1] && sk->dst_ip6[2] == to->w[2] &&
	       sk->dst_ip6[3] == to->w[3];
}

/* Whether the socket has sent by this chain while none of its interfaces existed. */
static __always_inline bool sent_direct(const struct steered *s, const struct target *t)
{
	return s && s->flags & SENT_DIRECT && same_name(s->name, t->chain[0]);
}

/* Whether somebody may be answering this socket by an interface that it would not hear from any more. */
static __always_inline bool is_shared(struct bpf_sock *sk, const struct steered *s, const struct target *t)
{
	if (sk->dst_port || (s && s->flags & (SENT_ELSEWHERE | HEARD_FIRST)))
		return true;
	return s && s->flags & SENT_DIRECT && !sent_direct(s, t);
}

/*
 * No interface of the chain exists, and it ends in direct. When one comes, the socket may take it: its peers of this
 * chain answer by that then.
 */
static __always_inline __u32 send_direct(struct bpf_sock *sk, const struct target *t)
{
	struct steered *s = bpf_sk_storage_get(&steered_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!s || s->flags & SENT_DIRECT)
		return pass_quietly(COUNT_CHAIN_DIRECT);
	__builtin_memcpy(s->name, t->chain[0], IFNAME);
	note(s, SENT_DIRECT);
	return pass(COUNT_CHAIN_DIRECT);
}

static __always_inline __u32 end_of_chain(struct bpf_sock_addr *ctx, struct bpf_sock *sk, struct target *t,
					  struct steered *s)
{
	if (t->end != END_DIRECT)
		return refuse(COUNT_NO_INTERFACE, ENODEV);
	if (!bound_by_us(sk, s))
		return send_direct(sk, t);
	return unbind(ctx, sk, s) ? send_again(COUNT_CHAIN_DIRECT) : refuse(COUNT_REBIND_REFUSED, EPERM);
}

static __always_inline bool in_chain(const struct target *t, const __u8 *name)
{
	for (int i = 0; i < MAX_CHAIN; i++)
		if (i < t->length && same_name(t->chain[i], name))
			return true;
	return false;
}

/*
 * As bind_chain does at connect, but a socket that is bound for another rule is not moved, whoever asks: its other
 * peers answer by that interface.
 */
static __always_inline __u32 bind_datagram(struct bpf_sock_addr *ctx, struct bpf_sock *sk, struct target *t,
					   struct steered *s, enum counter steered)
{
	__u64 now = bpf_ktime_get_boot_ns();
	__u32 before = sk->bound_dev_if;
	bool bound = bound_by_us(sk, s);

	if (bound && same_name(s->name, t->chain[0]) && now - s->checked < RECHECK)
		return pass_quietly(COUNT_KEPT);
	if (bound && !in_chain(t, s->name))
		return refuse(COUNT_REBIND_REFUSED, EPERM);
	if (bound && sk->dst_port)
		return pass_quietly(COUNT_KEPT); /* its peer's datagrams do not come here */
	if (!make_known(sk))
		return refuse(COUNT_BIND_FAILED, EHOSTUNREACH);
	/* Even if the chain ends in direct: whether its interfaces exist is known by binding only. */
	if (!bound && is_shared(sk, s, t))
		return refuse(COUNT_SHARED_SOCKET, EHOSTUNREACH);
	for (int i = 0; i < MAX_CHAIN; i++) {
		const __u8 *name = t->chain[i];
		int error;

		if (i >= t->length)
			break;
		error = bind_to(ctx, name);
		if (!error) {
			remember_binding(sk, name);
			if (sk->bound_dev_if == before)
				return pass_quietly(COUNT_KEPT);
			return send_again(steered) | STEP(i);
		}
		if (error == -ENODEV)
			continue;
		if (error != -EPERM || !bound)
			return refuse(COUNT_BIND_FAILED, EHOSTUNREACH);
		/* The calling task may not move it. It is in the chain: where it is will do. */
		s->checked = now;
		return pass_quietly(COUNT_KEPT);
	}
	return end_of_chain(ctx, sk, t, s);
}

/* A mark keeps nobody's answers away; a binding that there is would go before it. */
static __always_inline __u32 mark_datagram(struct bpf_sock_addr *ctx, struct bpf_sock *sk, struct target *t,
					   struct steered *s)
{
	if (sk->mark == t->mark)
		return pass_quietly(COUNT_MARKED);
	if (bound_by_us(sk, s))
		return refuse(COUNT_REBIND_REFUSED, EPERM);
	if (sk->dst_port)
		return refuse(COUNT_SHARED_SOCKET, EHOSTUNREACH);
	if (set_mark(ctx, sk, t->mark))
		return refuse(COUNT_BIND_FAILED, EHOSTUNREACH);
	s = known_socket(sk);
	if (s)
		note(s, SENT_ELSEWHERE);
	return send_again(COUNT_MARKED);
}

static __always_inline __u32 apply_to_datagram(struct bpf_sock_addr *ctx, struct state *st,
					       struct bpf_sock *sk, const struct opinion *o,
					       struct steered *s)
{
	__u32 target = o->target;
	struct target *t = bpf_map_lookup_elem(&targets, &target);

	if (!t)
		return LEAVE;
	switch (t->kind) {
	case TARGET_BLOCK:
		return refuse(COUNT_BLOCKED, EHOSTUNREACH);
	case TARGET_DIRECT:
		return send_elsewhere(ctx, st, sk, COUNT_DIRECT);
	case TARGET_MARK:
		return mark_datagram(ctx, sk, t, s);
	default:
		return bind_datagram(ctx, sk, t, s, counts_as(o));
	}
}

static __always_inline __u32 steer_one(struct bpf_sock_addr *ctx, struct state *st, const struct addr *to,
				       struct opinion *o)
{
	struct bpf_sock *sk = ctx->sk;
	struct steered *s;

	/* Without an address (port 0): to the peer, with control messages. */
	if (!sk || !ctx->user_port || is_own_peer(ctx, sk, to))
		return LEAVE;
	if (addr_is_local(to))
		return send_elsewhere(ctx, st, sk, COUNT_LEFT_LOCAL);
	verdict_for(st, to, o);
	if (!o->target)
		return send_elsewhere(ctx, st, sk, o->live ? COUNT_NO_RULE : COUNT_UNKNOWN);
	if (bpf_get_netns_cookie(ctx) != st->home)
		return pass(COUNT_LEFT_FOREIGN);
	if (addr_is_own(to))
		return send_elsewhere(ctx, st, sk, COUNT_LEFT_OWN);
	s = known_socket(sk);
	if (sk->mark && !marked_by_us(sk, s))
		return pass(COUNT_LEFT_MARKED);
	if (sk->bound_dev_if && !bound_by_us(sk, s))
		return pass(COUNT_LEFT_BOUND);
	return apply_to_datagram(ctx, st, sk, o, s) | RULED;
}

static __always_inline int steer_datagram(struct bpf_sock_addr *ctx, struct state *st, const struct addr *to)
{
	struct opinion o = {};

	return close(ctx, st, to, &o, steer_one(ctx, st, to, &o));
}

/* A program that chooses its port may be known to others by it: see heard_first. */
static __always_inline void note_port(struct bpf_sock_addr *ctx, struct state *st)
{
	struct steered *s;

	if (!ctx->sk || bpf_get_netns_cookie(ctx) != st->home)
		return;
	s = bpf_sk_storage_get(&steered_sockets, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (s)
		note(s, CHOSE_PORT);
}

#endif
