/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* A call of the C library under way, and where a program works when it returns. */
#ifndef DR_LIBC_ROOM_H
#define DR_LIBC_ROOM_H

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

#define TASK_MAP(name, v)                                \
	struct {                                         \
		__uint(type, BPF_MAP_TYPE_TASK_STORAGE); \
		__uint(map_flags, BPF_F_NO_PREALLOC);    \
		__type(key, int);                        \
		__type(value, v);                        \
	} name SEC(".maps")

#define LIBC_DEPTH 8 /* calls of one thread under way: one in another, or left by longjmp */

/* With the thread, so that nobody can push another's calls out; gone with it. */
struct libc_thread {
	struct libc_frame frames[LIBC_DEPTH];
	struct libc_call calls[LIBC_DEPTH];
	__u64 next;
};

TASK_MAP(libc_calls, struct libc_thread);

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
	struct event event;
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

/* Taken and given back by one run of a program. The thread's, since such programs may be preempted. */
TASK_MAP(libc_rooms, struct libc_room);

struct libc_ref {
	struct libc_room *r;
	struct state *st;
};

static __always_inline struct libc_room *take_room(void)
{
	return bpf_task_storage_get(&libc_rooms, bpf_get_current_task_btf(), 0,
				    BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline void leave_room(void)
{
	bpf_task_storage_delete(&libc_rooms, bpf_get_current_task_btf());
}

#endif
