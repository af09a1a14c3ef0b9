/* SPDX-License-Identifier: MIT */
/*
 * client FUNCTION NAME PORT: looks a name up, then connects to each of its addresses by TCP, and prints one line for
 * each: the address, and what the server says it saw. Then "done", and again for each line of input.
 * "liar" for FUNCTION: no look-up at all, see hear_lies.
 * client cost NAME COUNT: looks a name up so often and prints the nanoseconds of CPU time that one took.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct found {
	int family;
	unsigned char bytes[16];
};

static struct found list[256];
static int count;

static void add(int family, const void *bytes, size_t size)
{
	struct found f = {.family = family};

	memcpy(f.bytes, bytes, size);
	for (int i = 0; i < count; i++)
		if (list[i].family == family && !memcmp(list[i].bytes, f.bytes, 16))
			return;
	if (count < 256)
		list[count++] = f;
}

static void add_host(const struct hostent *h)
{
	for (char **a = h ? h->h_addr_list : NULL; a && *a; a++)
		add(h->h_addrtype, *a, h->h_length);
}

static void add_infos(const char *name)
{
	struct addrinfo *all = NULL;

	if (getaddrinfo(name, NULL, NULL, &all))
		return;
	for (struct addrinfo *a = all; a; a = a->ai_next) {
		if (a->ai_family == AF_INET)
			add(AF_INET, &((struct sockaddr_in *)a->ai_addr)->sin_addr, 4);
		else if (a->ai_family == AF_INET6)
			add(AF_INET6, &((struct sockaddr_in6 *)a->ai_addr)->sin6_addr, 16);
	}
	freeaddrinfo(all);
}

/* Has the library at $LIAR lie in all its ways, about names and about what is none. */
static void hear_lies(const char *name)
{
	static char room[5000], *names[4];
	void *liar = dlopen(getenv("LIAR"), RTLD_NOW);
	int (*lie)(const char *, const char *, void *, void **) = liar ? dlsym(liar, "getaddrinfo") : NULL;
	void *(*by_name)(const char *) = liar ? dlsym(liar, "gethostbyname") : NULL;
	void *result;

	if (!lie || !by_name) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	memset(room, 'a', sizeof(room) - 1);
	names[0] = (char *)name;
	names[1] = room;
	names[2] = ".";
	names[3] = "a..b";
	for (int i = 0; i < 4; i++)
		for (char way[2] = "0"; way[0] <= '5'; way[0]++)
			lie(names[i], way, NULL, &result);
	lie((char *)8, "0", NULL, &result);
	by_name(name);
}

static void look_up(const char *function, const char *name)
{
	static char room[8192];
	struct hostent into, *result = NULL;
	int error;

	if (!strcmp(function, "liar")) {
		hear_lies(name);
	} else if (!strcmp(function, "getaddrinfo")) {
		add_infos(name);
	} else if (!strcmp(function, "gethostbyname")) {
		add_host(gethostbyname(name));
	} else if (!strcmp(function, "gethostbyname2")) {
		add_host(gethostbyname2(name, AF_INET));
		add_host(gethostbyname2(name, AF_INET6));
	} else if (!strcmp(function, "gethostbyname_r")) {
		if (!gethostbyname_r(name, &into, room, sizeof(room), &result, &error))
			add_host(result);
	} else if (!strcmp(function, "gethostbyname2_r")) {
		for (int i = 0; i < 2; i++)
			if (!gethostbyname2_r(name, i ? AF_INET6 : AF_INET, &into, room, sizeof(room), &result, &error))
				add_host(result);
	}
}

static void visit(const struct found *f, int port)
{
	struct timeval patience = {.tv_sec = 5};
	struct linger at_once = {.l_onoff = 1};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	char text[64], seen[256];
	ssize_t n;
	int s = socket(f->family, SOCK_STREAM, 0), bad;

	memcpy(&v4.sin_addr, f->bytes, 4);
	memcpy(&v6.sin6_addr, f->bytes, 16);
	inet_ntop(f->family, f->bytes, text, sizeof(text));
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (f->family == AF_INET)
		bad = connect(s, (struct sockaddr *)&v4, sizeof(v4));
	else
		bad = connect(s, (struct sockaddr *)&v6, sizeof(v6));
	n = bad ? -1 : read(s, seen, sizeof(seen) - 1);
	if (n < 0)
		printf("%s error %s\n", text, strerror(errno));
	else
		printf("%s %.*s\n", text, (int)strcspn(seen, "\n"), seen);
	/* By a reset: over IPv6 the last word of a connection closed in order may go by the routing table (see README). */
	setsockopt(s, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(s);
}

static int cost(const char *name, long times)
{
	struct timespec a, b;

	for (long i = 0; i < times / 10; i++)
		add_infos(name);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (long i = 0; i < times; i++)
		add_infos(name);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	printf("%.0f\n", ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / times);
	return 0;
}

int main(int argc, char **argv)
{
	char line[256];

	if (argc != 4)
		return 2;
	if (!strcmp(argv[1], "cost"))
		return cost(argv[2], atol(argv[3]));
	do {
		look_up(argv[1], argv[2]);
		for (int i = 0; i < count; i++)
			visit(&list[i], atoi(argv[3]));
		puts("done");
		fflush(stdout);
	} while (fgets(line, sizeof(line), stdin));
	return 0;
}
