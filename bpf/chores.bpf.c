// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * Programs that commands run once, by BPF_PROG_TEST_RUN, on the pinned maps. They are neither attached nor pinned. Their
 * scratch buffer is their own, so that no answer that arrives meanwhile is mixed up with theirs.
 */
#define NOBODY_ASKED FROM_START
#include "chores.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* The packet is an answer: the host learns it. Returns 0, or 1 if there was nothing to learn. */
SEC("tc")
int teach_host(struct __sk_buff *skb)
{
	struct cursor c = {.at = CHORE_AT, .length = skb->len - CHORE_AT, .left = skb->len - CHORE_AT};
	struct server nobody = {};
	__u32 size = 0;

	if (skb->len < CHORE_AT + DNS_HEADER || !question_key(skb, c.at, c.length, &nobody, &size))
		return 1;
	return learn_message(skb, &c, size, 0, 0) ? 1 : 0;
}

/* The packet is a struct forget_order. Returns enum forgotten. */
SEC("tc")
int forget_name(struct __sk_buff *skb)
{
	struct forget_order o;

	if (bpf_skb_load_bytes(skb, CHORE_AT, &o, sizeof(o)))
		return NOT_THERE;
	switch (o.map) {
	case USERS_RULED:
		return FORGET(users_ruled, &o);
	case USERS_PLAIN:
		return FORGET(users_plain, &o);
	case HOST_RULED:
		return FORGET(host_ruled, &o);
	case HOST_PLAIN:
		return FORGET(host_plain, &o);
	case CROWD_RULED:
		return FORGET(crowd_ruled, &o);
	default:
		return FORGET(crowd_plain, &o);
	}
}
