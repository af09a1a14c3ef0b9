/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Binding and marking a socket, and knowing afterwards that it was us. */
#ifndef DR_BINDING_H
#define DR_BINDING_H

#include "counters.h"

#define SOL_SOCKET 1
#define SO_BINDTODEVICE 25
#define SO_MARK 36

static __always_inline bool same_name(const __u8 *a, const __u8 *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return x[0] == y[0] && x[1] == y[1];
}

static __always_inline struct steered *known_socket(struct bpf_sock *sk)
{
	return bpf_sk_storage_get(&steered_sockets, sk, 0, 0);
}

static __always_inline bool bound_by_us(struct bpf_sock *sk, const struct steered *s)
{
	return s && sk->bound_dev_if && s->ifindex == sk->bound_dev_if;
}

static __always_inline bool marked_by_us(struct bpf_sock *sk, const struct steered *s)
{
	return s && sk->mark && s->mark == sk->mark;
}

static __always_inline int bind_to(struct bpf_sock_addr *ctx, const __u8 *name)
{
	__u8 copy[IFNAME];

	__builtin_memcpy(copy, name, IFNAME);
	return bpf_setsockopt(ctx, SOL_SOCKET, SO_BINDTODEVICE, copy, IFNAME);
}

/*
 * Before a socket is steered: without memory to know it by later on, it would count as the program's own, and stay
 * where it is whatever its next destination.
 */
static __always_inline bool make_known(struct bpf_sock *sk)
{
	return bpf_sk_storage_get(&steered_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
}

static __always_inline void remember_binding(struct bpf_sock *sk, const __u8 *name)
{
	struct steered *s = known_socket(sk);

	if (!s)
		return;
	s->checked = bpf_ktime_get_boot_ns();
	if (s->ifindex != sk->bound_dev_if)
		s->since = s->checked;
	s->ifindex = sk->bound_dev_if;
	s->flags &= ~SENT_DIRECT; /* whose name it was */
	__builtin_memcpy(s->name, name, IFNAME);
}

/* Takes our own binding off again. False: there is one, and the calling task may not. */
static __always_inline bool unbind(struct bpf_sock_addr *ctx, struct bpf_sock *sk, struct steered *s)
{
	__u8 none[IFNAME] = {};

	if (!bound_by_us(sk, s))
		return true;
	if (bpf_setsockopt(ctx, SOL_SOCKET, SO_BINDTODEVICE, none, IFNAME))
		return false;
	s->ifindex = 0;
	return true;
}

/* Unlike a binding, a mark can be set and taken off for anybody. */
static __always_inline int set_mark(struct bpf_sock_addr *ctx, struct bpf_sock *sk, __u32 mark)
{
	__u32 former = sk->mark;
	struct steered *s;

	if (!make_known(sk) || bpf_setsockopt(ctx, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)))
		return -1;
	s = known_socket(sk);
	if (s) {
		s->since = bpf_ktime_get_boot_ns();
		s->former = former;
		s->mark = mark;
	}
	return 0;
}

/* Takes our own mark off again, if there is one. True: there was. */
static __always_inline bool unmark(struct bpf_sock_addr *ctx, struct bpf_sock *sk, struct steered *s)
{
	return marked_by_us(sk, s) && !set_mark(ctx, sk, 0);
}

#endif
