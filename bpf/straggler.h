/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The kernel takes output interface and mark from the socket before it asks the hook, without a lock. Where two threads
 * send by one socket, one can have taken nothing, then wait while the other's datagram has the socket steered, and
 * then pass the hook as by a socket that is where it should be: seen with 25 of 3,000. So what leaves by
 * another way than its socket's is dropped, for as long as such a thread may have been waiting.
 */
#ifndef DR_STRAGGLER_H
#define DR_STRAGGLER_H

#include "counters.h"

#define STRAGGLER_TIME SECOND

/* Dropped, and the sender is told nothing (unless it asked for errors by IP_RECVERR: ENOBUFS). */
#define DROP_SILENTLY 2

static __always_inline bool is_straggler(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct steered *s;

	if (!sk)
		return false;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != PROTO_UDP)
		return false;
	if (sk->bound_dev_if ? sk->bound_dev_if == skb->ifindex : !sk->mark || skb->mark == sk->mark)
		return false;
	s = bpf_sk_storage_get(&steered_sockets, sk, 0, 0);
	if (!s || s->ifindex != sk->bound_dev_if || bpf_ktime_get_boot_ns() - s->since > STRAGGLER_TIME)
		return false;
	if (!s->ifindex && (s->mark != sk->mark || skb->mark != s->former))
		return false; /* marked by the program, or by somebody's firewall */
	count(COUNT_STRAGGLER);
	return true;
}

#endif
