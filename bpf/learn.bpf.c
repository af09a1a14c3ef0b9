// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/* Entry points of the observers `sockets` (cgroup_skb) and `tc`. None ever drops or changes a packet. */
#include "learn.h"
#include "heard.h"
#include "straggler.h"
#include "tc.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline struct asker *asker_of(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 0;
	return bpf_sk_storage_get(&askers, sk, 0, 0);
}

/* Attached even without the observer `sockets`, for the datagrams' sake. */
static __always_inline bool observing(struct state *st)
{
	return st && st->enabled && st->observers & OBSERVE_SOCKETS;
}

/* Notes a question, for the server in the packet and for the one the program asked. */
static __noinline int note_question(struct __sk_buff *skb, struct asker *a, struct packet *p,
				    struct cursor *c)
{
	struct server server = {.addr = p->dst, .port = p->dport, .proto = p->proto};
	__u32 size, length = c->left < c->length ? c->left : c->length;
	__u64 key, now = bpf_ktime_get_boot_ns();
	__u8 head[4];

	key = question_key(skb, c->at, length, &server, &size);
	/* Not a response, opcode QUERY, one question. */
	if (!key || bpf_skb_load_bytes(skb, c->at + 2, head, 4) || (head[0] & 0xf8) || head[2] ||
	    head[3] != 1) {
		count(COUNT_QUESTION_BAD);
		return 0;
	}
	ask(a, key, now);
	if (__builtin_memcmp(a->server, server.addr.b, 16)) {
		__builtin_memcpy(server.addr.b, a->server, 16);
		key = question_key(skb, c->at, length, &server, &size);
		if (key)
			ask(a, key, now);
	}
	return 0;
}

struct segment_walk {
	struct __sk_buff *skb;
	struct asker *a;
	struct packet *p;
};

static long next_question(__u32 i, struct segment_walk *w)
{
	struct cursor c;

	if (stream_next(w->skb, &w->a->out, w->p, &c))
		return 1;
	note_question(w->skb, w->a, w->p, &c);
	return 0;
}

SEC("cgroup_skb/egress")
int dns_egress(struct __sk_buff *skb)
{
	struct packet p = {};
	struct asker *a;

	if (is_straggler(skb))
		return DROP_SILENTLY;
	if (!is_dns(skb, 2) || !observing(get_state()))
		return 1;
	a = asker_of(skb);
	if (!a || locate(skb, 0, &p) || !p.length)
		return 1;
	if (p.proto == PROTO_UDP) {
		struct cursor c = {.at = p.offset, .length = p.length, .left = p.length};

		note_question(skb, a, &p, &c);
	} else {
		struct segment_walk w = {.skb = skb, .a = a, .p = &p};

		stream_segment(&a->out, &p);
		bpf_loop(SEGMENT_MESSAGES, next_question, &w, 0);
	}
	return 1;
}

/* The length of the question that a message to a socket answers, if it is outstanding; else 0. */
static __noinline __u32 take_answer(struct __sk_buff *skb, struct asker *a, struct packet *p,
				    struct cursor *c)
{
	struct server server = {.addr = p->src, .port = p->sport, .proto = p->proto};
	__u32 size = 0, length = c->left < c->length ? c->left : c->length;
	__u64 key;

	if (length < DNS_HEADER + 5) {
		count(COUNT_ANSWER_SHORT);
		return 0;
	}
	key = question_key(skb, c->at, length, &server, &size);
	if (!key) {
		count(COUNT_ANSWER_BAD_QUESTION);
		return 0;
	}
	return take(a, key, bpf_ktime_get_boot_ns()) ? size : 0;
}

static __always_inline void handle_answer(struct __sk_buff *skb, struct asker *a, struct packet *p,
					  struct cursor *c)
{
	__u32 size = take_answer(skb, a, p, c);
	struct scratch *s = get_scratch();

	if (!size || !s)
		return;
	__builtin_memcpy(s->comm, a->comm, COMM);
	learn_message(skb, c, size, a->pid, a->uid);
}

static long next_answer(__u32 i, struct segment_walk *w)
{
	struct cursor c;

	if (stream_next(w->skb, &w->a->in, w->p, &c))
		return 1;
	if (i == SEGMENT_MESSAGES) {
		count(COUNT_ANSWER_CUT_MESSAGES);
		return 1;
	}
	handle_answer(w->skb, w->a, w->p, &c);
	return 0;
}

/* A segment counts if it is the next one, to the kernel or (while that is busy) to us. */
static __always_inline bool expected(struct __sk_buff *skb, struct asker *a, struct packet *p)
{
	struct bpf_sock *sk = skb->sk;
	struct bpf_tcp_sock *tcp;

	if (a->in.known && a->in.expect == p->sequence)
		return true;
	if (!sk)
		return false;
	tcp = bpf_tcp_sock(sk);
	return tcp && tcp->rcv_nxt == p->sequence;
}

SEC("cgroup_skb/ingress")
int dns_ingress(struct __sk_buff *skb)
{
	struct packet p = {};
	struct asker *a;

	if (!is_dns(skb, 0)) {
		heard_first(skb);
		return 1;
	}
	if (!observing(get_state()))
		return 1;
	if (locate(skb, 0, &p) || (p.proto == PROTO_TCP && !p.length))
		return 1;
	a = asker_of(skb);
	if (!a) {
		count(COUNT_ANSWER_NOT_HOME);
		return 1;
	}
	if (p.proto == PROTO_UDP) {
		struct cursor c = {.at = p.offset, .length = p.length, .left = p.length};

		handle_answer(skb, a, &p, &c);
	} else {
		struct segment_walk w = {.skb = skb, .a = a, .p = &p};

		if (!expected(skb, a, &p)) {
			count(COUNT_ANSWER_SEQUENCE);
			return 1;
		}
		stream_segment(&a->in, &p);
		bpf_loop(SEGMENT_MESSAGES + 1, next_answer, &w, 0);
	}
	return 1;
}

SEC("tc")
int tc_ethernet_in(struct __sk_buff *skb)
{
	return observe(skb, ETHERNET_HEADER, false);
}

SEC("tc")
int tc_ethernet_out(struct __sk_buff *skb)
{
	return observe(skb, ETHERNET_HEADER, true);
}

SEC("tc")
int tc_ip_in(struct __sk_buff *skb)
{
	return observe(skb, 0, false);
}

SEC("tc")
int tc_ip_out(struct __sk_buff *skb)
{
	return observe(skb, 0, true);
}
