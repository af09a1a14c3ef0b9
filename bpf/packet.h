/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Where the DNS payload of a packet lies, and between whom it goes. */
#ifndef DR_PACKET_H
#define DR_PACKET_H

#include "addr.h"

#define PROTO_TCP 6
#define PROTO_UDP 17
#define DNS_PORT 53

struct packet {
	struct addr src, dst;
	__u16 sport, dport; /* host order */
	__u32 proto;
	__u32 offset;   /* of the payload, from skb->data */
	__u32 length;   /* of the payload */
	__u32 sequence; /* TCP */
};

struct ip4 {
	__u8 version_ihl, tos;
	__be16 total;
	__be16 id, fragment;
	__u8 ttl, proto;
	__be16 check;
	__be32 src, dst;
};

struct ip6 {
	__be32 flow;
	__be16 payload;
	__u8 next, hops;
	struct addr src, dst;
};

struct tcp_head {
	__be16 sport, dport;
	__be32 sequence, ack;
	__u8 offset, flags;
};

/*
 * The test that every packet of every socket goes through: is the port 53? The headers are linear in both
 * cgroup_skb hooks, the rest is not. DNS behind IPv6 extension headers is not seen.
 */
static __always_inline bool is_dns(struct __sk_buff *skb, __u32 port_at)
{
	__u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u8 proto, *l4;

	if (data + 40 > end) {
		if (data + 28 > end)
			return false;
		if (data[0] != 0x45)
			return false; /* no IPv6, no options: nothing that fits */
	}
	if (data[0] >> 4 == 4) {
		proto = data[9];
		l4 = data + (data[0] & 0xf) * 4;
	} else {
		if (data + 48 > end)
			return false;
		proto = data[6];
		l4 = data + 40;
	}
	if (proto != PROTO_UDP && proto != PROTO_TCP)
		return false;
	if (l4 + 4 > end)
		return false;
	return *(__be16 *)(l4 + port_at) == bpf_htons(DNS_PORT);
}

static __always_inline int locate_ip(struct __sk_buff *skb, __u32 at, struct packet *p, __u32 *end)
{
	union {
		struct ip4 v4;
		struct ip6 v6;
	} ip;

	if (bpf_skb_load_bytes(skb, at, &ip.v4, sizeof(ip.v4)))
		return -1;
	if (ip.v4.version_ihl >> 4 == 4) {
		if (ip.v4.fragment & bpf_htons(0x1fff))
			return -1;
		addr_from_v4(&p->src, ip.v4.src);
		addr_from_v4(&p->dst, ip.v4.dst);
		p->proto = ip.v4.proto;
		p->offset = at + (ip.v4.version_ihl & 0xf) * 4;
		*end = at + bpf_ntohs(ip.v4.total);
		return 0;
	}
	if (ip.v4.version_ihl >> 4 != 6 || bpf_skb_load_bytes(skb, at, &ip.v6, sizeof(ip.v6)))
		return -1;
	p->src = ip.v6.src;
	p->dst = ip.v6.dst;
	p->proto = ip.v6.next;
	p->offset = at + sizeof(ip.v6);
	*end = p->offset + bpf_ntohs(ip.v6.payload);
	return 0;
}

/* at: where the IP header starts. 0, or -1 for what is neither UDP nor TCP. */
static __always_inline int locate(struct __sk_buff *skb, __u32 at, struct packet *p)
{
	__u32 end;

	if (locate_ip(skb, at, p, &end))
		return -1;
	if (p->proto == PROTO_UDP) {
		__be16 udp[4];

		if (bpf_skb_load_bytes(skb, p->offset, udp, sizeof(udp)))
			return -1;
		p->sport = bpf_ntohs(udp[0]);
		p->dport = bpf_ntohs(udp[1]);
		p->offset += sizeof(udp);
	} else if (p->proto == PROTO_TCP) {
		struct tcp_head tcp;

		if (bpf_skb_load_bytes(skb, p->offset, &tcp, sizeof(tcp)))
			return -1;
		p->sport = bpf_ntohs(tcp.sport);
		p->dport = bpf_ntohs(tcp.dport);
		p->sequence = bpf_ntohl(tcp.sequence);
		p->offset += (tcp.offset >> 4) * 4;
	} else {
		return -1;
	}
	/* The IP length is 0 in packets merged beyond 64 KiB, and link padding may follow the packet. */
	if (end <= at || end > skb->len)
		end = skb->len;
	p->length = end > p->offset ? end - p->offset : 0;
	return 0;
}

#endif
