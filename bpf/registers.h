/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The registers that a function of a program is called with and returns with; 64 bits, System V and AAPCS64. */
#ifndef DR_REGISTERS_H
#define DR_REGISTERS_H

#include <linux/types.h>

#if defined(__TARGET_ARCH_x86)
/* As the kernel saves them: struct pt_regs in arch/x86/include/asm/ptrace.h. */
struct registers {
	__u64 r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp,
		ss;
};
#define ARGUMENT_1(r) ((r)->di)
#define ARGUMENT_4(r) ((r)->cx)
#define ARGUMENT_5(r) ((r)->r8)
#define ARGUMENT_6(r) ((r)->r9)
#define RETURNED(r) ((r)->ax)
#define STACK(r) ((r)->sp)
#define RETURN_ADDRESS 8 /* bytes on the stack that a return takes away */
#elif defined(__TARGET_ARCH_arm64)
/* What a struct pt_regs begins with: struct user_pt_regs in arch/arm64/include/uapi/asm/ptrace.h. */
struct registers {
	__u64 regs[31];
	__u64 sp, pc, pstate;
};
#define ARGUMENT_1(r) ((r)->regs[0])
#define ARGUMENT_4(r) ((r)->regs[3])
#define ARGUMENT_5(r) ((r)->regs[4])
#define ARGUMENT_6(r) ((r)->regs[5])
#define RETURNED(r) ((r)->regs[0])
#define STACK(r) ((r)->sp)
#define RETURN_ADDRESS 0
#else
#error "no registers known for this machine"
#endif

#endif
