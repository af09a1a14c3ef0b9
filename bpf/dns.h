/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * DNS answers (RFC 1035 section 4). Owner names are skipped, never followed: addresses are learnt under the
 * name of the question. Everything read is first copied, since packets are not linear.
 */
#ifndef DR_DNS_H
#define DR_DNS_H

#include "lesson.h"
#include "questions.h"

#define MESSAGE_MAX 4096  /* real answers end their last address within 2,736 bytes */
#define MESSAGE_SLACK 288 /* so that a masked offset and a whole name or record stay inside */
#define RECORDS_MAX 64    /* real answers have 40 at most */
#define TYPE_A 1
#define TYPE_AAAA 28
#define TYPE_SVCB 64 /* RFC 9460, as the next */
#define TYPE_HTTPS 65
#define PARAM_HEAD 4 /* of their parameters: key and length */
#define KEY_IPV4HINT 4
#define KEY_IPV6HINT 6
#define CLASS_IN 1

/*
 * A walk over an answer. It lives in a map, not on the stack: what is read from a map is any value to the
 * verifier, so that it need not follow 64 records of 128 labels one by one (kernels from 6.19 on do not prune
 * the other way, and walk more than a million instructions).
 */
struct walk {
	__u32 at;
	__u32 length;  /* of the copy */
	__u32 records; /* still to walk */
	__u32 owner;   /* where the record's owner name starts */
	__u32 skipped; /* behind that name now */
	__u32 cut;     /* ran out of bytes */
	__u32 malformed;
	__u32 full;  /* more addresses than there is room for */
	__u32 param; /* HTTPS, SVCB: where the next parameter starts */
	__u32 end;   /* and where the record does */
	__u32 bad;   /* it is none */
	__u32 hint;  /* where the next address of a parameter starts */
	__u32 size;  /* bytes of one of its addresses: 4 or 16 */
	__u32 pad;
};

/* One per CPU: softirqs do not nest, and no process-context hook uses it. */
struct scratch {
	__u8 message[MESSAGE_MAX + MESSAGE_SLACK];
	struct name name;
	struct addr addrs[RECORDS_MAX];
	struct match match;
	struct lesson lesson;
	struct event event;
	__u8 comm[COMM]; /* of the process that asked */
	struct walk walk;
	__u32 found; /* addresses */
	__u32 ttl;   /* seconds, the least of the answer's */
};

MAP(BPF_MAP_TYPE_PERCPU_ARRAY, scratches, __u32, struct scratch, 1);

static __always_inline struct scratch *get_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

/* What the callbacks of bpf_loop get. */
struct scratch_ref {
	struct scratch *s;
};

static __always_inline __u8 byte_at(const struct scratch *s, __u32 at)
{
	return s->message[at & (MESSAGE_MAX - 1)];
}

static __always_inline __u32 u16_at(const struct scratch *s, __u32 at)
{
	const __u8 *b = &s->message[at & (MESSAGE_MAX - 1)];

	return b[0] << 8 | b[1];
}

static __always_inline __u32 u32_at(const struct scratch *s, __u32 at)
{
	return u16_at(s, at) << 16 | u16_at(s, at + 2);
}

/*
 * Skips one label of an owner name. A pointer must lead to before the name it stands in: no loop can start
 * here, and what is refused is refused by real parsers too.
 */
static long skip_label(__u32 i, struct scratch_ref *ref)
{
	struct scratch *s = ref->s;
	struct walk *w = &s->walk;
	__u32 at = w->at, label;

	if (at >= w->length)
		return 1;
	label = byte_at(s, at);
	if (label >= 0xc0) {
		__u32 to = u16_at(s, at) & 0x3fff;

		if (at + 2 > w->length)
			return 1; /* what stands in the second byte's place is another message's */
		w->malformed = to < DNS_HEADER || to >= w->owner;
		w->skipped = 1;
		w->at = at + 2;
		return 1;
	}
	w->at = at + label + 1;
	w->malformed = label > 63 || w->at - w->owner > NAME_MAX_WIRE;
	w->skipped = !label;
	return w->malformed || w->skipped;
}

static __always_inline void add_address(struct scratch *s, __u32 at, __u32 size)
{
	struct addr *a = &s->addrs[s->found & (RECORDS_MAX - 1)];
	const __u8 *data = &s->message[at & (MESSAGE_MAX - 1)];

	if (s->found >= RECORDS_MAX) {
		s->walk.full = 1;
		return;
	}
	if (size == 4)
		addr_from_v4(a, *(const __be32 *)data);
	else
		__builtin_memcpy(a->b, data, 16);
	if (addr_is_local(a)) {
		count(COUNT_ADDRESS_REFUSED);
		return;
	}
	s->found++;
}

static long add_hint(__u32 i, struct scratch_ref *ref)
{
	struct scratch *s = ref->s;
	struct walk *w = &s->walk;

	add_address(s, w->hint, w->size);
	w->hint += w->size;
	return w->full != 0;
}

/* One parameter of an HTTPS or SVCB record: key, length, value. */
static long walk_param(__u32 i, struct scratch_ref *ref)
{
	struct scratch *s = ref->s;
	struct walk *w = &s->walk;
	__u32 key, length;

	if (w->param == w->end)
		return 1;
	key = u16_at(s, w->param);
	length = u16_at(s, w->param + 2);
	w->bad = w->param + PARAM_HEAD + length > w->end;
	if (w->bad)
		return 1;
	w->hint = w->param + PARAM_HEAD;
	w->param = w->hint + length;
	if (key != KEY_IPV4HINT && key != KEY_IPV6HINT)
		return 0;
	w->size = key == KEY_IPV4HINT ? 4 : 16;
	/* RFC 9460 section 7.3: at least one address, and nothing else. */
	if (!length || length & (w->size - 1)) {
		w->bad = 1;
		return 1;
	}
	bpf_loop(length / w->size, add_hint, ref, 0);
	return 0;
}

/*
 * The address hints of an HTTPS or SVCB record: priority, a name that is skipped, parameters. What came before
 * something wrong is taken, as are the other records. Those of priority 0 are aliases, whose parameters count for
 * nobody (RFC 9460 section 2.4.2).
 */
static __always_inline void walk_service(struct scratch_ref *ref, __u32 data, __u32 size)
{
	struct walk *w = &ref->s->walk;
	__u32 owner = w->owner;

	w->at = w->owner = data + 2;
	w->end = data + size;
	w->skipped = 0;
	bpf_loop(128, skip_label, ref, 0);
	w->param = w->at;
	w->bad = !w->skipped || w->malformed || w->param > w->end;
	w->malformed = 0;
	w->owner = owner;
	if (!w->bad && u16_at(ref->s, data))
		bpf_loop(MESSAGE_MAX / PARAM_HEAD, walk_param, ref, 0);
	if (w->bad)
		count(COUNT_RECORD_BAD);
}

static __always_inline void take_record(struct scratch_ref *ref, __u32 type, __u32 data, __u32 size)
{
	if (type == TYPE_SVCB || type == TYPE_HTTPS)
		walk_service(ref, data, size);
	else if (type != TYPE_A && type != TYPE_AAAA)
		return;
	else if (size == (type == TYPE_A ? 4 : 16))
		add_address(ref->s, data, size);
	else
		count(COUNT_RECORD_BAD);
}

static long walk_record(__u32 i, struct scratch_ref *ref)
{
	struct scratch *s = ref->s;
	struct walk *w = &s->walk;
	__u32 at, type, ttl, data, size;

	w->owner = w->at;
	w->skipped = 0;
	bpf_loop(128, skip_label, ref, 0);
	at = w->at;
	data = at + 10;
	w->cut = !w->skipped || data > w->length;
	if (w->malformed || w->cut)
		return 1;
	type = u16_at(s, at);
	ttl = u32_at(s, at + 4);
	size = u16_at(s, at + 8);
	w->cut = data + size > w->length;
	if (w->cut)
		return 1;
	if (ttl & 0x80000000)
		ttl = 0; /* RFC 2181 section 8 */
	if (ttl < s->ttl)
		s->ttl = ttl;
	if (u16_at(s, at + 2) == CLASS_IN)
		take_record(ref, type, data, size);
	w->at = data + size;
	w->records--;
	return 0;
}

/* Header checks. 0: go on to the records. */
static __always_inline int check_header(const struct scratch *s)
{
	if ((byte_at(s, 2) & 0xf8) != 0x80 || u16_at(s, 4) != 1) {
		count(COUNT_ANSWER_BAD_HEADER);
		return -1;
	}
	if (byte_at(s, 3) & 0x0f) {
		count(COUNT_ANSWER_RCODE);
		return -1;
	}
	if (!u16_at(s, 6)) {
		count(COUNT_ANSWER_EMPTY);
		return -1;
	}
	return 0;
}

/*
 * Nothing is carried from label to label but through the array: the verifier takes what comes from a variable
 * place in it for any byte, and need not follow 127 labels one by one.
 */
static long find_label(__u32 i, struct scratch_ref *ref)
{
	struct name *name = &ref->s->name;
	__u32 at = name->at[i & (MAX_LABELS - 1)];
	__u32 length = name->wire[at];

	if (!length || at + length + 1 >= NAME_MAX_WIRE)
		return 1;
	name->at[(i + 1) & (MAX_LABELS - 1)] = at + length + 1;
	name->labels = i + 1;
	return 0;
}

/* The question's name, lower case: eight bytes at a time, since no length byte is a letter. */
static __always_inline void copy_name(struct scratch_ref *ref, __u32 length)
{
	struct scratch *s = ref->s;
	__u64 *to = (__u64 *)s->name.wire;

	for (int i = 0; i < (NAME_MAX_WIRE + 7) / 8; i++) {
		__u64 x = load_word(&s->message[DNS_HEADER + 8 * i]);
		__u64 low = x & 0x7f7f7f7f7f7f7f7fULL;
		__u64 upper = ((low + 0x3f3f3f3f3f3f3f3fULL) & ~(low + 0x2525252525252525ULL) & ~x) &
			      0x8080808080808080ULL;

		to[i] = x | upper >> 2;
		if (8 * (i + 1) >= length)
			break;
	}
	s->name.length = length;
	s->name.labels = 0;
	s->name.at[0] = 0;
	bpf_loop(MAX_LABELS, find_label, ref, 0);
}

/* What the walk over the records ended in. 0: what was found may be learnt. */
static __always_inline int check_walk(const struct scratch *s, __u32 whole)
{
	const struct walk *w = &s->walk;

	if (w->malformed || (w->cut && w->length >= whole)) {
		count(COUNT_ANSWER_MALFORMED);
		return -1;
	}
	if (w->cut)
		count(w->length == MESSAGE_MAX ? COUNT_ANSWER_CUT_BYTES : COUNT_ANSWER_CUT_SEGMENT);
	else if (w->records)
		count(COUNT_ANSWER_CUT_RECORDS);
	if (w->full)
		count(COUNT_ANSWER_CUT_ADDRESSES);
	if (!s->found) {
		count(COUNT_ANSWER_EMPTY);
		return -1;
	}
	return 0;
}

/*
 * Reads the answer whose first `length` bytes are in the scratch buffer into it: name, addresses, TTL.
 * `end` is where the question ends; `whole` is the message's own length. 0: there is something to learn.
 */
static __noinline int read_answer(struct scratch *s, __u32 length, __u32 end, __u32 whole)
{
	struct scratch_ref ref = {s};
	__u32 records;

	if (check_header(s))
		return -1;
	if (u16_at(s, end - 2) != CLASS_IN) {
		count(COUNT_ANSWER_BAD_QUESTION);
		return -1;
	}
	s->found = 0;
	s->ttl = TTL_MAX;
	records = u16_at(s, 6);
	__builtin_memset(&s->walk, 0, sizeof(s->walk));
	s->walk.at = end;
	s->walk.length = length;
	s->walk.records = records;
	bpf_loop(records < RECORDS_MAX ? records : RECORDS_MAX, walk_record, &ref, 0);
	if (check_walk(s, whole))
		return -1;
	count(COUNT_ANSWERS);
	copy_name(&ref, end - 4 - DNS_HEADER);
	return 0;
}

#endif
