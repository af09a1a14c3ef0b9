/* SPDX-License-Identifier: MIT */
/*
 * client FAMILY PORT NAME...: for each name resolves it, connects to the first address that takes the connection,
 * reads the server's line and prints "NAME LINE". FAMILY is 4, 6 or 0 for both. Exits 1 if a name failed.
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int dial(const struct addrinfo *list)
{
	struct timeval patience = { .tv_sec = 5 };
	const struct addrinfo *a;
	int fd;

	for (a = list; a; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		if (!connect(fd, a->ai_addr, a->ai_addrlen))
			return fd;
		perror("connect");
		close(fd);
	}
	return -1;
}

static int visit(const char *name, const char *port, int family)
{
	struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM }, *list;
	char line[128] = "";
	size_t got = 0;
	ssize_t n;
	int fd, err = getaddrinfo(name, port, &hints, &list);

	if (err) {
		fprintf(stderr, "%s: %s\n", name, gai_strerror(err));
		return 1;
	}
	fd = dial(list);
	freeaddrinfo(list);
	if (fd < 0)
		return 1;
	while (!strchr(line, '\n') && got < sizeof(line) - 1) {
		n = read(fd, line + got, sizeof(line) - 1 - got);
		if (n <= 0)
			break;
		got += n;
	}
	close(fd);
	printf("%s %.*s\n", name, (int)strcspn(line, "\n"), line);
	return !strchr(line, '\n');
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc < 3)
		return 2;
	for (int i = 3; i < argc; i++)
		failed |= visit(argv[i], argv[2], argv[1][0] == '4' ? AF_INET : argv[1][0] == '6' ? AF_INET6 : AF_UNSPEC);
	return failed;
}
