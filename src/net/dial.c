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
 * A name may have addresses that never answer, often all those of one family. So attempts overlap,
 * as RFC 8305 section 5 says: the families take turns, the next attempt begins DELAY_MS after the
 * one before or as soon as one fails, and the first that is connected is the connection. Where the
 * deadline is near, attempts follow each other faster, so that each address has a part of the time.
 * The others are closed.
 *
 * An attacker who answers for a name would give it thousands of addresses. At most ATTEMPTS_MAX
 * attempts are under way, and for one more the oldest is given up.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
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
#include "net/address.h"
#include "net/dial.h"
#include "net/group.h"
#include "net/local.h"
#include "net/resolve.h"
#include "net/tcp.h"
#include "tlslife.h"

#define DELAY_MS 250      /* "Connection Attempt Delay", RFC 8305 section 8 */
#define DELAY_LEAST_MS 10 /* no less, as the same section says */
#define ATTEMPTS_MAX 8
#define FULL_MS 10 /* between two tries at a Unix socket whose backlog is full */

struct tlsl_dial {
    const char *service;         /* behind the host */
    tlsl_resolution *resolution; /* while the name is resolved */
    struct addrinfo *addresses;
    /* what is to be tried: the next address of the first one's family, and of any other */
    const struct addrinfo *next[2];
    int turn;              /* which of these two comes next */
    int fds[ATTEMPTS_MAX]; /* being connected, the oldest first */
    int fds_len;
    int group;            /* of these, as long as they are or have been several; or -1 */
    int timer;            /* until a full Unix socket is tried again, or -1 */
    struct addrinfo only; /* the only address, if host is one or names a Unix socket */
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    } only_name;
    int failure; /* errno of the last address that failed */
    int64_t deadline;
    int64_t due; /* when the next attempt begins; TLSL_NO_DEADLINE if there is none */
    char host[];
};

/* The first address from there on that is of this family, or that is not. */
static const struct addrinfo *find(const struct addrinfo *from, int family, bool of_it) {
    while (from != NULL && (from->ai_family == family) != of_it) {
        from = from->ai_next;
    }
    return from;
}

static int first_family(const tlsl_dial *dial) {
    return dial->addresses != NULL ? dial->addresses->ai_family : dial->only.ai_family;
}

static void use_addresses(tlsl_dial *dial, const struct addrinfo *addresses) {
    dial->next[0] = addresses;
    dial->next[1] = addresses == NULL ? NULL : find(addresses, addresses->ai_family, false);
}

static void use_only(tlsl_dial *dial, int family, int protocol, socklen_t len) {
    dial->only = (struct addrinfo){.ai_family = family,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_protocol = protocol,
                                   .ai_addr = &dial->only_name.any,
                                   .ai_addrlen = len};
    use_addresses(dial, &dial->only);
}

/* Makes a Unix socket's name the address to try. */
static tlslife_status use_local(tlsl_dial *dial, tlslife_error *err) {
    socklen_t len = 0;
    tlslife_status status = tlsl_local_address(dial->host, &dial->only_name.local, &len, err);
    use_only(dial, AF_UNIX, 0, len);
    return status;
}

static bool is_local(const tlsl_dial *dial) {
    return dial->only.ai_family == AF_UNIX;
}

/*
 * Makes host the address to try if it is one, and service a number. getaddrinfo would find the
 * same, but takes the text apart several times. An address with a zone is left to it.
 */
static bool use_ip(tlsl_dial *dial) {
    int port = tlsl_port_of(dial->service);
    struct sockaddr_in *ipv4 = &dial->only_name.ipv4;
    struct sockaddr_in6 *ipv6 = &dial->only_name.ipv6;
    if (port < 0) {
        return false;
    }
    if (inet_pton(AF_INET, dial->host, &ipv4->sin_addr) == 1) {
        ipv4->sin_family = AF_INET;
        ipv4->sin_port = htons((uint16_t)port);
        use_only(dial, AF_INET, IPPROTO_TCP, sizeof *ipv4);
        return true;
    }
    if (inet_pton(AF_INET6, dial->host, &ipv6->sin6_addr) == 1) {
        ipv6->sin6_family = AF_INET6;
        ipv6->sin6_port = htons((uint16_t)port);
        use_only(dial, AF_INET6, IPPROTO_TCP, sizeof *ipv6);
        return true;
    }
    return false;
}

static tlslife_status resolve(tlsl_dial *dial, bool waits, tlslife_error *err) {
    if (tlsl_is_local(dial->host)) {
        return use_local(dial, err);
    }
    if (use_ip(dial)) {
        return TLSLIFE_OK;
    }
    tlslife_status status = waits
                                ? tlsl_resolve(dial->host, dial->service, 0, &dial->addresses, err)
                                : tlsl_resolve_begin(dial->host, dial->service, &dial->addresses,
                                                     &dial->resolution, err);
    use_addresses(dial, dial->addresses);
    return status;
}

tlsl_dial *tlsl_dial_new(const char *host, const char *service, bool waits, int64_t deadline,
                         tlslife_error *err) {
    size_t host_size = strlen(host) + 1, service_size = strlen(service) + 1;
    tlsl_dial *dial = calloc(1, sizeof *dial + host_size + service_size);
    if (dial == NULL) {
        (void)tlsl_fail(err, TLSLIFE_ERR_MEMORY, "cannot dial %s: out of memory", host);
        return NULL;
    }
    dial->group = dial->timer = -1;
    dial->deadline = deadline;
    dial->due = TLSL_NO_DEADLINE;
    memcpy(dial->host, host, host_size);
    dial->service = memcpy(dial->host + host_size, service, service_size);
    if (resolve(dial, waits, err) != TLSLIFE_ERROR) {
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

/* Gives all attempts up but the last so many. */
static void drop_attempts(tlsl_dial *dial, int kept) {
    int gone = dial->fds_len - kept;
    for (int i = 0; i < gone; i++) {
        (void)close(dial->fds[i]);
    }
    if (gone > 0) {
        memmove(dial->fds, dial->fds + gone, (size_t)kept * sizeof dial->fds[0]);
        dial->fds_len = kept;
    }
}

void tlsl_dial_free(tlsl_dial *dial) {
    if (dial == NULL) {
        return;
    }
    drop_attempts(dial, 0);
    drop(&dial->group);
    drop(&dial->timer);
    tlsl_resolution_drop(dial->resolution);
    if (dial->addresses != NULL) {
        freeaddrinfo(dial->addresses);
    }
    free(dial);
}

bool tlsl_dial_is(const tlsl_dial *dial, const char *host, const char *service) {
    return strcmp(dial->host, host) == 0 && strcmp(dial->service, service) == 0;
}

/* One attempt is watched for writing. A group is readable, as a timer and a resolution are. */
int tlsl_dial_fd(const tlsl_dial *dial, bool *out_writing) {
    *out_writing = dial->resolution == NULL && dial->timer < 0 && dial->group < 0;
    if (dial->timer >= 0) {
        return dial->timer;
    }
    if (dial->resolution != NULL) {
        return tlsl_resolution_fd(dial->resolution);
    }
    return dial->group >= 0 ? dial->group : dial->fds_len > 0 ? dial->fds[0] : -1;
}

/* ----------------------------------------------------------------------------------------- time */

int64_t tlsl_dial_until(const tlsl_dial *dial) {
    return dial->due < dial->deadline ? dial->due : dial->deadline;
}

/* How many addresses were not tried. Those of other families are on a list from next[1] on. */
static int count_left(const tlsl_dial *dial) {
    int left = 0;
    for (int i = 0; i < 2; i++) {
        const struct addrinfo *one = dial->next[i];
        for (; one != NULL; one = find(one->ai_next, first_family(dial), i == 0)) {
            left++;
        }
    }
    return left;
}

/* Says when the next attempt begins, from now on. */
static void plan(tlsl_dial *dial) {
    int left = count_left(dial);
    int64_t now = tlsl_now_ms(), delay = DELAY_MS;
    if (dial->deadline != TLSL_NO_DEADLINE && (dial->deadline - now) / (left + 1) < delay) {
        delay = (dial->deadline - now) / (left + 1);
    }
    dial->due =
        left == 0 ? TLSL_NO_DEADLINE : now + (delay > DELAY_LEAST_MS ? delay : DELAY_LEAST_MS);
}

void tlsl_dial_set_deadline(tlsl_dial *dial, int64_t deadline) {
    dial->deadline = deadline;
    if (dial->fds_len > 0) {
        plan(dial);
    }
}

/* ---------------------------------------------------------------------------------------- steps */

/* The address to try next, which is taken off; or NULL. */
static const struct addrinfo *take_address(tlsl_dial *dial) {
    int which = dial->next[dial->turn] != NULL ? dial->turn : !dial->turn;
    const struct addrinfo *address = dial->next[which];
    if (address != NULL) {
        dial->next[which] = find(address->ai_next, first_family(dial), which == 0);
    }
    dial->turn = !which;
    return address;
}

/*
 * Begins to connect to an address. *out_fd is the socket, or -1. Returns 0 if it is connected or
 * may be soon, or the errno of what failed.
 */
static int begin_connect(const struct addrinfo *address, int *out_fd) {
    const int on = 1;
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    address->ai_protocol);
    *out_fd = -1;
    if (fd < 0) {
        return errno;
    }
    if (address->ai_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    /* A signal does not stop connecting. */
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS ||
        errno == EINTR) {
        *out_fd = fd;
        return 0;
    }
    int failure = errno;
    (void)close(fd);
    return failure;
}

/*
 * Checks a connect that has begun: 0, EINPROGRESS, or the errno of what failed. One that has
 * succeeded has a peer, which is one system call.
 */
static int continue_connect(int fd) {
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0) {
        return 0;
    }
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int found = poll(&wait, 1, 0);
    if (found == 0 || (found < 0 && errno == EINTR)) {
        return EINPROGRESS;
    }
    int result = 0;
    socklen_t result_len = sizeof result;
    if (found < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &result_len) != 0) {
        return errno;
    }
    return result;
}

/* Makes one descriptor tell of all attempts. Where that fails only the newest one goes on. */
static void gather(tlsl_dial *dial) {
    bool first = dial->group < 0;
    if (first && dial->fds_len < 2) {
        return;
    }
    dial->group = first ? tlsl_group_new() : dial->group;
    if (dial->group < 0 || (first && !tlsl_group_add(dial->group, dial->fds[0], false)) ||
        !tlsl_group_add(dial->group, dial->fds[dial->fds_len - 1], false)) {
        dial->failure = errno;
        drop(&dial->group);
        drop_attempts(dial, 1);
    }
}

/* Begins the next attempt. One that fails at once lets the one after it begin at once. */
static void begin_attempt(tlsl_dial *dial) {
    int fd = -1;
    int failure = begin_connect(take_address(dial), &fd);
    if (failure != 0) {
        dial->failure = failure;
        dial->due = 0;
        return;
    }
    if (dial->fds_len == ATTEMPTS_MAX) {
        dial->failure = ETIMEDOUT;
        drop_attempts(dial, ATTEMPTS_MAX - 1);
    }
    dial->fds[dial->fds_len++] = fd;
    gather(dial);
    plan(dial);
}

/* Looks after all attempts. Takes off the socket of one that is connected and returns it, or -1. */
static int look(tlsl_dial *dial) {
    for (int i = 0; i < dial->fds_len;) {
        int fd = dial->fds[i], result = continue_connect(fd);
        if (result == EINPROGRESS) {
            i++;
            continue;
        }
        dial->fds_len--;
        memmove(dial->fds + i, dial->fds + i + 1, (size_t)(dial->fds_len - i) * sizeof fd);
        if (result == 0) {
            return fd;
        }
        (void)close(fd);
        dial->failure = result;
        dial->due = 0;
    }
    return -1;
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
    use_addresses(dial, dial->addresses);
    return status;
}

/* Begins to wait for room in the backlog of a Unix socket. Returns false with errno. */
static bool wait_for_room(tlsl_dial *dial) {
    const struct itimerspec once = {.it_value.tv_nsec = FULL_MS * 1000000L};
    dial->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return dial->timer >= 0 && timerfd_settime(dial->timer, 0, &once, NULL) == 0;
}

static tlslife_status fail(const tlsl_dial *dial, tlslife_error *err) {
    if (is_local(dial)) {
        return tlsl_fail_system(err, dial->failure, "cannot connect to %s", dial->host);
    }
    return tlsl_fail_system(err, dial->failure, "cannot connect to %s, service %s", dial->host,
                            dial->service);
}

/* One step at a Unix socket. A connect there succeeds or fails at once. */
static tlslife_status step_locally(tlsl_dial *dial, int *out_fd, tlslife_error *err) {
    drop(&dial->timer);
    int result = begin_connect(&dial->only, out_fd);
    if (result == 0) {
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
    if (is_local(dial)) {
        return step_locally(dial, out_fd, err);
    }
    tlslife_status status = finish_resolution(dial, err);
    if (status != TLSLIFE_OK) {
        return status;
    }
    for (;;) {
        int fd = look(dial); /* a connect within this machine has succeeded by now */
        if (fd >= 0) {
            *out_fd = fd;
            return TLSLIFE_OK;
        }
        bool more = dial->next[0] != NULL || dial->next[1] != NULL;
        if (dial->fds_len == 0 && !more) {
            return fail(dial, err);
        }
        if (more && (dial->fds_len == 0 || tlsl_now_ms() >= dial->due)) {
            begin_attempt(dial);
        } else if (tlsl_left_ms(dial->deadline) == 0) {
            return TLSLIFE_TIMEOUT;
        } else {
            dial->due = more ? dial->due : TLSL_NO_DEADLINE;
            return dial->group >= 0 ? TLSLIFE_WANT_READ : TLSLIFE_WANT_WRITE;
        }
    }
}
