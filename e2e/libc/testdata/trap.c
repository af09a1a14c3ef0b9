/* SPDX-License-Identifier: MIT */
/* A library whose look-up begins with a breakpoint, where the kernel puts no probe. */
#if defined(__x86_64__)
#define BREAKPOINT "int3"
#else
#define BREAKPOINT "brk #0"
#endif

__asm__(".text\n.globl gethostbyname2\n.type gethostbyname2, %function\ngethostbyname2: " BREAKPOINT "\nret\n");

/* The client calls these. */
int getaddrinfo(void)
{
	return -1;
}

void *gethostbyname(void)
{
	return 0;
}
