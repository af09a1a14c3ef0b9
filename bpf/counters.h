/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
#ifndef DR_COUNTERS_H
#define DR_COUNTERS_H

#include "maps.h"

static __always_inline void count_n(enum counter which, __u64 n)
{
	__u32 i = which;
	__u64 *c = bpf_map_lookup_elem(&counters, &i);

	if (c)
		*c += n; /* per CPU; a count lost to preemption is a count lost */
}

static __always_inline void count(enum counter which)
{
	count_n(which, 1);
}

static __always_inline struct state *get_state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&states, &zero);
}

static __always_inline __u32 slot_of(__u64 active)
{
	return active & 0xff;
}

static __always_inline __u32 generation_of(__u64 active)
{
	return active >> 8;
}

#endif
