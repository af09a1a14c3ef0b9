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
		s->split = 0;
		s->known = 1;
	}
	s->expect = p->sequence + p->length;
}

/* The next message that starts in this segment; -1 when there is no further one. */
static __always_inline int stream_next(struct __sk_buff *skb, struct stream *s, const struct packet *p,
				       struct cursor *c)
{
	__u32 at = s->next - p->sequence;
	__be16 length;

	if (at >= p->length)
		return -1;
	if (s->split) {
		/* The length came before; what it was does not matter, the message is matched anyway. */
		c->length = p->length - at;
		s->split = 0;
	} else if (p->length - at == 2) {
		s->split = 1;
		s->next += 2;
		return -1;
	} else {
		if (p->length - at < 2 || bpf_skb_load_bytes(skb, p->offset + at, &length, sizeof(length))) {
			s->known = 0;
			return -1;
		}
		c->length = bpf_ntohs(length);
		at += 2;
	}
	c->at = p->offset + at;
	c->left = p->length - at;
	s->next = p->sequence + at + c->length;
	return 0;
}

#endif
