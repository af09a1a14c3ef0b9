/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
#ifndef DR_TASK_H
#define DR_TASK_H

/* What we look at of the kernel's; the loader finds where it is. */
struct task_struct {
	unsigned int flags;
	int tgid;
	struct task_struct *real_parent;
	void *task_works; /* what waits for its return from the kernel */
} __attribute__((preserve_access_index));

#endif
