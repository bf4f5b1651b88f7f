/*
 * tcp.h: deadlines, waiting for a descriptor, and the address of its peer. tcp.c.
 */
#ifndef TLSLIFE_TCP_H
#define TLSLIFE_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tlslife.h"

/* A deadline on the monotonic clock, in ms; TLSL_NO_DEADLINE never passes. */
#define TLSL_NO_DEADLINE INT64_MAX
int64_t tlsl_now_ms(void);
int64_t tlsl_deadline(int timeout_ms); /* -1: TLSL_NO_DEADLINE */
int tlsl_left_ms(int64_t deadline);    /* as poll wants it: -1 for ever, 0 when it has passed */
/*
 * Waits for fd to be readable or writable (POLLIN, POLLOUT). OK, TIMEOUT, or ERROR with errno.
 * EINTR goes on waiting.
 */
tlslife_status tlsl_wait_fd(int fd, short events, int64_t deadline);
/* "127.0.0.1:8443" or "[::1]:8443"; false: the socket has no peer, or not over IP. */
bool tlsl_peer_address(int fd, char *out, size_t out_len);

#endif
