/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* From an answer that was asked for to learnt names. */
#ifndef DR_LEARN_H
#define DR_LEARN_H

#include "dns.h"
#include "lesson.h"
#include "stream.h"

struct pupil {
	struct scratch *s;
	struct state *st;
	__u32 pid, uid; /* who asked; both 0: the host alone learns */
};

/* Where an answer comes from that no process asked for. */
#ifndef NOBODY_ASKED
#define NOBODY_ASKED FROM_TC
#endif

static long learn_address(__u32 i, struct pupil *p)
{
	struct scratch *s = p->s;
	struct addr *a = &s->addrs[i & (RECORDS_MAX - 1)];
	struct scope scope = {.pid = p->pid, .uid = p->uid};

	__builtin_memcpy(scope.addr, a->b, 16);
	if (p->pid)
		learn_for(&s->lesson, &scope);
	scope.pid = 0;
	if (p->uid < HOST_UIDS) {
		scope.uid = 0;
		learn_for_host(&s->lesson, &scope);
	} else {
		learn_for(&s->lesson, &scope);
	}
	hint_at(&s->lesson, a, p->st);
	return 0;
}

/* Learns what read_answer found. */
static __noinline int teach(struct scratch *s, struct state *st, __u32 pid, __u32 uid)
{
	struct pupil p = {.s = s, .st = st, .pid = pid, .uid = uid};

	if (prepare_lesson(&s->lesson, &s->name, &s->match, st, s->ttl))
		return -1;
	keep_name(&s->name, &s->lesson.learnt, uid);
	bpf_loop(s->found, learn_address, &p, 0);
	count_n(s->match.rule ? COUNT_LEARNT : COUNT_LEARNT_NO_RULE, s->found);
	return 0;
}

static long tell_address(__u32 i, struct scratch_ref *ref)
{
	struct scratch *s = ref->s;
	struct state *st = get_state();

	if (!st)
		return 1;
	__builtin_memcpy(s->event.addr, s->addrs[i & (RECORDS_MAX - 1)].b, 16);
	emit(&s->event, told(st, s->match.rule != 0));
	return 0;
}

/* Tells those who watch what was learnt. */
__noinline int tell_learnt(struct scratch *s, __u32 pid, __u32 uid)
{
	struct scratch_ref ref = {s};

	if (!s)
		return 0;
	begin_event(&s->event, &s->lesson, &s->match, pid ? FROM_SOCKETS : NOBODY_ASKED, pid, uid);
	if (pid)
		__builtin_memcpy(s->event.comm, s->comm, COMM);
	bpf_loop(s->found, tell_address, &ref, 0);
	return 0;
}

/* Copies 1 to MESSAGE_MAX bytes, bounded in a way that the verifier of 6.1 follows. */
static __always_inline long copy_message(struct __sk_buff *skb, __u32 at, struct scratch *s, __u64 length)
{
	asm volatile("" : "+r"(length));
	length = ((length - 1) & (MESSAGE_MAX - 1)) + 1;
	return bpf_skb_load_bytes(skb, at, s->message, length);
}

#define WIPE 64 /* bytes at once; what is left over at the end are counts */

static long wipe_some(__u32 i, struct scratch_ref *ref)
{
	if (i >= sizeof(struct scratch) / WIPE)
		return 1;
	__builtin_memset((__u8 *)ref->s + i * WIPE, 0, WIPE);
	return 0;
}

/* With history off an answer that teaches nothing does not stay in the buffer either. */
static __always_inline void wipe(struct scratch *s)
{
	struct scratch_ref ref = {s};

	bpf_loop(sizeof(*s) / WIPE, wipe_some, &ref, 0);
}

/*
 * Learns from a message that was asked for, whose question has `question` bytes, for the process and user
 * given, or with both 0 for the host. Calls side by side, not one in the other: stacks are small.
 */
static __noinline int learn_message(struct __sk_buff *skb, struct cursor *c, __u32 question, __u32 pid,
				    __u32 uid)
{
	struct scratch *s = get_scratch();
	struct state *st = get_state();
	__u32 length = c->left < c->length ? c->left : c->length;
	int error;

	if (length > MESSAGE_MAX)
		length = MESSAGE_MAX;
	if (!s || !st || length < DNS_HEADER || copy_message(skb, c->at, s, length))
		return -1;
	error = read_answer(s, length, DNS_HEADER + question, c->length);
	if (!error)
		error = teach(s, st, pid, uid);
	if (!error && told(st, s->match.rule != 0))
		tell_learnt(s, pid, uid);
	if (error && !*(volatile __u64 *)&st->history)
		wipe(s);
	return error;
}

#endif
