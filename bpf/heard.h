/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Servers: datagram sockets that others know by the port they chose, and that hear before they ever send. To
 * bind one for a first answer's sake would keep everybody else from it.
 */
#ifndef DR_HEARD_H
#define DR_HEARD_H

#include "maps.h"

static __always_inline void heard_first(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct steered *s;

	if (!sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != PROTO_UDP)
		return;
	s = bpf_sk_storage_get(&steered_sockets, sk, 0, 0);
	if (s && s->flags == CHOSE_PORT && !s->ifindex && !s->mark)
		__sync_fetch_and_or(&s->flags, HEARD_FIRST);
}

#endif
