/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The observer `tc`: DNS that passes an interface, in whichever direction. There is no socket and no user to
 * ask, so questions live in a map of their own and what is learnt counts for the host.
 */
#ifndef DR_TC_H
#define DR_TC_H

#include "learn.h"

#define TC_NEXT (-1) /* TCX_NEXT and TC_ACT_UNSPEC alike: go on as if we were not there */
#define ETHERNET_HEADER 14

/*
 * There is no socket that the client's side could be left to: it is part of the key here. So are the interface
 * and the question's direction, or else anybody out there could send us both question and answer.
 */
static __always_inline __u64 tc_key(const struct state *st, __u64 key, const struct addr *client, __u16 port,
				    __u32 ifindex, bool question_leaves)
{
	struct sip s;

	sip_start(&s, st->key);
	sip_word(&s, key);
	sip_word(&s, client->d[0]);
	sip_word(&s, client->d[1]);
	sip_word(&s, (__u64)ifindex << 32 | (__u64)question_leaves << 16 | port);
	return sip_end(&s, 0, 32);
}

/* The observer `sockets` knows whom a local program's question counts for: leave it to that one. */
static __always_inline bool left_to_sockets(struct __sk_buff *skb, const struct state *st)
{
	struct bpf_sock *sk = skb->sk;

	return sk && bpf_sk_fullsock(sk) && st->observers & OBSERVE_SOCKETS;
}

static __always_inline bool tc_take(__u64 key)
{
	__u64 *asked = bpf_map_lookup_elem(&questions, &key);
	__u64 since;

	if (!asked) {
		count(COUNT_ANSWER_UNASKED);
		return false;
	}
	since = *asked;
	if (bpf_map_delete_elem(&questions, &key)) {
		count(COUNT_ANSWER_UNASKED);
		return false;
	}
	if (bpf_ktime_get_boot_ns() - since < QUESTION_LIFE)
		return true;
	count(COUNT_ANSWER_LATE);
	return false;
}

static __always_inline void tc_question(struct __sk_buff *skb, __u32 at, __u64 key)
{
	__u64 now = bpf_ktime_get_boot_ns();
	__u8 head[4];

	if (bpf_skb_load_bytes(skb, at + 2, head, 4) || (head[0] & 0xf8) || head[2] || head[3] != 1) {
		count(COUNT_QUESTION_BAD);
		return;
	}
	bpf_map_update_elem(&questions, &key, &now, BPF_ANY);
	count(COUNT_QUESTIONS);
}

/* The message in a packet. Over TCP only one that starts a segment: nobody keeps a stream's state here. */
static __always_inline int tc_message(struct __sk_buff *skb, const struct packet *p, struct cursor *c)
{
	__be16 announced;

	c->at = p->offset;
	c->left = p->length;
	c->length = p->length;
	if (p->proto == PROTO_UDP)
		return 0;
	if (p->length < 2 || bpf_skb_load_bytes(skb, p->offset, &announced, sizeof(announced)))
		return -1;
	c->at += 2;
	c->left -= 2;
	c->length = bpf_ntohs(announced);
	return 0;
}

static __always_inline int observe(struct __sk_buff *skb, __u32 at, bool leaves)
{
	struct state *st = get_state();
	struct server server = {};
	struct packet p = {};
	struct cursor c;
	bool question;
	__u32 size, length;
	__u64 key;

	if (!st || !st->enabled || locate(skb, at, &p) || !p.length)
		return TC_NEXT;
	question = p.dport == DNS_PORT;
	if ((!question && p.sport != DNS_PORT) || tc_message(skb, &p, &c))
		return TC_NEXT;
	server.addr = question ? p.dst : p.src;
	server.port = DNS_PORT;
	server.proto = p.proto;
	length = c.left < c.length ? c.left : c.length;
	key = question_key(skb, c.at, length, &server, &size);
	if (!key) {
		count(question ? COUNT_QUESTION_BAD : COUNT_ANSWER_BAD_QUESTION);
		return TC_NEXT;
	}
	if (question && leaves && left_to_sockets(skb, st))
		return TC_NEXT;
	if (question)
		tc_question(skb, c.at, tc_key(st, key, &p.src, p.sport, skb->ifindex, leaves));
	else if (tc_take(tc_key(st, key, &p.dst, p.dport, skb->ifindex, !leaves)))
		learn_message(skb, &c, size, 0, 0);
	return TC_NEXT;
}

#endif
