// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/* Entry points at connect, sendmsg and bind: note who asks DNS servers, and steer. */
#include "asker.h"
#include "datagram.h"
#include "steer.h"

#define IPPROTO_UDP 17

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline bool to_dns(struct bpf_sock_addr *ctx, const struct state *st)
{
	return ctx->user_port == bpf_htons(53) && st->observers & OBSERVE_SOCKETS;
}

static __always_inline int at_connect(struct bpf_sock_addr *ctx, const struct addr *to)
{
	struct state *st = get_state();

	if (!st || !st->enabled)
		return PASS;
	if (to_dns(ctx, st))
		note_asker(ctx, st, to, true);
	return steer(ctx, st, to);
}

static __always_inline int at_sendmsg(struct bpf_sock_addr *ctx, const struct addr *to)
{
	struct state *st = get_state();

	if (!st || !st->enabled)
		return PASS;
	if (to_dns(ctx, st))
		note_asker(ctx, st, to, false);
	return steer_datagram(ctx, st, to);
}

static __always_inline int at_bind(struct bpf_sock_addr *ctx)
{
	struct state *st = get_state();

	if (st && st->enabled && ctx->user_port && ctx->protocol == IPPROTO_UDP)
		note_port(ctx, st);
	return PASS;
}

static __always_inline void addr_from_v6(struct addr *a, struct bpf_sock_addr *ctx)
{
	a->w[0] = ctx->user_ip6[0];
	a->w[1] = ctx->user_ip6[1];
	a->w[2] = ctx->user_ip6[2];
	a->w[3] = ctx->user_ip6[3];
}

SEC("cgroup/connect4")
int steer_connect4(struct bpf_sock_addr *ctx)
{
	struct addr to;

	addr_from_v4(&to, ctx->user_ip4);
	return at_connect(ctx, &to);
}

SEC("cgroup/connect6")
int steer_connect6(struct bpf_sock_addr *ctx)
{
	struct addr to;

	addr_from_v6(&to, ctx);
	return at_connect(ctx, &to);
}

SEC("cgroup/sendmsg4")
int steer_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct addr to;

	addr_from_v4(&to, ctx->user_ip4);
	return at_sendmsg(ctx, &to);
}

SEC("cgroup/sendmsg6")
int steer_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct addr to;

	addr_from_v6(&to, ctx);
	return at_sendmsg(ctx, &to);
}

SEC("cgroup/bind4")
int steer_bind4(struct bpf_sock_addr *ctx)
{
	return at_bind(ctx);
}

SEC("cgroup/bind6")
int steer_bind6(struct bpf_sock_addr *ctx)
{
	return at_bind(ctx);
}
