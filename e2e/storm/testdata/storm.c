/* SPDX-License-Identifier: MIT */
/*
 * storm MODE FAMILY PORT STOP NAME...: visits the names in turn until the file STOP exists, then prints how often
 * which end came, as "COUNT END": ok, timeout, closed, resolve, or an error number's.
 *
 * MODE: tcp, udp (connected), sendto (a socket for each datagram), keep (one unconnected socket until it fails).
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ENDS 256 /* error numbers are below; the four words come after */
enum { OK = ENDS, TIMEOUT, CLOSED, RESOLVE, ALL };

static int counts[ALL];
static int kept = -1;

static int end_of(int error)
{
	return error == EAGAIN || error == EINPROGRESS ? TIMEOUT : error;
}

static int open_socket(const struct addrinfo *a, long ms)
{
	struct timeval patience = { ms / 1000, ms % 1000 * 1000 };
	int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	return fd;
}

static int reply(int fd)
{
	char b[256];
	ssize_t n = recv(fd, b, sizeof(b), 0);

	return n < 0 ? end_of(errno) : n ? OK : CLOSED;
}

static int connected(const struct addrinfo *a)
{
	int tcp = a->ai_socktype == SOCK_STREAM, end;
	int fd = open_socket(a, tcp ? 1000 : 300);

	if (connect(fd, a->ai_addr, a->ai_addrlen))
		end = end_of(errno);
	else if (!tcp && send(fd, "x", 1, MSG_NOSIGNAL) < 0)
		end = end_of(errno);
	else
		end = reply(fd);
	close(fd);
	return end;
}

static int unconnected(const struct addrinfo *a, int keep)
{
	int fd = keep && kept >= 0 ? kept : open_socket(a, 300), tries = 0, end;
	ssize_t n;

	do
		n = sendto(fd, "x", 1, MSG_NOSIGNAL, a->ai_addr, a->ai_addrlen);
	while (n < 0 && errno == EINTR && ++tries < 16);
	end = n < 0 ? end_of(errno) : reply(fd);
	kept = keep && end == OK ? fd : -1;
	if (kept < 0)
		close(fd);
	return end;
}

static int visit(const char *mode, int family, const char *port, const char *name)
{
	int tcp = !strcmp(mode, "tcp"), end;
	struct addrinfo hints = { .ai_family = family, .ai_socktype = tcp ? SOCK_STREAM : SOCK_DGRAM }, *list;

	if (getaddrinfo(name, port, &hints, &list))
		return RESOLVE;
	end = tcp || !strcmp(mode, "udp") ? connected(list) : unconnected(list, !strcmp(mode, "keep"));
	freeaddrinfo(list);
	return end;
}

static void report(void)
{
	static const char *words[] = { "ok", "timeout", "closed", "resolve" };

	for (int i = 0; i < ALL; i++)
		if (counts[i] && i >= ENDS)
			printf("%d %s\n", counts[i], words[i - ENDS]);
		else if (counts[i])
			printf("%d %d\n", counts[i], i);
}

int main(int argc, char **argv)
{
	if (argc < 6)
		return 2;
	for (int i = 0; access(argv[4], F_OK); i++) {
		int family = argv[2][0] == '4' ? AF_INET : AF_INET6;

		counts[visit(argv[1], family, argv[3], argv[5 + i % (argc - 5)])]++;
		usleep(10000);
	}
	report();
	return 0;
}
