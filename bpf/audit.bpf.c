// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/* Entry point of the audit: a program of its own, loaded and attached only where it is asked for. Never drops or changes a packet. */
#include "audit.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("cgroup_skb/egress")
int audit_egress(struct __sk_buff *skb)
{
	audit(skb);
	return 1;
}
