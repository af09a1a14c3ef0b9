/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The text that a C library was asked for, as a name in wire form. */
#ifndef DR_LIBC_NAME_H
#define DR_LIBC_NAME_H

#include "libc_room.h"

/* Closes the label that ends before the byte `end` of the wire form. */
static __always_inline int end_label(struct libc_room *r, __u32 end)
{
	__u32 length = end - r->label - 1;

	if (!length || length > 63) {
		r->bad = 1;
		return -1;
	}
	r->name.wire[r->label & 0xff] = length;
	r->name.at[r->name.labels & (MAX_LABELS - 1)] = r->label;
	r->name.labels++;
	r->label = end;
	return 0;
}

/* One byte of text: byte i of the text is byte i + 1 of the wire form. */
static long next_byte(__u32 i, struct libc_ref *ref)
{
	struct libc_room *r = ref->r;
	__u32 c = r->text[i & (TEXT_ROOM - 1)];

	if (!c)
		return 1;
	if (c == ':') {
		r->number = 1; /* IPv6 */
		return 1;
	}
	if (c == '.') {
		if (end_label(r, i + 1))
			return 1;
		return 0;
	}
	/* Not ASCII: the library may ask for its A-label. Other observers see that. */
	if (c >= 0x80) {
		r->bad = 1;
		return 1;
	}
	if (c >= 'A' && c <= 'Z')
		c += 'a' - 'A';
	r->name.wire[(i + 1) & 0xff] = c;
	return 0;
}

static __always_inline bool is_digit(__u8 c)
{
	return c >= '0' && c <= '9';
}

/* The text of `length` bytes as a name in wire form. Returns 0, or -1 if it is none, which is counted. */
static __noinline int parse_text(struct libc_room *r, __u32 length)
{
	struct libc_ref ref = {.r = r};
	__u32 last;

	bpf_loop(length, next_byte, &ref, 0);
	if (r->number) {
		count(COUNT_LIBC_NO_NAME);
		return -1;
	}
	/* A final dot has closed the last label. */
	if (!r->bad && r->label != length)
		end_label(r, length + 1);
	if (r->bad || !r->name.labels || r->label >= NAME_MAX_WIRE) {
		count(COUNT_LIBC_BAD_NAME);
		return -1;
	}
	r->name.wire[r->label & 0xff] = 0;
	r->name.length = r->label + 1;
	/* No top-level domain begins with a digit: 192.0.2.1, 127.1, 0x7f000001. */
	last = r->name.at[(r->name.labels - 1) & (MAX_LABELS - 1)];
	if (is_digit(r->name.wire[(last + 1) & 0xff])) {
		count(COUNT_LIBC_NO_NAME);
		return -1;
	}
	return 0;
}

/* Reads the name that was asked for. Returns 0, or -1 if there is none, which is counted. */
static __always_inline int read_name(struct libc_room *r, __u64 from)
{
	long n;

	if (!from) {
		count(COUNT_LIBC_NO_NAME);
		return -1;
	}
	n = bpf_probe_read_user_str(r->text, sizeof(r->text), (void *)from);
	if (n < 0) {
		count(COUNT_LIBC_UNREADABLE);
		return -1;
	}
	if (n <= 1) {
		count(COUNT_LIBC_NO_NAME);
		return -1;
	}
	if (n >= TEXT_ROOM) {
		count(COUNT_LIBC_BAD_NAME);
		return -1;
	}
	return parse_text(r, n - 1);
}

#endif
