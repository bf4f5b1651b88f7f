/*
 * tcp.c: the clock, waiting for a descriptor, and a TCP connection being made.
 *
 * A dial holds the addresses of a name and the one that is tried. It never waits by itself: a step goes as
 * far as it can, and the caller, who knows the deadline or has a loop, waits for tlsl_dial_fd to become
 * writable. Only the resolution of the name blocks (getaddrinfo offers nothing else).
 *
 * Sockets are born close-on-exec and non-blocking, so that no fork in another thread inherits one and no
 * connect waits. TCP_NODELAY is set: TLS writes whole records, and a shutdown or a ticket must not wait for
 * a peer's ACK.
 *
 * What an attacker would try: an address that never answers, in front of one that does. The deadline is the
 * caller's and means the whole call; an address that refuses costs nothing.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "core.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------------------ waiting */

int64_t tlsl_now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t tlsl_deadline(int timeout_ms) {
    return timeout_ms < 0 ? TLSL_NO_DEADLINE : tlsl_now_ms() + timeout_ms;
}

/* What poll wants to hear: -1 for ever, or what is left, and never less than nothing. */
static int left_ms(int64_t deadline) {
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
        int timeout = left_ms(deadline);
        int found = poll(&wait, 1, timeout);
        if (found > 0 && (wait.revents & POLLNVAL) != 0) {
            errno = EBADF;
            return TLSLIFE_ERROR;
        }
        if (found > 0) {
            return TLSLIFE_OK; /* an error or a hang-up too: the next call on fd says which */
        }
        if (found < 0 && errno != EINTR) {
            return TLSLIFE_ERROR;
        }
        if (found == 0 && left_ms(deadline) == 0) {
            return TLSLIFE_TIMEOUT;
        }
    }
}

/* ------------------------------------------------------------------------------------------------ dialling */

struct tlsl_dial {
    char *host;
    char *service;
    struct addrinfo *addresses;
    const struct addrinfo *next; /* the one to try after this */
    int fd;                      /* being connected, or -1 */
    int failure;                 /* errno of the last address that failed */
};

static tlslife_status resolve(tlsl_dial *dial, tlslife_error *err) {
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    int result = getaddrinfo(dial->host, dial->service, &hints, &dial->addresses);
    dial->next = dial->addresses;
    if (result == 0) {
        return TLSLIFE_OK;
    }
    if (result == EAI_SYSTEM) {
        return tlsl_fail_system(err, errno, "cannot resolve %s, service %s", dial->host, dial->service);
    }
    return tlsl_fail(err, result == EAI_MEMORY ? TLSLIFE_ERR_MEMORY : TLSLIFE_ERR_RESOLVE,
                     "cannot resolve %s, service %s: %s", dial->host, dial->service, gai_strerror(result));
}

tlsl_dial *tlsl_dial_new(const char *host, const char *service, tlslife_error *err) {
    tlsl_dial *dial = calloc(1, sizeof *dial);
    if (dial != NULL) {
        dial->fd = -1;
        dial->host = strdup(host);
        dial->service = strdup(service);
    }
    if (dial == NULL || dial->host == NULL || dial->service == NULL) {
        (void)tlsl_fail(err, TLSLIFE_ERR_MEMORY, "cannot dial %s: out of memory", host);
    } else if (resolve(dial, err) == TLSLIFE_OK) {
        return dial;
    }
    tlsl_dial_free(dial);
    return NULL;
}

static void drop_socket(tlsl_dial *dial) {
    if (dial->fd >= 0) {
        (void)close(dial->fd);
        dial->fd = -1;
    }
}

void tlsl_dial_free(tlsl_dial *dial) {
    if (dial == NULL) {
        return;
    }
    drop_socket(dial);
    if (dial->addresses != NULL) {
        freeaddrinfo(dial->addresses);
    }
    free(dial->host);
    free(dial->service);
    free(dial);
}

bool tlsl_dial_is(const tlsl_dial *dial, const char *host, const char *service) {
    return strcmp(dial->host, host) == 0 && strcmp(dial->service, service) == 0;
}

int tlsl_dial_fd(const tlsl_dial *dial) {
    return dial->fd;
}

/* 0: connected; EINPROGRESS; or what failed. */
static int begin_connect(tlsl_dial *dial, const struct addrinfo *address) {
    const int on = 1;
    dial->fd =
        socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address->ai_protocol);
    if (dial->fd < 0) {
        return errno;
    }
    (void)setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(dial->fd, address->ai_addr, address->ai_addrlen) == 0) {
        return 0;
    }
    return errno == EINTR ? EINPROGRESS : errno; /* a signal does not stop a connect */
}

/* The same of a connect that was begun before. */
static int continue_connect(const tlsl_dial *dial) {
    struct pollfd wait = {.fd = dial->fd, .events = POLLOUT};
    int found = poll(&wait, 1, 0);
    if (found == 0 || (found < 0 && errno == EINTR)) {
        return EINPROGRESS;
    }
    int result = 0;
    socklen_t result_len = sizeof result;
    if (found < 0 || getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &result, &result_len) != 0) {
        return errno;
    }
    return result;
}

tlslife_status tlsl_dial_step(tlsl_dial *dial, int *out_fd, tlslife_error *err) {
    while (dial->fd >= 0 || dial->next != NULL) {
        int result;
        if (dial->fd >= 0) {
            result = continue_connect(dial);
        } else {
            result = begin_connect(dial, dial->next);
            dial->next = dial->next->ai_next;
        }
        if (result == EINPROGRESS) {
            return TLSLIFE_WANT_WRITE;
        }
        if (result == 0) {
            *out_fd = dial->fd;
            dial->fd = -1;
            return TLSLIFE_OK;
        }
        dial->failure = result;
        drop_socket(dial);
    }
    return tlsl_fail_system(err, dial->failure, "cannot connect to %s, service %s", dial->host,
                            dial->service);
}

size_t tlsl_dial_left(const tlsl_dial *dial) {
    size_t left = 0;
    for (const struct addrinfo *address = dial->next; address != NULL; address = address->ai_next) {
        left++;
    }
    return left;
}

void tlsl_dial_give_up(tlsl_dial *dial) {
    dial->failure = ETIMEDOUT;
    drop_socket(dial);
}

/* ------------------------------------------------------------------------------------------- the peer's name */

/*
 * A client that came over IPv4 to a socket for both is shown as what it is: 127.0.0.1, not
 * ::ffff:127.0.0.1.
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

bool tlsl_peer_address(int fd, char *out, size_t out_len) {
    struct sockaddr_storage address;
    socklen_t address_len = sizeof address;
    memset(&address, 0, sizeof address);
    if (getpeername(fd, (struct sockaddr *)&address, &address_len) != 0 ||
        (address.ss_family != AF_INET && address.ss_family != AF_INET6)) {
        return false;
    }
    unmap(&address, &address_len);
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (getnameinfo((const struct sockaddr *)&address, address_len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return false;
    }
    bool brackets = address.ss_family == AF_INET6;
    int needed = snprintf(out, out_len, "%s%s%s:%s", brackets ? "[" : "", host, brackets ? "]" : "", port);
    return needed > 0 && (size_t)needed < out_len;
}
