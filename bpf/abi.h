/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What the programs and user space agree on. bpf2go turns every type named here into Go.
 * Any change of a size or a meaning is a change of LAYOUT.
 */
#ifndef DR_ABI_H
#define DR_ABI_H

#include <linux/types.h>

enum {
	LAYOUT = 4,           /* version of everything pinned */
	RULESET_SLOTS = 2,    /* the rule set in force, and the next one while it is built */
	MAX_TARGETS = 4096,   /* distinct targets; numbers go round, so that none is soon used again */
	MAX_CHAIN = 4,        /* interfaces in one target */
	MAX_NAMES = 4,        /* names kept for one address at one level */
	MAX_QUESTIONS = 64,   /* outstanding questions of one socket: c-ares asks dozens */
	MAX_OWN = 1024,       /* addresses of the host itself */
	HINT_WORDS = 1 << 14, /* 64 bits each: 2^20 bits, 128 KiB */
	IFNAME = 16,          /* IFNAMSIZ */
	COMM = 16,            /* TASK_COMM_LEN */
	VERSION_TEXT = 32,    /* bytes, with a zero byte at the end */
	WATCHERS = 4,         /* at a time */
	NAME_MAX_WIRE = 255,  /* RFC 1035 section 2.3.4 */
	MAX_LABELS = 128,     /* 127 of one byte fit into 255 bytes; a power of two to mask with */
	NAME_ROOM = 328,      /* a label's start, at most 255, and nine words on: no bound to check */
	CGROUP_PATH = 256,
	MAX_CHOICES = 16, /* conditions tried one after the other, for one name, prefix or the default */
	MAX_DEPTH = 32,   /* components of a condition's cgroup */
	LEAKS = 64,       /* that are listed; a power of two */
};

/* The one word per installation. `enabled` is the commit of start and stop, `active` that of a rule change. */
struct state {
	__u32 layout;    /* LAYOUT; first, so that any later version can read it */
	__u32 observers; /* enum observer, or-ed */
	__u64 enabled;   /* 0: every program returns at once */
	__u64 active;    /* generation << 8 | slot */
	__u64 staged;    /* not 0: a rule change is under way, hint at everything that is learnt */
	__u64 home;      /* cookie of the network namespace start ran in */
	__u64 key[2];    /* SipHash key of all names, secret, made by the first start */
	__u64 watching; /* a bit for each watcher with a lease, and WATCHERS_ALL up one if it wants every event; 0: nobody */
	__u64 history;   /* 0: names without a rule are not kept */
	__u64 crowded;   /* not 0: some user learnt more than a share, look into the crowd's maps too */
	__u64 cgroup_id; /* of the cgroup that the programs are attached to */
	__u64 top_id;    /* of the cgroup that is mounted: where the paths of conditions begin */
	__u64 audit;     /* not 0: look at connections that were not steered, see audit.h */
	__u64 started;   /* boot time in ns of the first start */
	__u8 version[VERSION_TEXT]; /* of the binary that loaded the programs */
	__u8 cgroup[CGROUP_PATH];
};

#define WATCHERS_ALL 8

enum observer { OBSERVE_SOCKETS = 1, OBSERVE_TC = 2, OBSERVE_TC_ALL = 4, OBSERVE_LIBC = 8 };

/*
 * Where rules lead, a "ref": 0 nowhere, a target's number, or with CHOICE set the index of a choice, which depends on the
 * task that connects.
 */
#define CHOICE 0x80000000u

/* In the ref of a learnt name that was matched again: by another rule than when it was learnt. */
#define OTHER_RULE 0x40000000u

/*
 * One rule set, beside its patterns, prefixes and choices (maps[slot]; the latter two are there if it has some) and its
 * text (a pin of its own, by generation).
 */
struct ruleset {
	__u32 default_ref; /* 0: no default rule */
	__u32 rules;
	__u32 prefixes; /* rules for addresses */
	__u32 pad;
	__u64 text_bytes; /* length of the compressed text */
	__u8 digest[32];  /* SHA-256 of the text */
};

/* Where the rules of one suffix lead: refs. */
struct suffix_targets {
	__u32 apex; /* the name is the suffix itself */
	__u32 sub;  /* the name is below it */
};

/* A range of addresses, for a map that finds the longest; IPv4 as ::ffff:a.b.c.d with 96 bits more. */
struct prefix {
	__u32 bits;
	__u8 addr[16];
};

/* Where the rules of one prefix lead. */
struct prefix_target {
	__u32 ref;
	__u32 pad;
	__u64 rule; /* a hash of the prefix, for hits and events */
};

/* A rule's condition, and where it leads if all of it holds for the task, and if not. */
struct choice {
	__u32 flags; /* enum condition, or-ed */
	__u32 uid;
	__u64 cgroup;    /* hash of its path, see choice.h */
	__u32 depth;     /* components of that path */
	__u32 then;      /* a target's number */
	__u32 otherwise; /* a ref */
	__u32 id;        /* a hash of the condition, not 0: the same in every rule set */
};

enum condition { IF_USER = 1, IF_CGROUP = 2 };

enum target_kind { TARGET_INTERFACE = 1, TARGET_DIRECT, TARGET_BLOCK, TARGET_MARK };
enum chain_end { END_BLOCK, END_DIRECT };

struct target {
	__u8 kind;   /* enum target_kind */
	__u8 end;    /* enum chain_end */
	__u8 length; /* of the chain */
	__u8 away;   /* no interface of the chain existed when it was tried last */
	__u32 mark;  /* TARGET_MARK */
	__u8 chain[MAX_CHAIN][IFNAME];
};

/*
 * Who learnt a name for which address. Levels: a process (pid and uid, so that a pid used again by another
 * user inherits nothing), a user (pid 0), the host (both 0, in maps of its own).
 */
struct scope {
	__u32 pid;
	__u32 uid;
	__u8 addr[16]; /* IPv4 as ::ffff:a.b.c.d */
};

struct learnt {
	__u64 name;  /* its hash; 0: nothing here */
	__u64 match; /* generation << 32 | ref: one word, so that it is never half written */
	__u64 rule;  /* hash of the suffix whose rule matched; 0: none */
	__u64 ends;  /* boot time in ns at which the TTL is over */
	__u64 seen;  /* boot time in ns of the latest answer */
};

struct learnt_set {
	__u64 sequence; /* odd while it is being written */
	struct learnt names[MAX_NAMES];
};

/* What one user, or a range of 2^16 user ids, has entered into the maps that all users share. */
struct share {
	__u64 epoch; /* in which it was counted: hours of boot time */
	__u32 ruled, plain, names;
	__u32 pad;
};

struct name {
	__u32 length; /* with the root's zero byte */
	__u32 labels;
	__u8 at[MAX_LABELS];  /* where each label starts: names are hashed from the right */
	__u8 wire[NAME_ROOM]; /* lower case */
};

/* A question that waits for its answer: the hash of server, id and question, and when it was asked. */
struct question {
	__u64 key;
	__u64 asked;
};

/* DNS over TCP: where the next message starts. */
struct stream {
	__u32 next;      /* sequence number of the next byte of a length, or of the header that follows it */
	__u32 expect;    /* sequence number that follows the last segment accepted */
	__u16 announced; /* the length, as far as it came */
	__u8 have;       /* bytes of it */
	__u8 known;
};

/* A socket of home that talks to port 53, and who does so by it. */
struct asker {
	__u32 pid;
	__u32 uid;
	__u8 server[16]; /* as the program asked for it, before any translation */
	__u32 head;
	__u32 pad;
	__u8 comm[COMM]; /* its name, if somebody watches */
	struct stream out, in;
	struct question questions[MAX_QUESTIONS];
};

/* What is known of a socket that we bound or marked, or that sends unconnected datagrams. */
struct steered {
	__u32 ifindex;     /* as we bound it; 0: we did not */
	__u32 mark;        /* as we marked it; 0: we did not */
	__u8 name[IFNAME]; /* of the binding, or with SENT_DIRECT the first of that chain */
	__u64 checked;     /* boot time in ns at which the name had that index */
	__u64 since;       /* boot time in ns at which it was bound or marked so */
	__u32 flags;       /* enum socket_flag, or-ed */
	__u32 former;      /* the mark before */
};

/* Why a datagram socket may have peers whose answers would vanish if it were bound. */
enum socket_flag {
	SENT_ELSEWHERE = 1, /* it sent unconnected to where it was not bound for */
	CHOSE_PORT = 2,     /* its program chose the port it is bound to */
	HEARD_FIRST = 4,    /* and somebody sent to that port before it sent anything */
	SENT_DIRECT = 8,    /* it sent by a chain that ends in direct, of which no interface existed */
};

struct hint {
	__u64 bits[HINT_WORDS];
};

/* How a rule was found. */
enum how { BY_NAME, BY_ADDRESS, BY_DEFAULT, BY_NAME_BELOW };

/*
 * What decided a connection: a rule is the hash of a suffix or prefix (0: the default), the condition that held, if any, and the
 * target, since the same suffix may also lead elsewhere.
 */
struct hit {
	__u64 rule;
	__u32 condition;
	__u16 target;
	__u16 how; /* enum how: BY_NAME the name is the suffix itself, BY_NAME_BELOW it is below it */
};

/* Who reads events, in memory of its own: a ring buffer in the same place of `buffers`. */
struct watcher {
	__u64 lease;  /* boot time in ns until which it is to be told */
	__u64 owner;  /* a random number, since another may take the place of one that was stopped for long */
	__u64 lost;   /* events for which there was no room */
	__u32 asleep; /* 1: wake it */
	__u32 pad;
};

enum event_source { FROM_VERDICT, FROM_SOCKETS, FROM_LIBC, FROM_TC, FROM_START, FROM_AUDIT };

/* What a watcher is told: a verdict, or an address that was learnt. */
struct event {
	__u64 time; /* boot time in ns */
	__u64 name; /* hash of the name that decides, or that was learnt; 0: none */
	__u64 rule; /* as in struct hit */
	__u32 generation;
	__u32 condition;
	__u32 target; /* a number; learnt: the ref */
	__u32 pid;    /* 0, and uid too: not known */
	__u32 uid;
	__u32 ifindex; /* the socket's binding */
	__u32 mark;    /* the socket's */
	__u32 ttl;     /* s */
	__u8 addr[16];
	__u8 comm[COMM];
	__u16 port;
	__u8 protocol;
	__u8 counter; /* enum counter */
	__u8 source;  /* enum event_source */
	__u8 how;     /* enum how */
	__u8 step;    /* place in the target's chain of the interface it is bound to */
	__u8 ruled;   /* a rule decides */
};

/* A connection that was not steered although its ClientHello names what has a rule. */
struct leak {
	__u64 number; /* from 1 on; 0: nothing here, or just being written */
	struct event event;
};

/* The latest leaks. */
struct leak_list {
	__u64 next; /* how many there were */
	struct leak last[LEAKS];
};

enum counter {
	/* verdicts at connect, and for each unconnected datagram */
	COUNT_UNKNOWN, /* no name with a rule was ever learnt for the address, nor is a rule for it */
	COUNT_NO_RULE, /* names known, the deciding one has no rule */
	COUNT_STEERED,
	COUNT_STEERED_BY_ADDRESS,
	COUNT_STEERED_BY_DEFAULT,
	COUNT_DIRECT,
	COUNT_MARKED,
	COUNT_BLOCKED,
	COUNT_NO_INTERFACE,   /* refused: no interface of the chain exists */
	COUNT_CHAIN_DIRECT,   /* no interface of the chain exists, and the chain ends in direct */
	COUNT_KEPT,           /* connected again, already where it should be */
	COUNT_KEPT_OLD,       /* connected again to an address without a rule, and may not be unbound */
	COUNT_REBIND_REFUSED, /* connected again to where another interface is due, and may not be moved */
	COUNT_BIND_FAILED,
	COUNT_LEFT_BOUND,    /* the program bound it itself */
	COUNT_LEFT_MARKED,   /* the program marked it itself */
	COUNT_LEFT_FOREIGN,  /* of another network namespace */
	COUNT_LEFT_LOCAL,    /* to loopback, link-local, multicast */
	COUNT_LEFT_OWN,      /* to an address of this host */
	COUNT_SHARED_SOCKET, /* a datagram refused: its socket has other peers */
	/* beside the verdict */
	COUNT_SEND_AGAIN, /* a datagram refused once, with EINTR: its socket was steered only now */
	COUNT_STRAGGLER,  /* a datagram dropped: another thread had its socket steered at that moment */
	COUNT_CONFLICT,   /* the names at the deciding level have different targets */
	/* instead of a verdict */
	COUNT_PROBE, /* a datagram socket connected only to see its source address: steered, but no connection */
	/* questions */
	COUNT_QUESTIONS,
	COUNT_QUESTION_REPEATED,
	COUNT_QUESTION_BAD,
	COUNT_QUESTION_FOREIGN,   /* asked from another network namespace */
	COUNT_QUESTION_DISPLACED, /* 64 were outstanding */
	COUNT_ASKER_NO_MEMORY,
	/* answers */
	COUNT_ANSWERS,         /* matched to a question and well formed */
	COUNT_ANSWER_UNASKED,  /* no such question outstanding, or answered before */
	COUNT_ANSWER_NOT_HOME, /* to a socket that is not of home, or that never asked by our hooks */
	COUNT_ANSWER_LATE,
	COUNT_ANSWER_SEQUENCE, /* TCP segment other than the expected one */
	COUNT_ANSWER_SHORT,
	COUNT_ANSWER_BAD_HEADER, /* not a response, or not a query's */
	COUNT_ANSWER_BAD_QUESTION,
	COUNT_ANSWER_RCODE,
	COUNT_ANSWER_EMPTY,
	COUNT_ANSWER_MALFORMED,
	COUNT_ANSWER_CUT_BYTES,     /* longer than 4 KiB */
	COUNT_ANSWER_CUT_RECORDS,   /* more than 64 records */
	COUNT_ANSWER_CUT_SEGMENT,   /* goes on in the next segment */
	COUNT_ANSWER_CUT_MESSAGES,  /* more than 8 messages in one segment */
	COUNT_ANSWER_CUT_ADDRESSES, /* more than 64 addresses */
	COUNT_RECORD_BAD,           /* A, AAAA, HTTPS or SVCB that is none, skipped */
	COUNT_ADDRESS_REFUSED,      /* loopback, unspecified, link-local, multicast */
	COUNT_LEARNT,               /* addresses under a name with a rule */
	COUNT_LEARNT_NO_RULE,
	COUNT_NOT_KEPT,    /* addresses under a name without a rule, with --history=no */
	COUNT_LEARNT_LOST, /* no room in the map, or its set was never free to write */
	/* calls of the C library */
	COUNT_LIBC_ANSWERS,    /* gave addresses that were learnt */
	COUNT_LIBC_FAILED,     /* gave none */
	COUNT_LIBC_NO_NAME,    /* asked for an address, or for nothing */
	COUNT_LIBC_BAD_NAME,   /* asked for what is no name */
	COUNT_LIBC_UNREADABLE, /* what it was asked or gave could not be read */
	COUNT_LIBC_OUTSIDE,    /* of a process outside of the cgroup */
	COUNT_LIBC_CUT,        /* gave more than 64 addresses */
	/* watching and counting */
	COUNT_EVENT_LOST, /* a watcher had no room for it */
	COUNT_HIT_LOST,   /* no room to count a rule's connection */
	/* connections that were not steered, as their ClientHello shows them */
	COUNT_AUDIT_HELLOS,    /* read */
	COUNT_AUDIT_LEAKED,    /* with the name of a rule that would have steered it */
	COUNT_AUDIT_NOT_DUE,   /* with the name of a rule that would not have */
	COUNT_AUDIT_NO_RULE,   /* with a name without a rule */
	COUNT_AUDIT_NO_NAME,   /* without a name */
	COUNT_AUDIT_BAD_NAME,  /* with a name that is none */
	COUNT_AUDIT_CUT,       /* goes on in another packet or record, or is longer than is read */
	COUNT_AUDIT_MALFORMED, /* does not hold what it announces */
	COUNT_AUDIT_NO_TLS,    /* to port 443, and none */
	COUNT_AUDIT_LOCAL,     /* to loopback or link-local */
	COUNT_AUDIT_FOREIGN,   /* of another network namespace */
	COUNT_AUDIT_NOBODY,    /* sent by no system call: nobody can be told */
	COUNT_AUDIT_BUSY,      /* not read: no room */
	COUNTERS,
};

#endif
