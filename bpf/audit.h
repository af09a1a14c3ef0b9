/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The audit: connections that were not steered, whose ClientHello names what has a rule. Nothing is noted at connect. The
 * first data of a connection tells by itself: it is what the kernel has counted as sent, and a socket that was steered is
 * bound or marked. So connect costs what it did, and a connection is looked at once.
 *
 * The name is the program's own claim, no server has confirmed it. It counts for the process that makes it, and for its
 * user, who could have asked a name server of his choice for it just as well. But not for the host, whoever makes it: a
 * system service may send what others give it, as proxies do.
 */
#ifndef DR_AUDIT_H
#define DR_AUDIT_H

#include "hello.h"
#include "packet.h"
#include "task.h"

#define AUDIT_TTL 3600 /* seconds: see docs/audit.md */
#define AUDIT_ROOMS 2
#define HTTPS_PORT 443
#define AF_INET 2

/*
 * Of each CPU. Egress may be preempted, by another task's egress and by a softirq's, so that a room is taken before it is used;
 * who finds none leaves that connection alone, and counts it.
 */
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, audit_rooms, __u32, struct audit_room, AUDIT_ROOMS);

/* Who sends, and to where. */
struct sender {
	struct addr to;
	__u32 pid, uid;
	__u16 port;
};

static __always_inline struct audit_room *take_audit_room(void)
{
	for (int i = 0; i < AUDIT_ROOMS; i++) {
		__u32 which = i;
		struct audit_room *r = bpf_map_lookup_elem(&audit_rooms, &which);

		if (r && !__sync_val_compare_and_swap(&r->taken, 0, 1))
			return r;
	}
	return 0;
}

#define HELLO_WIPE 64 /* bytes at once */

static long wipe_hello(__u32 i, struct audit_ref *ref)
{
	__builtin_memset(&ref->r->hello[i * HELLO_WIPE & (HELLO_MAX - 1)], 0, HELLO_WIPE);
	return 0;
}

/* With history off nothing of it stays: connections are to names without a rule mostly. */
static __always_inline void leave_audit_room(struct audit_room *r, const struct state *st)
{
	if (!*(volatile __u64 *)&st->history) {
		struct audit_ref ref = {r};

		bpf_loop(HELLO_MAX / HELLO_WIPE, wipe_hello, &ref, 0);
		__builtin_memset(&r->name, 0, sizeof(r->name));
		__builtin_memset(&r->match, 0, sizeof(r->match));
	}
	__sync_val_compare_and_swap(&r->taken, 1, 0);
}

/* Where a packet's TCP payload starts; 0: it has none. Headers are linear here. */
static __always_inline __u32 tcp_payload(struct __sk_buff *skb)
{
	__u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end, *l4;
	__u32 at;

	if (data + 40 > end)
		return 0;
	if (data[0] >> 4 == 4) {
		if (data[9] != PROTO_TCP)
			return 0;
		at = (data[0] & 0xf) * 4;
	} else {
		if (data[6] != PROTO_TCP)
			return 0;
		at = 40;
	}
	l4 = data + at;
	if (l4 + 20 > end)
		return 0;
	at += (l4[12] >> 4) * 4;
	return skb->len > at ? at : 0;
}

/*
 * Who sends: only where a system call of the calling task holds the socket is it the task's. What leaves in
 * an interrupt is nobody's (TCP Fast Open, when the server had no cookie). Returns what to count if it is not to be
 * looked at, else COUNT_AUDIT_HELLOS.
 */
static __always_inline enum counter whose(struct __sk_buff *skb, const struct state *st, struct sender *s)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct bpf_sock *sk = skb->sk;
	struct sock *kernel;

	if (!sk)
		return COUNT_AUDIT_NOBODY;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return COUNT_AUDIT_NOBODY;
	s->port = bpf_ntohs((__u16)sk->dst_port);
	if (sk->family == AF_INET) {
		addr_from_v4(&s->to, sk->dst_ip4);
	} else {
		s->to.w[0] = sk->dst_ip6[0];
		s->to.w[1] = sk->dst_ip6[1];
		s->to.w[2] = sk->dst_ip6[2];
		s->to.w[3] = sk->dst_ip6[3];
	}
	if (addr_is_local(&s->to))
		return COUNT_AUDIT_LOCAL;
	kernel = (struct sock *)bpf_skc_to_tcp_sock(sk);
	if (!kernel || !kernel->sk_lock.owned || task->flags & PF_KTHREAD)
		return COUNT_AUDIT_NOBODY;
	if (kernel->__sk_common.skc_net.net->net_cookie != st->home)
		return COUNT_AUDIT_FOREIGN;
	s->pid = task->tgid;
	s->uid = task->cred->uid.val;
	return COUNT_AUDIT_HELLOS;
}

/* Where the rule would have led the connection, as resolve says it; 0: nowhere that it could have missed. */
static __always_inline __u64 missed(const struct match *m, const struct sender *s, __u32 slot, bool *away)
{
	__u64 leads = m->ref & CHOICE ? resolve(m->ref, slot, s->uid) : m->ref;
	__u32 target = leads;
	struct target *t;

	if (!target)
		return 0;
	t = bpf_map_lookup_elem(&targets, &target);
	if (!t || t->kind == TARGET_DIRECT)
		return 0;
	*away = t->kind == TARGET_INTERFACE && t->end == END_DIRECT && t->away;
	return leads;
}

/* Learns the address under the name in the room, for those whom it may move, and prepares what is told of it. */
static __noinline int learn_leak(struct audit_room *r, struct state *st, const struct sender *s)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct scope scope = {.pid = s->pid, .uid = s->uid};
	struct event *e = &r->event;

	if (prepare_lesson(&r->lesson, &r->name, &r->match, st, AUDIT_TTL))
		return -1;
	keep_name(&r->name, &r->lesson.learnt, s->uid);
	__builtin_memcpy(scope.addr, s->to.b, 16);
	learn_for(&r->lesson, &scope);
	if (s->uid >= HOST_UIDS) {
		scope.pid = 0;
		learn_for(&r->lesson, &scope);
	}
	hint_at(&r->lesson, &s->to, st);
	count(COUNT_LEARNT);
	begin_event(e, &r->lesson, &r->match, FROM_AUDIT, s->pid, s->uid);
	__builtin_memcpy(e->addr, s->to.b, 16);
	for (int i = 0; i < COMM; i++)
		e->comm[i] = task->comm[i];
	return 0;
}

static __always_inline void list_leak(const struct event *e)
{
	struct leak_list *all;
	struct leak *l;
	__u32 zero = 0;
	__u64 number;

	all = bpf_map_lookup_elem(&leaks, &zero);
	if (!all)
		return;
	number = __sync_fetch_and_add(&all->next, 1);
	l = &all->last[number & (LEAKS - 1)];
	*(volatile __u64 *)&l->number = 0; /* whoever reads it now sees that it is being written */
	l->event = *e;
	*(volatile __u64 *)&l->number = number + 1;
}

/* Makes the leak of the lesson in the room, lists it and tells it. */
static __noinline int tell_leak(struct audit_room *r, const struct sender *s, __u64 leads, __u32 who)
{
	struct event *e = &r->event;

	e->counter = COUNT_AUDIT_LEAKED;
	e->source = FROM_VERDICT;
	e->how = r->match.rule == r->match.name ? BY_NAME : BY_NAME_BELOW;
	e->target = leads;
	e->condition = leads >> 32;
	e->port = s->port;
	e->protocol = PROTO_TCP;
	e->ttl = 0;
	e->time = bpf_ktime_get_boot_ns();
	list_leak(e);
	if (who)
		emit(e, who);
	return 0;
}

/* The hello in the room, of a connection that was not steered. Returns what it counts as. */
static __noinline int judge_hello(struct audit_room *r, struct state *st, const struct sender *s)
{
	__u32 slot, who = told(st, true);
	bool away = false;
	__u64 leads;

	if (r->walk.outcome != COUNT_AUDIT_HELLOS)
		return r->walk.outcome;
	if (!read_server_name(r))
		return COUNT_AUDIT_BAD_NAME;
	slot = slot_of(*(volatile __u64 *)&st->active);
	if (match_name(&r->name, slot, &r->match) || !r->match.rule)
		return COUNT_AUDIT_NO_RULE;
	leads = missed(&r->match, s, slot, &away);
	if (!leads || addr_is_own(&s->to) || learn_leak(r, st, s))
		return COUNT_AUDIT_NOT_DUE;
	if (who)
		emit(&r->event, who);
	if (away)
		return COUNT_AUDIT_NOT_DUE;
	tell_leak(r, s, leads, who);
	return COUNT_AUDIT_LEAKED;
}

/* Copies the beginning of the connection, 1 to HELLO_MAX bytes. */
static __always_inline long copy_hello(struct __sk_buff *skb, __u32 at, struct audit_room *r, __u32 *size)
{
	__u32 length = skb->len - at;

	if (length > HELLO_MAX)
		length = HELLO_MAX;
	asm volatile("" : "+r"(length));
	length = ((length - 1) & (HELLO_MAX - 1)) + 1;
	*size = length;
	return bpf_skb_load_bytes(skb, at, r->hello, length);
}

/* The first data of a connection that was not steered, at `at`. */
static __noinline int audit_data(struct __sk_buff *skb, struct state *st, __u32 at)
{
	struct bpf_sock *sk = skb->sk;
	struct sender s = {};
	struct audit_room *r;
	enum counter outcome;
	__u32 length;
	__u8 head[6];

	if (bpf_skb_load_bytes(skb, at, head, sizeof(head)) || head[0] != TLS_HANDSHAKE || head[1] != 3 ||
	    head[5] != CLIENT_HELLO) {
		if (sk && sk->dst_port == bpf_htons(HTTPS_PORT))
			count(COUNT_AUDIT_NO_TLS);
		return 0;
	}
	outcome = whose(skb, st, &s);
	if (outcome != COUNT_AUDIT_HELLOS) {
		count(outcome);
		return 0;
	}
	r = take_audit_room();
	if (!r) {
		count(COUNT_AUDIT_BUSY);
		return 0;
	}
	if (!copy_hello(skb, at, r, &length)) {
		count(COUNT_AUDIT_HELLOS);
		find_server_name(r, length);
		count(judge_hello(r, st, &s));
	}
	leave_audit_room(r, st);
	return 0;
}

/* What every packet comes through, so that the cheapest tests go first. */
static __always_inline void audit(struct __sk_buff *skb)
{
	struct state *st = get_state();
	struct bpf_sock *sk = skb->sk;
	struct bpf_tcp_sock *tcp;
	__u32 at;

	if (!st || !st->audit || !st->enabled || !sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != PROTO_TCP || sk->bound_dev_if || sk->mark)
		return;
	at = tcp_payload(skb);
	if (!at)
		return;
	tcp = bpf_tcp_sock(sk);
	if (tcp && tcp->data_segs_out == skb->gso_segs)
		audit_data(skb, st, at);
}

#endif
