/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What commands do to the evidence. Programs do it, not the system calls on maps: only they take the lock of a set,
 * which others learn into at the same time.
 */
#ifndef DR_CHORES_H
#define DR_CHORES_H

#include "learn.h"

#define CHORE_AT 14 /* BPF_PROG_TEST_RUN wants an Ethernet header; ours is zeros */

enum chore_map { USERS_RULED, USERS_PLAIN, HOST_RULED, HOST_PLAIN, CROWD_RULED, CROWD_PLAIN };

/* One name to forget for one address and whom it counts for. */
struct forget_order {
	__u32 map; /* enum chore_map */
	__u32 pad;
	__u64 name;
	__u64 until; /* boot time in ns: what was seen later stays */
	struct scope scope;
};

enum forgotten { NOT_THERE, FORGOT, LOCKED };

/* Takes the name out of a set whose lock is held. Returns how many names are left, or -1 if it was not there. */
__noinline int take_out(struct learnt_set *set, const struct forget_order *o)
{
	int left = 0, found = 0;

	if (!set || !o)
		return -1;
	for (__u32 i = 0; i < MAX_NAMES; i++) {
		struct learnt *l = &set->names[i];

		if (l->name == o->name && l->name && l->seen <= o->until) {
			__builtin_memset(l, 0, sizeof(*l));
			found = 1;
		}
		left += l->name != 0;
	}
	return found ? left : -1;
}

/*
 * A set without names goes, since its key would tell the address still. It goes while it is locked: a learner that
 * found it before waits, and then sees that it is not the map's any more, so that its name goes into a new set; one
 * that comes later finds none. Nothing that is learnt meanwhile is lost, or left where no look-up finds it. If the map
 * evicts the set and learns the same address anew between look and delete, that one name is lost, as in any
 * eviction. If a softirq interrupts us here (BPF_PROG_TEST_RUN does not keep it off on all kernels) and wants this
 * set, it gives up, and counts it.
 */
#define FORGET(which, o)                                                            \
	({                                                                          \
		struct learnt_set *set_ = bpf_map_lookup_elem(&which, &(o)->scope); \
		int left_ = -1, done_ = NOT_THERE;                                  \
		__u64 held_ = set_ ? lock_set(set_) : 0;                            \
                                                                                    \
		if (set_ && !held_)                                                 \
			done_ = LOCKED;                                             \
		if (held_ && set_) {                                                \
			if (bpf_map_lookup_elem(&which, &(o)->scope) == set_)       \
				left_ = take_out(set_, o);                          \
			if (!left_)                                                 \
				bpf_map_delete_elem(&which, &(o)->scope);           \
			if (left_ >= 0)                                             \
				done_ = FORGOT;                                     \
			write_unlock(set_, held_);                                  \
		}                                                                   \
		done_;                                                              \
	})

#endif
