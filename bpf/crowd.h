/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * No user may evict what others learnt. Who has entered more than a share within an hour is of the crowd: what comes on
 * top goes into maps of the crowd's own. An hour is how long evidence counts past its TTL.
 */
#ifndef DR_CROWD_H
#define DR_CROWD_H

#include "counters.h"

#define HOUR 3600000000000ULL
#define SHARE_ENTRIES 1536 /* an eighth of users_ruled and users_plain */
#define SHARE_NAMES 1024   /* an eighth of names_ruled */
#define SINGLE_UIDS 60000  /* above: dynamic users and sub-ids, of which one user may have 65,536 */

static __always_inline struct share *share_of(__u32 uid)
{
	__u32 who = uid < SINGLE_UIDS ? uid : SINGLE_UIDS + (uid >> 16);
	struct share *s = bpf_map_lookup_elem(&shares, &who), fresh = {};
	__u64 epoch = bpf_ktime_get_boot_ns() / HOUR;

	if (!s) {
		fresh.epoch = epoch;
		bpf_map_update_elem(&shares, &who, &fresh, BPF_NOEXIST);
		s = bpf_map_lookup_elem(&shares, &who);
	}
	/* Two CPUs that start an epoch at once may count a few entries too few. */
	if (s && s->epoch != epoch) {
		s->epoch = epoch;
		s->ruled = s->plain = s->names = 0;
	}
	return s;
}

/* Counts one entry that is new. False: it is for the crowd. */
#define CHARGE(uid, what, most)                                           \
	({                                                                \
		struct share *share_ = share_of(uid);                     \
                                                                          \
		share_ &&__sync_fetch_and_add(&share_->what, 1) < (most); \
	})

/* From now on connect has to look there, too. */
static __always_inline void join_crowd(void)
{
	struct state *st = get_state();

	if (st && !st->crowded)
		st->crowded = 1;
}

#endif
