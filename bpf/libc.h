/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What a C library told its program: the name that was asked for, and the addresses it gave, wherever it has them
 * from. All of it is read from the program's memory, and may be anything: it counts for that process alone.
 *
 * Nobody can ask for the network namespace here. It does no harm: a process of another one teaches itself only, and
 * its sockets are left alone at connect.
 */
#ifndef DR_LIBC_H
#define DR_LIBC_H

#include "lesson.h"

/* Which function a probe is at: its cookie. internal/libc has the same numbers. */
enum libc_function {
	LIBC_GETADDRINFO = 1,
	LIBC_GETHOSTBYNAME,
	LIBC_GETHOSTBYNAME2,
	LIBC_GETHOSTBYNAME_R,
	LIBC_GETHOSTBYNAME2_R,
};

#define LIBC_TTL 60       /* seconds: the library does not tell */
#define LIBC_ADDRESSES 64 /* as many as of one answer of DNS */
#define LIBC_ENTRIES 256  /* of a list: getaddrinfo gives each address once for each of three socket types */
#define TEXT_ROOM 256     /* a name of 253 bytes, a final dot, a zero byte */
#define CGROUP_DEPTH 16
#define FAMILY_IPV4 2
#define FAMILY_IPV6 10

/* One call under way. The stack tells calls within calls apart, and calls that were never returned from. */
struct libc_frame {
	__u64 thread; /* process and thread */
	__u64 stack;  /* where it is once the call has returned */
	__u64 function;
};

/* Its arguments. What they point to may not be in memory before the library has looked at it. */
struct libc_call {
	__u64 name;
	__u64 result; /* where a pointer to the result goes; 0: it is returned */
};

/* Nobody can make another thread's calls be mistaken, but one who leaves thousands unfinished can push them out. */
MAP(BPF_MAP_TYPE_LRU_HASH, libc_calls, struct libc_frame, struct libc_call, 16384);

/* struct addrinfo and struct hostent where pointers have 64 bits, the same in glibc and musl. */
struct address_info {
	__s32 flags, family, type, protocol;
	__u32 length, pad;
	__u64 address, canonical, next;
};

struct host_entry {
	__u64 name, aliases;
	__s32 family, length;
	__u64 list;
};

/*
 * Where a program works while a call returns: it may be preempted, so that nothing of a CPU is its own. Walks live
 * here for the verifier's sake, as in dns.h.
 */
struct libc_room {
	struct name name;
	struct lesson lesson;
	struct match match;
	struct addr previous;
	struct addr addr;
	union {
		struct address_info info;
		struct host_entry host;
	};
	__u64 at;     /* of the list's next entry, in the program's memory */
	__u32 family; /* of all addresses of a host_entry; 0: at leads to a struct address_info */
	__u32 found;
	__u32 refused;
	__u32 cut;
	__u32 unreadable;
	__u32 label;  /* where the label's length goes */
	__u32 bad;    /* no name */
	__u32 number; /* a numeric address */
	__u8 text[TEXT_ROOM];
};

/*
 * Rooms in use, by thread: taken and given back by one run of a program, so that no more are in use than threads
 * can be preempted in one. Not an LRU map: a room must never become another thread's while it is in use.
 */
MAP(BPF_MAP_TYPE_HASH, libc_rooms, __u64, struct libc_room, 1024);
MAP(BPF_MAP_TYPE_ARRAY, libc_empty, __u32, struct libc_room, 1);

struct libc_ref {
	struct libc_room *r;
	struct state *st;
};

static __always_inline struct libc_room *take_room(__u64 thread)
{
	__u32 zero = 0;
	struct libc_room *empty = bpf_map_lookup_elem(&libc_empty, &zero);

	if (!empty || bpf_map_update_elem(&libc_rooms, &thread, empty, BPF_ANY))
		return 0;
	return bpf_map_lookup_elem(&libc_rooms, &thread);
}

struct cgroup_search {
	__u64 wanted;
	__u32 found;
	__u32 pad;
};

static long next_cgroup(__u32 level, struct cgroup_search *s)
{
	__u64 id = bpf_get_current_ancestor_cgroup_id(level);

	if (!id)
		return 1;
	if (id != s->wanted)
		return 0;
	s->found = 1;
	return 1;
}

/* Whether the process is in the cgroup, or below. */
static __always_inline bool in_cgroup(__u64 id)
{
	struct cgroup_search s = {.wanted = id};

	bpf_loop(CGROUP_DEPTH, next_cgroup, &s, 0);
	return s.found;
}

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

/* Learns r->addr, for the calling process. Returns 1 when there is no room for it. */
static __always_inline int learn_here(struct libc_room *r, struct state *st)
{
	struct scope scope = {};

	if (addr_is_local(&r->addr)) {
		r->refused++;
		return 0;
	}
	/* Each address comes once for each type of socket. */
	if (r->addr.d[0] == r->previous.d[0] && r->addr.d[1] == r->previous.d[1])
		return 0;
	if (r->found >= LIBC_ADDRESSES) {
		r->cut = 1;
		return 1;
	}
	r->previous = r->addr;
	r->found++;
	scope.pid = bpf_get_current_pid_tgid() >> 32;
	scope.uid = bpf_get_current_uid_gid();
	__builtin_memcpy(scope.addr, r->addr.b, 16);
	learn_for(&r->lesson, &scope);
	hint_at(&r->lesson, &r->addr, st);
	return 0;
}

/* Reads an address into r->addr. Returns 1 if it is of no family that is steered. */
static __always_inline int read_address(struct libc_room *r, __u32 family, __u64 v4, __u64 v6)
{
	__u32 word = 0;
	long err;

	if (family == FAMILY_IPV4) {
		err = bpf_probe_read_user(&word, sizeof(word), (void *)v4);
		addr_from_v4(&r->addr, word);
	} else if (family == FAMILY_IPV6) {
		err = bpf_probe_read_user(&r->addr, sizeof(r->addr), (void *)v6);
	} else {
		return 1;
	}
	if (err)
		r->unreadable = 1;
	return err != 0;
}

/* One struct address_info of the list that r->at leads to. */
static long next_info(__u32 i, struct libc_ref *ref)
{
	struct libc_room *r = ref->r;
	__u64 address;

	if (!r->at)
		return 1;
	if (i == LIBC_ENTRIES) {
		r->cut = 1;
		return 1;
	}
	if (bpf_probe_read_user(&r->info, sizeof(r->info), (void *)r->at)) {
		r->unreadable = 1;
		return 1;
	}
	r->at = r->info.next;
	address = r->info.address;
	/* sin_addr and sin6_addr */
	if (!read_address(r, r->info.family, address + 4, address + 8) && learn_here(r, ref->st))
		return 1;
	return 0;
}

/* One address of a struct host_entry, whose list of pointers goes on at r->at. */
static long next_host(__u32 i, struct libc_ref *ref)
{
	struct libc_room *r = ref->r;
	__u64 address = 0;

	if (i == LIBC_ENTRIES) {
		r->cut = 1;
		return 1;
	}
	if (bpf_probe_read_user(&address, sizeof(address), (void *)r->at)) {
		r->unreadable = 1;
		return 1;
	}
	if (!address)
		return 1;
	r->at += sizeof(address);
	if (!read_address(r, r->family, address, address) && learn_here(r, ref->st))
		return 1;
	return 0;
}

static __always_inline void count_list(struct libc_room *r)
{
	if (r->unreadable)
		count(COUNT_LIBC_UNREADABLE);
	if (r->cut)
		count(COUNT_LIBC_CUT);
	if (r->refused)
		count_n(COUNT_ADDRESS_REFUSED, r->refused);
	if (!r->found)
		return;
	count(COUNT_LIBC_ANSWERS);
	count_n(r->match.rule ? COUNT_LEARNT : COUNT_LEARNT_NO_RULE, r->found);
}

/* Learns the addresses of the list at `result` under the name in the room. */
static __noinline int learn_list(struct libc_room *r, struct state *st, __u64 function, __u64 result)
{
	struct libc_ref ref = {.r = r, .st = st};

	/*
	 * A name of one label may be asked for with a search domain behind it. Without a rule of its own it says
	 * nothing, and must not stand before what others know of the address.
	 */
	if (prepare_lesson(&r->lesson, &r->name, &r->match, st, LIBC_TTL))
		return -1;
	if (r->name.labels == 1 && !r->match.rule) {
		count(COUNT_LIBC_NO_NAME);
		return -1;
	}
	keep_name(&r->name, &r->lesson.learnt, bpf_get_current_uid_gid());
	if (function == LIBC_GETADDRINFO) {
		r->at = result;
		bpf_loop(LIBC_ENTRIES + 1, next_info, &ref, 0);
	} else if (bpf_probe_read_user(&r->host, sizeof(r->host), (void *)result)) {
		r->unreadable = 1;
	} else {
		r->at = r->host.list;
		r->family = r->host.family;
		bpf_loop(LIBC_ENTRIES + 1, next_host, &ref, 0);
	}
	count_list(r);
	return 0;
}

/* Where the result of a call is, 0 if it failed. */
static __always_inline __u64 result_of(const struct libc_call *call, __u64 returned)
{
	__u64 result = 0;

	if (!call->result)
		return returned;
	if ((__u32)returned)
		return 0;
	bpf_probe_read_user(&result, sizeof(result), (void *)call->result);
	return result;
}

/* A call has returned. */
static __always_inline void learn_call(struct libc_frame *frame, const struct libc_call *call, __u64 returned,
				       struct state *st)
{
	__u64 result = result_of(call, returned);
	struct libc_room *r;

	if (!result) {
		count(COUNT_LIBC_FAILED);
		return;
	}
	r = take_room(frame->thread);
	if (!r) {
		count(COUNT_LEARNT_LOST);
		return;
	}
	if (!read_name(r, call->name))
		learn_list(r, st, frame->function, result);
	bpf_map_delete_elem(&libc_rooms, &frame->thread);
}

#endif
