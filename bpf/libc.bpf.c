// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/* Entry points of the observer `libc`: at the beginning and the end of the functions that look names up. */
#include "libc.h"
#include "registers.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Where the function puts a pointer to its result, 0 if it returns it. */
static __always_inline __u64 result_argument(struct registers *ctx, __u64 function)
{
	__u64 fourth = ARGUMENT_4(ctx), fifth = ARGUMENT_5(ctx), sixth = ARGUMENT_6(ctx);

	/* Each at its own constant place: the verifier wants no computed one. */
	asm volatile("" : "+r"(fourth), "+r"(fifth), "+r"(sixth));
	if (function == LIBC_GETADDRINFO)
		return fourth;
	if (function == LIBC_GETHOSTBYNAME_R)
		return fifth;
	return function == LIBC_GETHOSTBYNAME2_R ? sixth : 0;
}

/* Links that were removed go on for a moment. */
static __always_inline bool observing(const struct state *st)
{
	return st && st->enabled && st->observers & OBSERVE_LIBC;
}

SEC("uprobe")
int libc_enter(struct registers *ctx)
{
	struct state *st = get_state();
	struct libc_frame frame = {};
	struct libc_call call = {};
	struct libc_thread *t;
	__u64 i;

	if (!observing(st))
		return 0;
	if (!in_cgroup(st->cgroup_id)) {
		count(COUNT_LIBC_OUTSIDE);
		return 0;
	}
	frame.thread = bpf_get_current_pid_tgid();
	frame.stack = STACK(ctx) + RETURN_ADDRESS;
	frame.function = bpf_get_attach_cookie(ctx);
	call.name = ARGUMENT_1(ctx);
	call.result = result_argument(ctx, frame.function);
	t = bpf_task_storage_get(&libc_calls, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!t) {
		count(COUNT_LEARNT_LOST);
		return 0;
	}
	i = t->next++ & (LIBC_DEPTH - 1);
	t->frames[i] = frame;
	t->calls[i] = call;
	return 0;
}

SEC("uretprobe")
int libc_return(struct registers *ctx)
{
	struct state *st = get_state();
	struct libc_frame frame = {};
	struct libc_call call = {};
	struct libc_thread *t;
	bool found = false;

	if (!observing(st))
		return 0;
	frame.thread = bpf_get_current_pid_tgid();
	frame.stack = STACK(ctx);
	frame.function = bpf_get_attach_cookie(ctx);
	t = bpf_task_storage_get(&libc_calls, bpf_get_current_task_btf(), 0, 0);
	if (!t)
		return 0;
	for (int i = 0; i < LIBC_DEPTH; i++) {
		struct libc_frame *f = &t->frames[i];

		if (f->thread == frame.thread && f->stack == frame.stack && f->function == frame.function) {
			call = t->calls[i];
			f->thread = 0;
			found = true;
		}
	}
	if (found)
		learn_call(frame.function, &call, RETURNED(ctx), st);
	return 0;
}
