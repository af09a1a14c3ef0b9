/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Who talks to port 53, and from which namespace: told apart here, where the calling task is the one that asks. */
#ifndef DR_ASKER_H
#define DR_ASKER_H

#include "addr.h"
#include "counters.h"

static __always_inline void note_asker(struct bpf_sock_addr *ctx, struct state *st, const struct addr *server,
				       bool connecting)
{
	struct bpf_sock *sk = ctx->sk;
	struct asker *a;

	if (!sk)
		return;
	if (bpf_get_netns_cookie(ctx) != st->home) {
		count(COUNT_QUESTION_FOREIGN);
		return;
	}
	a = bpf_sk_storage_get(&askers, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!a) {
		count(COUNT_ASKER_NO_MEMORY);
		return;
	}
	a->pid = bpf_get_current_pid_tgid() >> 32;
	a->uid = bpf_get_current_uid_gid();
	__builtin_memcpy(a->server, server->b, 16);
	if (*(volatile __u64 *)&st->watching)
		bpf_get_current_comm(a->comm, sizeof(a->comm));
	else
		a->comm[0] = 0;
	if (connecting) {
		a->in.known = 0;
		a->out.known = 0;
	}
}

#endif
