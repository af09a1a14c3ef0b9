/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* SipHash-2-4 (Aumasson and Bernstein, INDOCRYPT 2012), by words, for little-endian machines. */
#ifndef DR_SIPHASH_H
#define DR_SIPHASH_H

#include <linux/types.h>

struct sip {
	__u64 v0, v1, v2, v3;
};

/* One unaligned load, where the compiler would make eight: every machine we run on can. */
static __always_inline __u64 load_word(const void *at)
{
	__u64 word;

	asm volatile("%0 = *(u64 *)(%1 + 0)" : "=r"(word) : "r"(at) : "memory");
	return word;
}

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static __always_inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = ROTL(s->v1, 13) ^ s->v0;
	s->v0 = ROTL(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = ROTL(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = ROTL(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = ROTL(s->v1, 17) ^ s->v2;
	s->v2 = ROTL(s->v2, 32);
}

static __always_inline void sip_start(struct sip *s, const __u64 *key)
{
	s->v0 = key[0] ^ 0x736f6d6570736575ULL;
	s->v1 = key[1] ^ 0x646f72616e646f6dULL;
	s->v2 = key[0] ^ 0x6c7967656e657261ULL;
	s->v3 = key[1] ^ 0x7465646279746573ULL;
}

static __always_inline void sip_word(struct sip *s, __u64 m)
{
	s->v3 ^= m;
	sip_round(s);
	sip_round(s);
	s->v0 ^= m;
}

/* The low `n` bytes of a word, n below 8. */
static __always_inline __u64 low_bytes(__u64 word, __u32 n)
{
	return word & ((1ULL << (8 * (n & 7))) - 1);
}

/* tail: the last length % 8 bytes, already cut by low_bytes. */
static __always_inline __u64 sip_end(struct sip *s, __u64 tail, __u32 length)
{
	sip_word(s, tail | (__u64)length << 56);
	s->v2 ^= 0xff;
	sip_round(s);
	sip_round(s);
	sip_round(s);
	sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

#endif
