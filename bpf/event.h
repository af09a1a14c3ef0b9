/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Telling those who watch. Each has a ring buffer, a lease that it renews, and a count of what was lost to it. Whether
 * anybody does is one word of the state, which every program has in its hands anyway.
 */
#ifndef DR_EVENT_H
#define DR_EVENT_H

#include "counters.h"

#define WATCHERS_MASK ((1 << WATCHERS) - 1)

/* Who is to be told of something; `ruled`: it has to do with a rule. 0: nobody. */
static __always_inline __u32 told(const struct state *st, bool ruled)
{
	__u64 watching = *(volatile __u64 *)&st->watching;

	return (ruled ? watching : watching >> WATCHERS_ALL) & WATCHERS_MASK;
}

/*
 * Tells one watcher. Nobody is woken for each event: a reader that found nothing says that it sleeps, and after that the first
 * event wakes it. What wakes is a record of its own, since only after the event was committed is it known that the reader, who
 * looks again before it sleeps, may have missed it.
 */
static __always_inline bool tell_one(void *buffer, struct watcher *w, const struct event *e)
{
	void *nudge;

	if (bpf_ringbuf_output(buffer, (void *)e, sizeof(*e), BPF_RB_NO_WAKEUP)) {
		__sync_fetch_and_add(&w->lost, 1);
		count(COUNT_EVENT_LOST);
	}
	if (__sync_fetch_and_and(&w->asleep, 0)) {
		nudge = bpf_ringbuf_reserve(buffer, sizeof(__u64), 0);
		if (nudge)
			bpf_ringbuf_discard(nudge, BPF_RB_FORCE_WAKEUP);
	}
	return true;
}

/* Tells `who`, a bit for each watcher. Whose lease is over, or who has no buffer, is not told any more. */
__noinline int emit(struct event *e, __u32 who)
{
	struct state *st = get_state();

	if (!e || !st)
		return 0;
	e->time = bpf_ktime_get_boot_ns();
	for (__u32 i = 0; i < WATCHERS; i++) {
		__u32 at = i;
		struct watcher *w;
		void *buffer;

		if (!(who & 1 << i))
			continue;
		w = bpf_map_lookup_elem(&watchers, &at);
		if (!w)
			continue;
		buffer = bpf_map_lookup_elem(&buffers, &at);
		if (!buffer || e->time > *(volatile __u64 *)&w->lease)
			__sync_fetch_and_and(&st->watching, ~((1ULL | 1 << WATCHERS_ALL) << i));
		else
			tell_one(buffer, w, e);
	}
	return 0;
}

#endif
