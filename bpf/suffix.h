/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Names against suffix rules. The hash of a name is chained label by label from the right:
 * h(root) = 0, h(label.rest) = SipHash(h(rest), label), so that one pass over a name yields the hash of
 * every suffix. The longest few are looked up last, and only until one has a rule.
 */
#ifndef DR_SUFFIX_H
#define DR_SUFFIX_H

#include "counters.h"
#include "siphash.h"

struct match {
	__u64 name; /* hash of the whole name */
	__u64 rule; /* hash of the suffix that matched, 0: none did */
	__u32 ref;
	__u32 pad;
};

#define TAIL 4 /* of a name's longest suffixes: most names have no more, but for a top-level domain */

struct label_walk {
	const struct name *name;
	const struct state *state;
	__u64 hash;
	__u64 tail[TAIL]; /* the hashes of the longest suffixes, by their number of labels modulo TAIL */
	__u64 rule;
	__u32 ref;
	__u32 slot;
	__u32 labels;
};

/* Whether a suffix has a rule for the name, which is the suffix itself (`whole`) or below it. */
static __always_inline bool match_suffix(void *patterns, __u64 hash, bool whole, struct label_walk *w)
{
	struct suffix_targets *t = bpf_map_lookup_elem(patterns, &hash);
	__u32 ref;

	if (!t)
		return false;
	ref = whole ? t->apex : t->sub;
	if (!ref)
		return false;
	w->ref = ref;
	w->rule = hash;
	return true;
}

static long add_label(__u32 i, struct label_walk *w)
{
	__u64 at = w->name->at[(w->labels - 1 - i) & (MAX_LABELS - 1)];
	__u32 length = w->name->wire[at];
	__u64 left = length;
	__u32 slot = w->slot;
	void *patterns;
	struct sip s;

	if (!length || length > 63)
		return 1;
	at++;
	sip_start(&s, w->state->key);
	sip_word(&s, w->hash);
	for (int k = 0; k < 8; k++) {
		if (left < 8)
			break;
		sip_word(&s, load_word(&w->name->wire[at]));
		at += 8;
		left -= 8;
	}
	w->hash = sip_end(&s, low_bytes(load_word(&w->name->wire[at]), left), length + 8);
	if (!w->hash)
		w->hash = 1;
	w->tail[i & (TAIL - 1)] = w->hash;
	if (i + TAIL >= w->labels)
		return 0;
	patterns = bpf_map_lookup_elem(&rules, &slot);
	if (patterns)
		match_suffix(patterns, w->hash, false, w);
	return 0;
}

/* The longest suffix with a rule: from the whole name on, so that those below it are not looked up. */
static __always_inline void match_tail(struct label_walk *w)
{
	__u32 slot = w->slot;
	void *patterns = bpf_map_lookup_elem(&rules, &slot);

	if (!patterns)
		return;
	for (__u32 k = 0; k < TAIL; k++) {
		if (k >= w->labels ||
		    match_suffix(patterns, w->tail[(w->labels - 1 - k) & (TAIL - 1)], k == 0, w))
			break;
	}
}

/* Hashes a name and finds its rule in the rule set of `slot`. Returns 0, or -1 for a name that is none. */
__noinline int match_name(const struct name *name, __u32 slot, struct match *m)
{
	struct label_walk w = {.name = name, .state = get_state(), .slot = slot};

	if (!name || !m || !w.state || name->labels >= MAX_LABELS)
		return -1;
	w.labels = name->labels;
	bpf_loop(w.labels, add_label, &w, 0);
	match_tail(&w);
	m->name = w.hash;
	m->rule = w.rule;
	m->ref = w.ref;
	return 0;
}

/* The fallback for a learnt name whose text was evicted: what the rule that matched it before says now. */
static __always_inline __u32 ref_of_rule(__u64 rule, __u64 name, __u32 slot)
{
	struct suffix_targets *t;
	void *patterns;

	if (!rule)
		return 0;
	patterns = bpf_map_lookup_elem(&rules, &slot);
	if (!patterns)
		return 0;
	t = bpf_map_lookup_elem(patterns, &rule);
	if (!t)
		return 0;
	return name == rule ? t->apex : t->sub;
}

#endif
