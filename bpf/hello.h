/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * A TLS ClientHello (RFC 8446 section 4.1.2; those of TLS 1.0 to 1.2 look the same) and the server's name in it (SNI,
 * RFC 6066 section 3). The beginning of the connection is copied and walked over.
 */
#ifndef DR_HELLO_H
#define DR_HELLO_H

#include "lesson.h"

#define HELLO_MAX 4096    /* browsers' have 1,700 to 2,300 bytes, with a key share for quantum computers */
#define HELLO_SLACK 8     /* so that a masked offset and a whole number stay inside */
#define HELLO_START 44    /* record 5, handshake 4, version 2, random 32, length of the session id 1 */
#define HELLO_BODY 9      /* where what the handshake's length counts begins */
#define EXTENSIONS_MAX 64 /* browsers send 16 to 20 */
#define SNI_MAX 254       /* a name of 253 bytes and a final dot */

#define TLS_HANDSHAKE 0x16
#define CLIENT_HELLO 1
#define EXTENSION_SERVER_NAME 0
#define SNI_HOST_NAME 0

/* A walk over a hello; in a map for the verifier's sake, as that over an answer: see dns.h. */
struct hello_walk {
	__u32 at;
	__u32 length; /* of the copy */
	__u32 end;    /* of the hello, and of its extensions */
	__u32 outcome;
	__u32 name; /* where the name starts */
	__u32 size; /* its bytes */
	__u32 label;
	__u32 bad;
};

/* Where one run of the program works; see audit.h. */
struct audit_room {
	__u64 taken;
	__u8 hello[HELLO_MAX + HELLO_SLACK];
	struct name name;
	struct match match;
	struct lesson lesson;
	struct hello_walk walk;
	struct event event;
};

/* What the callbacks of bpf_loop get. */
struct audit_ref {
	struct audit_room *r;
};

static __always_inline __u32 hello_u8(const struct audit_room *r, __u32 at)
{
	return r->hello[at & (HELLO_MAX - 1)];
}

static __always_inline __u32 hello_u16(const struct audit_room *r, __u32 at)
{
	const __u8 *b = &r->hello[at & (HELLO_MAX - 1)];

	return b[0] << 8 | b[1];
}

/* Whether the walk may read `size` bytes; if not, what it ended in: beyond the hello, or beyond the copy of it. */
static __always_inline bool hello_has(struct hello_walk *w, __u32 size)
{
	if (w->at + size > w->end)
		w->outcome = COUNT_AUDIT_MALFORMED;
	else if (w->at + size > w->length)
		w->outcome = COUNT_AUDIT_CUT;
	else
		return true;
	return false;
}

/* The list of names in the extension of `size` bytes at w->at. Of its entries only the first counts: there is one kind. */
static __always_inline void take_server_name(struct audit_room *r, __u32 size)
{
	struct hello_walk *w = &r->walk;

	w->outcome = COUNT_AUDIT_MALFORMED;
	if (size < 5 || (w->at + 5 <= w->length && hello_u16(r, w->at) != size - 2))
		return;
	if (!hello_has(w, 5))
		return;
	if (hello_u8(r, w->at + 2) != SNI_HOST_NAME) {
		w->outcome = COUNT_AUDIT_NO_NAME;
		return;
	}
	w->size = hello_u16(r, w->at + 3);
	w->name = w->at + 5;
	if (!w->size || w->size + 5 > size)
		return;
	w->at = w->name;
	if (hello_has(w, w->size))
		w->outcome = COUNT_AUDIT_HELLOS;
}

static long next_extension(__u32 i, struct audit_ref *ref)
{
	struct audit_room *r = ref->r;
	struct hello_walk *w = &r->walk;
	__u32 type, size;

	if (w->at == w->end) {
		w->outcome = COUNT_AUDIT_NO_NAME;
		return 1;
	}
	if (!hello_has(w, 4))
		return 1;
	type = hello_u16(r, w->at);
	size = hello_u16(r, w->at + 2);
	w->at += 4;
	if (w->at + size > w->end) {
		w->outcome = COUNT_AUDIT_MALFORMED;
		return 1;
	}
	if (type == EXTENSION_SERVER_NAME) {
		take_server_name(r, size);
		return 1;
	}
	w->at += size;
	return 0;
}

/* Skips what has a length of one or two bytes before it, of `least` bytes at least and of whole units. */
static __always_inline bool hello_skip(struct audit_room *r, __u32 bytes, __u32 least, __u32 unit)
{
	struct hello_walk *w = &r->walk;
	__u32 size;

	if (!hello_has(w, bytes))
		return false;
	size = bytes == 1 ? hello_u8(r, w->at) : hello_u16(r, w->at);
	w->at += bytes + size;
	if (size >= least && !(size & (unit - 1)) && w->at <= w->end)
		return true;
	w->outcome = COUNT_AUDIT_MALFORMED;
	return false;
}

/*
 * Finds the server's name in the `length` bytes of a connection's beginning in r->hello, known to be a ClientHello's.
 * w->outcome is COUNT_AUDIT_HELLOS if there is one, and else what is to be counted instead.
 */
static __noinline int find_server_name(struct audit_room *r, __u32 length)
{
	struct audit_ref ref = {r};
	struct hello_walk *w = &r->walk;
	__u32 record = hello_u16(r, 3), size;

	__builtin_memset(w, 0, sizeof(*w));
	w->length = length;
	w->outcome = COUNT_AUDIT_CUT;
	if (length < HELLO_START)
		return 0;
	size = hello_u8(r, 6) << 16 | hello_u16(r, 7);
	w->end = HELLO_BODY + size;
	if (size + 4 > record) {
		/* Goes on in another record, whose header would stand in the midst of it. */
		if (length > record + 5)
			w->length = record + 5;
	}
	w->at = HELLO_START - 1;
	if (hello_u8(r, w->at) > 32)
		w->outcome = COUNT_AUDIT_MALFORMED;
	else if (hello_skip(r, 1, 0, 1) && hello_skip(r, 2, 2, 2) && hello_skip(r, 1, 1, 1)) {
		if (w->at == w->end) {
			w->outcome = COUNT_AUDIT_NO_NAME; /* no extensions at all */
			return 0;
		}
		if (!hello_has(w, 2))
			return 0;
		size = hello_u16(r, w->at);
		w->at += 2;
		w->outcome = COUNT_AUDIT_MALFORMED;
		if (w->at + size != w->end)
			return 0;
		w->outcome = COUNT_AUDIT_CUT; /* more extensions than that */
		bpf_loop(EXTENSIONS_MAX + 1, next_extension, &ref, 0);
	}
	return 0;
}

/* Closes the label that ends before the byte `end` of the wire form. */
static __always_inline bool end_hello_label(struct audit_room *r, __u32 end)
{
	struct hello_walk *w = &r->walk;
	__u32 length = end - w->label - 1;

	if (!length || length > 63) {
		w->bad = 1;
		return false;
	}
	r->name.wire[w->label & 0xff] = length;
	r->name.at[r->name.labels & (MAX_LABELS - 1)] = w->label;
	r->name.labels++;
	w->label = end;
	return true;
}

/* One byte of the name: byte i of the text is byte i + 1 of the wire form. Letters, digits, hyphens, underscores. */
static long next_hello_byte(__u32 i, struct audit_ref *ref)
{
	struct audit_room *r = ref->r;
	__u32 c = hello_u8(r, r->walk.name + i);

	if (c == '.')
		return !end_hello_label(r, i + 1);
	if (c - 'A' < 26)
		c += 'a' - 'A';
	if (c - 'a' >= 26 && c - '0' >= 10 && c != '-' && c != '_') {
		r->walk.bad = 1;
		return 1;
	}
	r->name.wire[(i + 1) & 0xff] = c;
	return 0;
}

/* The name that was found, in wire form. False: it is none, as an address is none. */
static __noinline int read_server_name(struct audit_room *r)
{
	struct audit_ref ref = {r};
	struct hello_walk *w = &r->walk;
	__u32 size = w->size, last;

	r->name.labels = 0;
	if (size > SNI_MAX)
		return 0;
	bpf_loop(size, next_hello_byte, &ref, 0);
	/* A final dot has closed the last label. */
	if (!w->bad && w->label != size)
		end_hello_label(r, size + 1);
	if (w->bad || !r->name.labels || w->label >= NAME_MAX_WIRE)
		return 0;
	r->name.wire[w->label & 0xff] = 0;
	r->name.length = w->label + 1;
	/* No top-level domain begins with a digit: 192.0.2.1. */
	last = r->name.at[(r->name.labels - 1) & (MAX_LABELS - 1)];
	return hello_u8(r, w->name + last) - '0' >= 10;
}

#endif
