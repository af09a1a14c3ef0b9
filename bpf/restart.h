/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * A system call that returns ERESTARTSYS is made again by the kernel, before the program sees it return, if
 * something waits for the task to come back from the kernel. From 6.18 on we can have something wait: task work. It
 * is queued by an interrupt of this CPU, that is before we go on; where it is not (PREEMPT_RT has a thread do it), or
 * where the kernel is older, the program gets EINTR.
 */
#ifndef DR_RESTART_H
#define DR_RESTART_H

#include "maps.h"
#include "task.h"

#define EINTR 4
#define ERESTARTSYS 512

#define RESTART_SLOTS \
	1024 /* tasks that are in this state at one moment; two in one slot: EINTR for the later */

/* As in the kernel's linux/bpf.h: the verifier knows it by this name. */
struct bpf_task_work {
	__u64 opaque;
} __attribute__((aligned(8)));

struct restart {
	struct bpf_task_work work;
};

/* Pinned as all: the kernel does no task work for a map that only programs hold. */
MAP(BPF_MAP_TYPE_ARRAY, restarts, __u32, struct restart, RESTART_SLOTS);

struct bpf_map {
	__u32 id;
};

/* Until 6.19 with one argument more, for the verifier's own use, and by another name; which is the loader's to know. */
#ifdef LATER_KERNEL
extern int bpf_task_work_schedule_signal(struct task_struct *task, struct bpf_task_work *work, void *map,
					 int (*callback)(struct bpf_map *map, void *key,
							 void *value)) __ksym __weak;
#define schedule_work bpf_task_work_schedule_signal
#define NO_MORE
#else
extern int bpf_task_work_schedule_signal_impl(struct task_struct *task, struct bpf_task_work *work, void *map,
					      int (*callback)(struct bpf_map *map, void *key, void *value),
					      void *aux) __ksym __weak;
#define schedule_work bpf_task_work_schedule_signal_impl
#define NO_MORE , 0
#endif

static int do_nothing(struct bpf_map *map, void *key, void *value)
{
	return 0;
}

/* The error with which a system call of the current task is refused so that it is made again. */
static __always_inline int again_error(void)
{
	__u32 slot = (__u32)bpf_get_current_pid_tgid() % RESTART_SLOTS;
	struct task_struct *task;
	struct restart *r;
	void *before;

	if (!schedule_work)
		return EINTR;
	r = bpf_map_lookup_elem(&restarts, &slot);
	if (!r)
		return EINTR;
	task = (struct task_struct *)bpf_get_current_task_btf();
	if (task->flags & PF_KTHREAD)
		return EINTR;
	before = *(void *volatile *)&task->task_works;
	if (schedule_work(task, &r->work, &restarts, do_nothing NO_MORE))
		return EINTR;
	return *(void *volatile *)&task->task_works == before ? EINTR : ERESTARTSYS;
}

#endif
