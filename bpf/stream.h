/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* DNS over TCP (RFC 1035 section 4.2.2): which bytes of a segment start a message. */
#ifndef DR_STREAM_H
#define DR_STREAM_H

#include "packet.h"

#define SEGMENT_MESSAGES 8

/* Where in a packet a message lies. */
struct cursor {
	__u32 at;     /* offset of its header from skb->data */
	__u32 length; /* its own, as announced */
	__u32 left;   /* payload from the header on; less than length: the rest is in later segments */
};

/* Called once for each accepted segment that carries bytes, before the messages in it are asked for. */
static __always_inline void stream_segment(struct stream *s, const struct packet *p)
{
	/* Behind what was followed so far: a segment was missed. Start over, a wrong guess matches no question. */
	if (!s->known || (__s32)(s->next - p->sequence) < 0) {
		s->next = p->sequence;
		s->have = 0;
		s->known = 1;
	}
	s->expect = p->sequence + p->length;
}

/*
 * Reads what is missing of the two bytes of length: either may come alone, in a segment of its own. 0 when
 * both are known.
 */
static __always_inline int stream_length(struct __sk_buff *skb, struct stream *s, const struct packet *p)
{
	for (int i = 0; i < 2; i++) {
		__u32 at = s->next - p->sequence;
		__u8 byte;

		if (s->have == 2)
			return 0;
		if (at >= p->length || bpf_skb_load_bytes(skb, p->offset + at, &byte, 1))
			return -1;
		s->announced = s->have ? s->announced << 8 | byte : byte;
		s->have++;
		s->next++;
	}
	return s->have == 2 ? 0 : -1;
}

/* The next message that starts in this segment; -1 when there is no further one. */
static __always_inline int stream_next(struct __sk_buff *skb, struct stream *s, const struct packet *p,
				       struct cursor *c)
{
	__u32 at;

	if (stream_length(skb, s, p))
		return -1;
	at = s->next - p->sequence;
	if (at >= p->length)
		return -1;
	c->at = p->offset + at;
	c->left = p->length - at;
	c->length = s->announced;
	s->next += s->announced;
	s->have = 0;
	return 0;
}

#endif
