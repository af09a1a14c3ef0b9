/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Addresses: sixteen bytes, IPv4 as ::ffff:a.b.c.d, and the ranges that are special. */
#ifndef DR_ADDR_H
#define DR_ADDR_H

#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include "maps.h"

struct addr {
	union {
		__u8 b[16];
		__u32 w[4];
		__u64 d[2];
	};
};

static __always_inline void addr_from_v4(struct addr *a, __be32 v4)
{
	a->d[0] = 0;
	a->w[2] = bpf_htonl(0xffff);
	a->w[3] = v4;
}

static __always_inline bool addr_is_v4(const struct addr *a)
{
	return !a->d[0] && a->w[2] == bpf_htonl(0xffff);
}

static __always_inline bool in_v4(const struct addr *a, __u32 net, __u32 bits)
{
	return (bpf_ntohl(a->w[3]) >> (32 - bits)) == (net >> (32 - bits));
}

/* Loopback, unspecified, link-local, multicast, broadcast (RFC 6890): neither learnt nor steered. */
static __always_inline bool addr_is_local(const struct addr *a)
{
	if (addr_is_v4(a))
		return in_v4(a, 0x00000000, 8) || in_v4(a, 0x7f000000, 8) || in_v4(a, 0xa9fe0000, 16) ||
		       in_v4(a, 0xe0000000, 4) || a->w[3] == 0xffffffff;
	if (!a->d[0] && !a->w[2] && bpf_ntohl(a->w[3]) <= 1)
		return true;                                  /* ::, ::1 */
	return a->b[0] == 0xff ||                             /* ff00::/8 */
	       (a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80); /* fe80::/10 */
}

/* RFC 1918 and RFC 4193: left alone by the default rule only. */
static __always_inline bool addr_is_private(const struct addr *a)
{
	if (addr_is_v4(a))
		return in_v4(a, 0x0a000000, 8) || in_v4(a, 0xac100000, 12) || in_v4(a, 0xc0a80000, 16);
	return (a->b[0] & 0xfe) == 0xfc;
}

static __always_inline bool addr_is_own(const struct addr *a)
{
	return bpf_map_lookup_elem(&own, a->b);
}

/* Which of the 2^20 bits stands for an address. Keyed, so that nobody can aim at another's bit. */
static __always_inline __u32 hint_bit(const struct addr *a, const __u64 *key)
{
	__u64 x = (a->d[0] ^ key[0]) * 0x9e3779b97f4a7c15ULL;

	x ^= x >> 32;
	x = (x ^ a->d[1] ^ key[1]) * 0xd6e8feb86659fd93ULL;
	x ^= x >> 32;
	x *= 0x9e3779b97f4a7c15ULL;
	return x >> 44;
}

static __always_inline struct hint *get_hints(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&hints, &zero);
}

static __always_inline bool hinted(const struct addr *a, const __u64 *key)
{
	struct hint *h = get_hints();
	__u32 bit = hint_bit(a, key);

	return h && h->bits[(bit >> 6) & (HINT_WORDS - 1)] & (1ULL << (bit & 63));
}

static __always_inline void set_hint(const struct addr *a, const __u64 *key)
{
	struct hint *h = get_hints();
	__u32 bit = hint_bit(a, key);
	__u64 mask = 1ULL << (bit & 63);
	__u64 *word;

	if (!h)
		return;
	word = &h->bits[(bit >> 6) & (HINT_WORDS - 1)];
	if (!(*word & mask))
		__sync_fetch_and_or(word, mask);
}

#endif
