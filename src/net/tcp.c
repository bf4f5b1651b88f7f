/*
 * tcp.c: computes deadlines, waits for a descriptor, and prints addresses.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/tcp.h"
#include "tlslife.h"

/* -------------------------------------------------------------------------------------- waiting */

int64_t tlsl_now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* this clock always exists */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t tlsl_deadline(int timeout_ms) {
    return timeout_ms < 0 ? TLSL_NO_DEADLINE : tlsl_now_ms() + timeout_ms;
}

int tlsl_left_ms(int64_t deadline) {
    if (deadline == TLSL_NO_DEADLINE) {
        return -1;
    }
    int64_t left = deadline - tlsl_now_ms();
    if (left < 0) {
        return 0;
    }
    return left > INT_MAX ? INT_MAX : (int)left;
}

tlslife_status tlsl_wait_fd(int fd, short events, int64_t deadline) {
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = events};
        int timeout = tlsl_left_ms(deadline);
        int found = poll(&wait, 1, timeout);
        if (found > 0 && (wait.revents & POLLNVAL) != 0) {
            errno = EBADF;
            return TLSLIFE_ERROR;
        }
        if (found > 0) {
            /* This includes an error or a hang-up, which the next call on fd reports. */
            return TLSLIFE_OK;
        }
        if (found < 0 && errno != EINTR) {
            return TLSLIFE_ERROR;
        }
        if (found == 0 && tlsl_left_ms(deadline) == 0) {
            return TLSLIFE_TIMEOUT;
        }
    }
}

/* --------------------------------------------------------------------------- the peer's address */

/*
 * Turns an IPv4-mapped IPv6 address into the IPv4 address that it means. A client that came over
 * IPv4 to a socket for both is shown as 127.0.0.1, not as ::ffff:127.0.0.1.
 */
static void unmap(struct sockaddr_storage *address, socklen_t *address_len) {
    const struct sockaddr_in6 mapped = *(const struct sockaddr_in6 *)(const void *)address;
    if (address->ss_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&mapped.sin6_addr)) {
        return;
    }
    struct sockaddr_in plain = {.sin_family = AF_INET, .sin_port = mapped.sin6_port};
    memcpy(&plain.sin_addr, &mapped.sin6_addr.s6_addr[12], sizeof plain.sin_addr);
    memcpy(address, &plain, sizeof plain);
    *address_len = sizeof plain;
}

bool tlsl_address_text(const struct sockaddr_storage *address, socklen_t address_len, char *out,
                       size_t out_len) {
    struct sockaddr_storage plain = *address;
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (plain.ss_family != AF_INET && plain.ss_family != AF_INET6) {
        return false;
    }
    unmap(&plain, &address_len);
    if (getnameinfo((const struct sockaddr *)&plain, address_len, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return false;
    }
    bool brackets = plain.ss_family == AF_INET6;
    int needed =
        snprintf(out, out_len, "%s%s%s:%s", brackets ? "[" : "", host, brackets ? "]" : "", port);
    return needed > 0 && (size_t)needed < out_len;
}

bool tlsl_peer_address(int fd, char *out, size_t out_len) {
    struct sockaddr_storage address;
    socklen_t address_len = sizeof address;
    memset(&address, 0, sizeof address);
    return getpeername(fd, (struct sockaddr *)&address, &address_len) == 0 &&
           tlsl_address_text(&address, address_len, out, out_len);
}
