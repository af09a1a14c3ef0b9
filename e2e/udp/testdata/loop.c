/* SPDX-License-Identifier: MIT */
/* loop NAME PORT: five datagrams by one unconnected socket, none of them sent twice, and their answers. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

int main(int argc, char **argv)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *to;
	struct timeval second = {.tv_usec = 500000};
	char answer[100];

	if (argc != 3 || getaddrinfo(argv[1], argv[2], &hints, &to))
		return 2;
	int s = socket(to->ai_family, SOCK_DGRAM, 0);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	for (int i = 0; i < 5; i++) {
		if (sendto(s, "hello", 5, 0, to->ai_addr, to->ai_addrlen) < 0) {
			printf("sendto: %s\n", strerror(errno));
			continue;
		}
		ssize_t n = recv(s, answer, sizeof(answer), 0);
		if (n < 0)
			printf("recv: %s\n", strerror(errno));
		else
			printf("%.*s\n", (int)n, answer);
	}
	return 0;
}
