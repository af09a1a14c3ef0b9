/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
#ifndef DR_TASK_H
#define DR_TASK_H

#define IN_KERNEL __attribute__((preserve_access_index))

#define PF_KTHREAD 0x00200000 /* a kernel's own thread: it never returns from the kernel */

/* What we look at of the kernel's; the loader finds where it is. */
struct kernfs_node {
	const char *name; /* the path's last component */
	__u64 id;
} IN_KERNEL;

struct cgroup {
	int level; /* 0: the root */
	struct kernfs_node *kn;
	struct cgroup *ancestors[]; /* by level, itself last */
} IN_KERNEL;

struct css_set {
	struct cgroup *dfl_cgrp; /* in the hierarchy of version 2 */
} IN_KERNEL;

struct cred {
	struct {
		unsigned int val;
	} uid;
} IN_KERNEL;

struct task_struct {
	unsigned int flags;
	int tgid;
	struct task_struct *real_parent;
	void *task_works; /* what waits for its return from the kernel */
	struct css_set *cgroups;
	const struct cred *cred;
	char comm[16];
} IN_KERNEL;

struct net {
	__u64 net_cookie;
} IN_KERNEL;

struct sock_common {
	struct {
		struct net *net;
	} skc_net;
} IN_KERNEL;

struct sock {
	struct sock_common __sk_common;
	struct {
		int owned; /* by a system call */
	} sk_lock;
} IN_KERNEL;

#endif
