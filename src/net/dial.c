/*
 * dial.c: makes a connection to the first address of a name that answers, or to a Unix socket.
 *
 * A dial never waits, unless the caller wants the name to be resolved within the call. A step goes
 * as far as it can, and the caller or a loop waits for tlsl_dial_fd, but no longer than until
 * tlsl_dial_until.
 *
 * Sockets are made close-on-exec and non-blocking, so that no fork in another thread inherits one
 * and no connect waits. TCP_NODELAY is set, since TLS writes whole records, and a close_notify or a
 * ticket must not wait for the peer's ACK.
 *
 * A Unix socket whose backlog is full fails at once, and no event tells when there is room. So the
 * dial tries again after a moment, which a timer measures, since a loop can only wait for a
 * descriptor.
 *
 * An attacker would put an address that never answers in front of one that does. Each address has a
 * share of the time that is left, or ADDRESS_MS if there is no deadline. One that refuses takes no
 * time.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "net/dial.h"
#include "net/local.h"
#include "net/resolve.h"
#include "net/tcp.h"
#include "tlslife.h"

/*
 * Linux sends a SYN again after 1 s, so a host that answers only the second one is still reached.
 */
#define ADDRESS_MS 2000
#define FULL_MS 10 /* between two tries at a Unix socket whose backlog is full */

struct tlsl_dial {
    char *host;
    char *service;
    tlsl_resolution *resolution; /* while the name is resolved */
    struct addrinfo *addresses;
    const struct addrinfo *next; /* the one to try after this */
    int fd;                      /* being connected, or -1 */
    int timer;                   /* until a full Unix socket is tried again, or -1 */
    struct addrinfo local;       /* the only address, if host names a Unix socket */
    struct sockaddr_un local_name;
    int failure; /* errno of the last address that failed */
    int64_t deadline;
    int64_t until; /* when the address that is tried is given up */
};

/* Makes a Unix socket's name the address to try. */
static tlslife_status use_local(tlsl_dial *dial, tlslife_error *err) {
    dial->local = (struct addrinfo){.ai_family = AF_UNIX,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_addr = (struct sockaddr *)&dial->local_name};
    dial->next = &dial->local;
    return tlsl_local_address(dial->host, &dial->local_name, &dial->local.ai_addrlen, err);
}

static tlslife_status resolve(tlsl_dial *dial, bool waits, tlslife_error *err) {
    if (tlsl_is_local(dial->host)) {
        return use_local(dial, err);
    }
    tlslife_status status = waits ? tlsl_resolve(dial->host, dial->service, &dial->addresses, err)
                                  : tlsl_resolve_begin(dial->host, dial->service, &dial->addresses,
                                                       &dial->resolution, err);
    dial->next = dial->addresses;
    return status;
}

tlsl_dial *tlsl_dial_new(const char *host, const char *service, bool waits, int64_t deadline,
                         tlslife_error *err) {
    tlsl_dial *dial = calloc(1, sizeof *dial);
    if (dial != NULL) {
        dial->fd = dial->timer = -1;
        dial->deadline = dial->until = deadline;
        dial->host = strdup(host);
        dial->service = strdup(service);
    }
    if (dial == NULL || dial->host == NULL || dial->service == NULL) {
        (void)tlsl_fail(err, TLSLIFE_ERR_MEMORY, "cannot dial %s: out of memory", host);
    } else if (resolve(dial, waits, err) != TLSLIFE_ERROR) {
        return dial;
    }
    tlsl_dial_free(dial);
    return NULL;
}

static void drop(int *fd) {
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

void tlsl_dial_free(tlsl_dial *dial) {
    if (dial == NULL) {
        return;
    }
    drop(&dial->fd);
    drop(&dial->timer);
    tlsl_resolution_drop(dial->resolution);
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

int tlsl_dial_fd(const tlsl_dial *dial, bool *out_writing) {
    *out_writing = dial->resolution == NULL && dial->timer < 0;
    if (dial->timer >= 0) {
        return dial->timer;
    }
    return dial->resolution != NULL ? tlsl_resolution_fd(dial->resolution) : dial->fd;
}

/* ----------------------------------------------------------------------------------------- time */

int64_t tlsl_dial_until(const tlsl_dial *dial) {
    return dial->resolution != NULL ? dial->deadline : dial->until;
}

/*
 * Gives the address that is tried a share of the time, so that the next one is tried as well if it
 * does not answer.
 */
static void share_time(tlsl_dial *dial) {
    int64_t left = 0;
    for (const struct addrinfo *address = dial->next; address != NULL; address = address->ai_next) {
        left++;
    }
    dial->until = dial->deadline;
    if (left > 0) {
        int64_t now = tlsl_now_ms();
        bool endless = dial->deadline == TLSL_NO_DEADLINE;
        int64_t share = now + (endless ? ADDRESS_MS : (dial->deadline - now) / (left + 1));
        dial->until = share < dial->deadline ? share : dial->deadline;
    }
}

void tlsl_dial_set_deadline(tlsl_dial *dial, int64_t deadline) {
    dial->deadline = deadline;
    share_time(dial);
}

/* ---------------------------------------------------------------------------------------- steps */

/*
 * Begins to connect to the next address. Returns 0 if it is connected, EINPROGRESS, or the errno of
 * what failed.
 */
static int begin_connect(tlsl_dial *dial) {
    const struct addrinfo *address = dial->next;
    const int on = 1;
    dial->next = address->ai_next;
    share_time(dial);
    dial->fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                      address->ai_protocol);
    if (dial->fd < 0) {
        return errno;
    }
    if (address->ai_family != AF_UNIX) {
        (void)setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    if (connect(dial->fd, address->ai_addr, address->ai_addrlen) == 0) {
        return 0;
    }
    return errno == EINTR ? EINPROGRESS : errno; /* a signal does not stop connecting */
}

/* Checks a connect that is in progress; returns the same. */
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

/* TLSLIFE_OK if the name is resolved. Else as tlsl_dial_step. */
static tlslife_status finish_resolution(tlsl_dial *dial, tlslife_error *err) {
    if (dial->resolution == NULL) {
        return TLSLIFE_OK;
    }
    tlslife_status status = tlsl_resolution_end(dial->resolution, &dial->addresses, err);
    if (status == TLSLIFE_WANT_READ) {
        return tlsl_left_ms(dial->deadline) == 0 ? TLSLIFE_TIMEOUT : status;
    }
    tlsl_resolution_drop(dial->resolution);
    dial->resolution = NULL;
    dial->next = dial->addresses;
    return status;
}

/* Begins to wait for room in the backlog of a Unix socket. Returns false with errno. */
static bool wait_for_room(tlsl_dial *dial) {
    const struct itimerspec once = {.it_value.tv_nsec = FULL_MS * 1000000L};
    drop(&dial->fd);
    dial->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    dial->next = &dial->local;
    return dial->timer >= 0 && timerfd_settime(dial->timer, 0, &once, NULL) == 0;
}

static tlslife_status fail(const tlsl_dial *dial, tlslife_error *err) {
    if (dial->local.ai_addr != NULL) {
        return tlsl_fail_system(err, dial->failure, "cannot connect to %s", dial->host);
    }
    return tlsl_fail_system(err, dial->failure, "cannot connect to %s, service %s", dial->host,
                            dial->service);
}

/* One step at a Unix socket. A connect there succeeds or fails at once. */
static tlslife_status step_locally(tlsl_dial *dial, int *out_fd, tlslife_error *err) {
    drop(&dial->timer);
    int result = begin_connect(dial);
    if (result == 0) {
        *out_fd = dial->fd;
        dial->fd = -1;
        return TLSLIFE_OK;
    }
    if (result == EAGAIN && tlsl_left_ms(dial->deadline) == 0) {
        return TLSLIFE_TIMEOUT;
    }
    if (result == EAGAIN && wait_for_room(dial)) {
        return TLSLIFE_WANT_READ;
    }
    dial->failure = result == EAGAIN ? errno : result;
    return fail(dial, err);
}

tlslife_status tlsl_dial_step(tlsl_dial *dial, int *out_fd, tlslife_error *err) {
    if (dial->local.ai_addr != NULL) {
        return step_locally(dial, out_fd, err);
    }
    tlslife_status status = finish_resolution(dial, err);
    if (status != TLSLIFE_OK) {
        return status;
    }
    while (dial->fd >= 0 || dial->next != NULL) {
        int result = dial->fd >= 0 ? EINPROGRESS : begin_connect(dial);
        /* A connect within this machine has succeeded by now. */
        result = result == EINPROGRESS ? continue_connect(dial) : result;
        if (result == EINPROGRESS && tlsl_left_ms(dial->until) != 0) {
            return TLSLIFE_WANT_WRITE;
        }
        if (result == EINPROGRESS && tlsl_left_ms(dial->deadline) == 0) {
            return TLSLIFE_TIMEOUT;
        }
        if (result == 0) {
            *out_fd = dial->fd;
            dial->fd = -1;
            return TLSLIFE_OK;
        }
        dial->failure = result == EINPROGRESS ? ETIMEDOUT : result;
        drop(&dial->fd);
    }
    return fail(dial, err);
}
