/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Rules with conditions: whether they hold for the calling task. A cgroup is told by its path, since a unit that is
 * restarted gets another cgroup, by another id, and a rule may be older than the cgroup. The path's hash is chained
 * component by component from the top: h(nothing) = 0, h(path/component) = SipHash(h(path), component).
 */
#ifndef DR_CHOICE_H
#define DR_CHOICE_H

#include "counters.h"
#include "siphash.h"
#include "task.h"

#define WORDS 4    /* of 8 bytes, read at once: most names need no more */
#define CHUNKS 8   /* up to NAME_MAX, 255 bytes */
#define MAX_TOP 32 /* how deep the mounted cgroup is looked for */
#define NO_LEVEL ~0u

/* One component more: `name` is where the kernel has it. */
__noinline __u64 hash_component(__u64 hash, __u64 name)
{
	struct state *st = get_state();
	__u64 words[WORDS + 1];
	__u32 length = sizeof(hash);
	struct sip s;

	if (!st)
		return 0;
	sip_start(&s, st->key);
	sip_word(&s, hash);
	for (int i = 0; i < CHUNKS; i++) {
		__builtin_memset(words, 0, sizeof(words));
		if (bpf_probe_read_kernel_str(words, sizeof(__u64) * WORDS + 1, (void *)name) < 0)
			return 0;
		for (int k = 0; k < WORDS; k++) {
			__u64 word = words[k];
			__u32 bytes = 0;

			if (word >> 56) {
				sip_word(&s, word);
				length += sizeof(word);
				continue;
			}
			while (bytes < 7 && word >> (8 * bytes) & 0xff)
				bytes++;
			return sip_end(&s, word, length + bytes);
		}
		name += sizeof(__u64) * WORDS;
	}
	return 0;
}

#define READ(from)                                                       \
	({                                                               \
		typeof(from) value_ = 0;                                 \
		bpf_probe_read_kernel(&value_, sizeof(value_), &(from)); \
		value_;                                                  \
	})

/* The level of the cgroup that is mounted, above the calling task's, or that one itself. */
__noinline __u32 top_level(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct cgroup *own = READ(task->cgroups->dfl_cgrp), *at;
	struct state *st = get_state();
	int levels = READ(own->level);

	if (!st)
		return NO_LEVEL;
	for (__u32 level = 0; level < MAX_TOP; level++) {
		if ((int)level > levels)
			break;
		at = READ(own->ancestors[level]);
		if (READ(READ(at->kn)->id) == st->top_id)
			return level;
	}
	return NO_LEVEL;
}

/* The hash of the first `depth` components of the path of the calling task's cgroup; 0: it has not as many. */
__noinline __u64 cgroup_path(__u32 depth)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task_btf();
	struct cgroup *own = READ(task->cgroups->dfl_cgrp), *at;
	__u32 top = top_level();
	__u64 hash = 0;

	if (top >= MAX_TOP || !depth || depth > MAX_DEPTH || READ(own->level) < (int)(top + depth))
		return 0;
	for (__u32 i = 1; i <= MAX_DEPTH; i++) {
		if (i > depth)
			break;
		at = READ(own->ancestors[top + i]);
		hash = hash_component(hash, (__u64)READ(READ(at->kn)->name));
	}
	return hash;
}

/* Where a ref leads: a target's number, and the id of the condition that made it so (0: none). */
static __always_inline __u64 led_to(__u32 target, __u32 condition)
{
	return (__u64)condition << 32 | target;
}

/*
 * Where a ref leads for the calling task, which is of user `uid`. A choice that is not there is of a rule set that is gone.
 */
__noinline __u64 resolve(__u32 ref, __u32 slot, __u32 uid)
{
	void *conditions = bpf_map_lookup_elem(&choices, &slot);
	__u64 hash = 0;
	__u32 depth = 0;

	if (!conditions)
		return 0;
	for (int i = 0; i < MAX_CHOICES; i++) {
		__u32 index = ref & ~CHOICE;
		struct choice *c;
		bool holds;

		if (!(ref & CHOICE))
			return ref;
		c = bpf_map_lookup_elem(conditions, &index);
		if (!c)
			return 0;
		holds = !(c->flags & IF_USER) || c->uid == uid;
		if (holds && c->flags & IF_CGROUP) {
			if (c->depth != depth) {
				depth = c->depth;
				hash = cgroup_path(depth);
			}
			holds = hash == c->cgroup;
		}
		if (holds)
			return led_to(c->then, c->id);
		ref = c->otherwise;
	}
	return ref & CHOICE ? 0 : ref;
}

static __always_inline __u64 target_of(__u32 ref, __u32 slot)
{
	return ref & CHOICE ? resolve(ref, slot, bpf_get_current_uid_gid()) : ref;
}

#endif
