/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Every map, its size and why. The loader raises the LRU sizes by 256 for each possible CPU. */
#ifndef DR_MAPS_H
#define DR_MAPS_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "abi.h"

#define MAP(kind, name, k, v, n)        \
	struct {                        \
		__uint(type, kind);     \
		__uint(max_entries, n); \
		__type(key, k);         \
		__type(value, v);       \
	} name SEC(".maps")

/* Mapped by user space too, which writes its commit words as single stores. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct state);
} states SEC(".maps");

MAP(BPF_MAP_TYPE_ARRAY, rulesets, __u32, struct ruleset, RULESET_SLOTS);
MAP(BPF_MAP_TYPE_ARRAY, targets, __u32, struct target, MAX_TARGETS);
MAP(BPF_MAP_TYPE_PERCPU_ARRAY, counters, enum counter, __u64, COUNTERS);

/* The patterns of a rule set, by the hash of the suffix. Each inner map is as large as its rule set. */
struct patterns {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u64));
	__uint(value_size, sizeof(struct suffix_targets));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, RULESET_SLOTS);
	__type(key, __u32);
	__array(values, struct patterns);
} rules SEC(".maps");

/* Its rules for addresses, likewise: a ref for each prefix. */
struct prefixes {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(struct prefix));
	__uint(value_size, sizeof(struct prefix_target));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, RULESET_SLOTS);
	__type(key, __u32);
	__array(values, struct prefixes);
} addresses SEC(".maps");

/* Its conditions. BPF_F_INNER_MAP: of any length. */
struct conditions {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct choice));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, RULESET_SLOTS);
	__type(key, __u32);
	__array(values, struct conditions);
} choices SEC(".maps");

/*
 * A bit for each bucket of addresses that a name with a rule was ever learnt for: clear means that there is
 * nothing to look up. Mapped by user space too, which sets bits while a rule change is under way.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hint);
} hints SEC(".maps");

/*
 * Names learnt for addresses. With a rule and without are kept apart, so that no flood of names without can
 * evict one with; so are the host's level and the others', so that no user can evict the host's.
 * 3,072 addresses by processes and users and 2,048 by the host are wanted: LRU maps get four times that.
 */
MAP(BPF_MAP_TYPE_LRU_HASH, users_ruled, struct scope, struct learnt_set, 12288);
MAP(BPF_MAP_TYPE_LRU_HASH, users_plain, struct scope, struct learnt_set, 12288);
MAP(BPF_MAP_TYPE_LRU_HASH, host_ruled, struct scope, struct learnt_set, 8192);
MAP(BPF_MAP_TYPE_LRU_HASH, host_plain, struct scope, struct learnt_set, 8192);

/*
 * Where those learn who have learnt more than a share of the maps that all users share: the crowd evicts each
 * other's, and nobody else's. shares has an entry for each user, or range of users, that learns at all.
 */
MAP(BPF_MAP_TYPE_LRU_HASH, crowd_ruled, struct scope, struct learnt_set, 4096);
MAP(BPF_MAP_TYPE_LRU_HASH, crowd_plain, struct scope, struct learnt_set, 4096);
MAP(BPF_MAP_TYPE_LRU_HASH, crowd_names, __u64, struct name, 2048);
MAP(BPF_MAP_TYPE_LRU_HASH, shares, __u32, struct share, 2048);

/* The names themselves, by hash: to match again after a rule change, and to show. */
MAP(BPF_MAP_TYPE_LRU_HASH, names_ruled, __u64, struct name, 8192);
MAP(BPF_MAP_TYPE_LRU_HASH, names_plain, __u64, struct name, 10240);

/* Filled by every command that runs. */
MAP(BPF_MAP_TYPE_HASH, own, __u8[16], __u8, MAX_OWN);

#define SOCKET_MAP(name, v)                            \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_SK_STORAGE); \
		__uint(map_flags, BPF_F_NO_PREALLOC);  \
		__type(key, int);                      \
		__type(value, v);                      \
	} name SEC(".maps")

SOCKET_MAP(askers, struct asker);
SOCKET_MAP(steered_sockets, struct steered);

/* Outstanding questions seen on an interface, where there is no socket to keep them with: 4,096 wanted. */
MAP(BPF_MAP_TYPE_LRU_HASH, questions, __u64, __u64, 16384);

/* Connections by the rule that decided. Elements are made as they are needed. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct hit);
	__type(value, __u64);
} hits SEC(".maps");

/* Mapped by those who watch: they renew their leases by single stores. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WATCHERS);
	__type(key, __u32);
	__type(value, struct watcher);
} watchers SEC(".maps");

/* Where they are told: each makes its own and puts it here, so that there is none while nobody watches. */
struct buffer {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, WATCHERS);
	__type(key, __u32);
	__array(values, struct buffer);
} buffers SEC(".maps");

/* The latest leaks; see audit.h. */
MAP(BPF_MAP_TYPE_ARRAY, leaks, __u32, struct leak_list, 1);

#endif
