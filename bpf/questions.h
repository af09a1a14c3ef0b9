/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Questions that wait for their answers. A question is kept as one keyed hash over server, transaction id and
 * the question's own bytes, case and all; an answer is believed if its hash is there, and takes it away.
 */
#ifndef DR_QUESTIONS_H
#define DR_QUESTIONS_H

#include "packet.h"
#include "siphash.h"
#include "counters.h"
#include "evidence.h"

#define DNS_HEADER 12
#define QUESTION_MAX (NAME_MAX_WIRE + 4)
#define QUESTION_LIFE (10 * SECOND)

/* Whom a question goes to. */
struct server {
	struct addr addr;
	__u16 port;
	__u8 proto;
	__u8 pad;
};

/* A walk over the bytes of a question: first its labels, then its words. */
struct question_walk {
	struct __sk_buff *skb;
	__u32 at;     /* where the question starts, from skb->data */
	__u32 length; /* bytes there are */
	__u32 size;   /* of the question so far */
	__u32 done;
	struct sip sip;
};

static long question_label(__u32 i, struct question_walk *w)
{
	__u8 label;

	if (w->size >= w->length || w->size >= NAME_MAX_WIRE)
		return 1;
	if (bpf_skb_load_bytes(w->skb, w->at + w->size, &label, 1) || label > 63)
		return 1;
	w->size += label + 1;
	w->done = !label;
	return w->done;
}

static long question_word(__u32 i, struct question_walk *w)
{
	__u64 word;

	if (bpf_skb_load_bytes(w->skb, w->at + 8 * i, &word, 8))
		return 1;
	sip_word(&w->sip, word);
	return 0;
}

/*
 * The key of the question in a message of `length` bytes at `at`; never 0, except if the question is none.
 * `size` becomes the question's length. Read straight from the packet: stacks are small, and what nobody
 * asked for is refused before anything is copied.
 */
__noinline __u64 question_key(struct __sk_buff *skb, __u32 at, __u32 length, const struct server *server,
			      __u32 *size)
{
	struct question_walk w = {.skb = skb, .at = at + DNS_HEADER, .length = length - DNS_HEADER};
	struct state *st = get_state();
	__u64 word = 0, key;
	__u32 left;
	__u16 id;

	if (!st || !server || !size || length <= DNS_HEADER || bpf_skb_load_bytes(skb, at, &id, sizeof(id)))
		return 0;
	/* Compression has no place in a question: a pointer ends the walk, and it counts as none. */
	bpf_loop(128, question_label, &w, 0);
	w.size += 4;
	if (!w.done || w.size > w.length)
		return 0;
	*size = w.size;
	sip_start(&w.sip, st->key);
	sip_word(&w.sip, server->addr.d[0]);
	sip_word(&w.sip, server->addr.d[1]);
	sip_word(&w.sip, (__u64)server->port << 32 | (__u64)server->proto << 16 | id);
	bpf_loop(w.size / 8, question_word, &w, 0);
	/* The last, incomplete word: the eight bytes that end with the question, without those hashed before. */
	left = w.size & 7;
	if (left) {
		if (bpf_skb_load_bytes(skb, w.at + w.size - 8, &word, 8))
			return 0;
		word >>= 64 - 8 * left;
	}
	key = sip_end(&w.sip, word, w.size);
	return key ?: 1;
}

static __always_inline void ask(struct asker *a, __u64 key, __u64 now)
{
	__u32 i;

	for (i = 0; i < MAX_QUESTIONS; i++) {
		if (a->questions[i].key == key) {
			a->questions[i].asked = now;
			count(COUNT_QUESTION_REPEATED);
			return;
		}
	}
	i = __sync_fetch_and_add(&a->head, 1) & (MAX_QUESTIONS - 1);
	if (a->questions[i].key && now - a->questions[i].asked < QUESTION_LIFE)
		count(COUNT_QUESTION_DISPLACED);
	a->questions[i].asked = now;
	a->questions[i].key = key;
	count(COUNT_QUESTIONS);
}

/* Takes an outstanding question away. Only one of several answers can. */
static __always_inline bool take(struct asker *a, __u64 key, __u64 now)
{
	for (__u32 i = 0; i < MAX_QUESTIONS; i++) {
		struct question *q = &a->questions[i];

		if (q->key != key)
			continue;
		if (__sync_val_compare_and_swap(&q->key, key, 0) != key)
			continue;
		if (now - q->asked < QUESTION_LIFE)
			return true;
		count(COUNT_ANSWER_LATE);
		return false;
	}
	count(COUNT_ANSWER_UNASKED);
	return false;
}

#endif
