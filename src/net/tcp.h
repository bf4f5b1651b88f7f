/*
 * tcp.h: deadlines, waiting for a descriptor, and the address of a socket's peer. tcp.c.
 */
#ifndef TLSLIFE_TCP_H
#define TLSLIFE_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "tlslife.h"

/* A deadline is a time of the monotonic clock in ms; TLSL_NO_DEADLINE never passes. */
#define TLSL_NO_DEADLINE INT64_MAX
int64_t tlsl_now_ms(void);
int64_t tlsl_deadline(int timeout_ms); /* TLSL_NO_DEADLINE for -1 */
int tlsl_left_ms(int64_t deadline);    /* for poll(2): -1 if there is none, 0 once it has passed */
/*
 * Waits until fd is readable or writable (POLLIN, POLLOUT). OK, TIMEOUT, or ERROR with errno set.
 * EINTR does not end the wait.
 */
tlslife_status tlsl_wait_fd(int fd, short events, int64_t deadline);
/*
 * Writes an address of IPv4 or IPv6 as "127.0.0.1:8443" or "[::1]:8443". false for any other, or if
 * out is too small.
 */
bool tlsl_address_text(const struct sockaddr_storage *address, socklen_t address_len, char *out,
                       size_t out_len);
/*
 * Writes the peer's address as "127.0.0.1:8443" or "[::1]:8443". false if the socket has no peer,
 * or one that is not reached over IP, or if out is too small.
 */
bool tlsl_peer_address(int fd, char *out, size_t out_len);

#endif
