/* SPDX-License-Identifier: MIT */
/* A library that calls itself a C library and gives answers that no honest one would. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

static struct sockaddr_in there = {.sin_family = AF_INET};
static struct addrinfo good = {.ai_family = AF_INET, .ai_addr = (void *)&there};
static struct addrinfo circle = {.ai_family = AF_INET, .ai_addr = (void *)&there, .ai_next = &circle};
static struct addrinfo nowhere = {.ai_family = AF_INET, .ai_addr = (void *)8};
static struct addrinfo torn = {.ai_family = AF_INET, .ai_addr = (void *)&there, .ai_next = (void *)-8};
static struct addrinfo strange = {.ai_family = 77, .ai_addr = (void *)&there};

/* The service chooses the lie. */
int getaddrinfo(const char *name, const char *lie, const struct addrinfo *hints, struct addrinfo **result)
{
	static struct addrinfo *lies[] = {&good, &circle, &nowhere, &torn, &strange, (void *)16};

	inet_pton(AF_INET, getenv("ADDRESS"), &there.sin_addr);
	*result = lies[atoi(lie)];
	return 0;
}

/* Something that is no entry at all. */
struct hostent *gethostbyname(const char *name)
{
	return (void *)name;
}
