/*
 * listener.c: opens listening sockets, TCP or Unix, and accepts connections from them.
 *
 * Without a deadline the kernel waits, within accept. The first call that has a deadline makes the
 * socket non-blocking, and poll does the waiting. Otherwise accept would wait beyond the deadline
 * where a client goes away between poll and accept, or another process accepts it. The socket stays
 * non-blocking, because O_NONBLOCK is shared with forked processes, which may rely on it. accept
 * gives sockets that are close-on-exec from the start and have TCP_NODELAY.
 *
 * An attacker would connect and reset the connection at once, again and again. Linux reports the
 * failure of such a client on the listening socket. It concerns that client alone, so the next one
 * is accepted, and the deadline is checked before that.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/process.h"
#include "net/address.h"
#include "net/group.h"
#include "net/local.h"
#include "net/proxy.h"
#include "net/resolve.h"
#include "net/tcp.h"
#include "tls/conn/transport.h"
#include "tls/context/context.h"
#include "tls/state/proxied.h"
#include "tlslife.h"

#define BACKLOG_DEFAULT 511
#define PORTS_MAX 16 /* free ports of one address that are tried on the others */

typedef struct tlsl_socket {
    int fd;
    tlsl_local_file file; /* of a Unix socket that this listener has made */
} tlsl_socket;

struct tlslife_listener {
    tlsl_socket *sockets; /* one or more */
    size_t sockets_len;
    atomic_size_t turn;      /* the one that accepts first, so that none keeps the others waiting */
    int group;               /* of all, if they are several; or -1 */
    int port;                /* of the first; -1 if it has none */
    uint64_t process;        /* which has made it: a child of fork() must not remove the file */
    unsigned proxy_versions; /* of the PROXY protocol that is expected; 0: none */
    tlsl_sources *proxies;   /* who may send it */
    atomic_bool non_blocking; /* this process has made the socket non-blocking */
    /* an accepted socket was seen to inherit TCP_NODELAY, as on Linux */
    atomic_bool passes_on;
};

/*
 * Where the host is NULL the socket listens on every address, and one IPv6 socket accepts IPv4,
 * too. Otherwise it listens on the given address alone.
 */
static bool set_options(int fd, int family, bool every_address, bool reuse_port) {
    const int on = 1;
    const int v6_only = every_address ? 0 : 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
        return false;
    }
    if (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) {
        return false;
    }
    return family != AF_INET6 ||
           setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only) == 0;
}

/* Returns the descriptor, or -1 with errno. */
static int open_address(const struct addrinfo *address, bool every_address, int backlog,
                        bool reuse_port) {
    int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
    if (fd < 0) {
        return -1;
    }
    if (set_options(fd, address->ai_family, every_address, reuse_port) &&
        bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, backlog) == 0) {
        return fd;
    }
    int kept = errno;
    (void)close(fd);
    errno = kept;
    return -1;
}

/*
 * Listens on the first address of this family where that is possible. Returns the descriptor, or
 * -1. errno stays as it was if there is no address of the family.
 */
static int open_family(const struct addrinfo *addresses, int family, bool every_address,
                       int backlog, bool reuse_port) {
    for (const struct addrinfo *one = addresses; one != NULL; one = one->ai_next) {
        if (one->ai_family == family) {
            int fd = open_address(one, every_address, backlog, reuse_port);
            if (fd >= 0) {
                return fd;
            }
        }
    }
    return -1;
}

static int open_every_address(const struct addrinfo *addresses, int backlog, bool reuse_port) {
    errno = EADDRNOTAVAIL;
    int fd = open_family(addresses, AF_INET6, true, backlog, reuse_port);
    /* A port that is in use is the answer. Where the machine has no IPv6, IPv4 is tried. */
    return fd >= 0 || errno == EADDRINUSE
               ? fd
               : open_family(addresses, AF_INET, true, backlog, reuse_port);
}

static int port_of(int fd) {
    struct sockaddr_storage address = {.ss_family = AF_UNIX};
    socklen_t address_len = sizeof address;
    char port[NI_MAXSERV];
    if (getsockname(fd, (struct sockaddr *)&address, &address_len) != 0 ||
        address.ss_family == AF_UNIX ||
        getnameinfo((const struct sockaddr *)&address, address_len, NULL, 0, port, sizeof port,
                    NI_NUMERICSERV) != 0) {
        return -1;
    }
    return (int)strtol(port, NULL, 10);
}

/* Takes the descriptor over, also when this fails. */
static tlslife_listener *listener_of(int fd, bool non_blocking, tlslife_error *err) {
    tlslife_listener *listener = malloc(sizeof *listener);
    tlsl_socket *first = malloc(sizeof *first);
    if (listener == NULL || first == NULL) {
        free(listener);
        free(first);
        (void)close(fd);
        (void)tlsl_fail(err, TLSLIFE_ERR_MEMORY, "cannot listen: out of memory");
        return NULL;
    }
    *first = (tlsl_socket){.fd = fd};
    *listener = (tlslife_listener){.sockets = first,
                                   .sockets_len = 1,
                                   .group = -1,
                                   .port = port_of(fd),
                                   .process = tlsl_process()};
    atomic_init(&listener->turn, 0);
    atomic_init(&listener->non_blocking, non_blocking);
    atomic_init(&listener->passes_on, listener->port < 0); /* a Unix socket has no such option */
    return listener;
}

static tlslife_listener *listen_locally(const char *name, int mode, int backlog,
                                        tlslife_error *err) {
    tlsl_local_file file;
    int fd = tlsl_local_listen(name, mode, backlog > 0 ? backlog : BACKLOG_DEFAULT, &file, err);
    tlslife_listener *listener = fd < 0 ? NULL : listener_of(fd, false, err);
    if (listener != NULL) {
        listener->sockets[0].file = file;
    } else if (fd >= 0) {
        tlsl_local_remove(&file);
    }
    return listener;
}

tlslife_listener *tlslife_listen_unix(const char *name, int mode, int backlog, tlslife_error *err) {
    if (!tlsl_is_local(name)) {
        (void)tlsl_fail(err, TLSLIFE_ERR_USAGE,
                        "\"%s\" names no Unix socket: unix:/path or unix:@name", name);
        return NULL;
    }
    if (mode < -1 || mode > 0777) {
        (void)tlsl_fail(err, TLSLIFE_ERR_USAGE, "a socket's mode is 0 to 0777, not %o",
                        (unsigned)mode);
        return NULL;
    }
    if (mode >= 0 && name[sizeof "unix:" - 1] == '@') {
        (void)tlsl_fail(err, TLSLIFE_ERR_USAGE,
                        "%s is an abstract name: it has no file, and no mode", name);
        return NULL;
    }
    return listen_locally(name, mode, backlog, err);
}

/* What a call of tlslife_listen opens. */
typedef struct request {
    const struct addrinfo *addresses;
    const char *host; /* NULL for every address */
    const char *service;
    int backlog;
    bool reuse_port;
} request;

static tlslife_listener *listener_at(const request *wanted, int fd, tlslife_error *err) {
    int failure = errno;
    tlslife_listener *listener = fd < 0 ? NULL : listener_of(fd, false, err);
    if (fd < 0) {
        (void)tlsl_fail_system(err, failure, "cannot listen on %s, service %s",
                               wanted->host != NULL ? wanted->host : "every address",
                               wanted->service);
    } else if (listener != NULL && listener->port < 0) {
        (void)tlsl_fail_system(err, errno, "cannot listen: the port is not known");
        tlslife_listener_free(listener);
        listener = NULL;
    }
    return listener;
}

static bool is_same(const struct addrinfo *a, const struct addrinfo *b) {
    const struct sockaddr_in *a4 = (const void *)a->ai_addr, *b4 = (const void *)b->ai_addr;
    const struct sockaddr_in6 *a6 = (const void *)a->ai_addr, *b6 = (const void *)b->ai_addr;
    if (a->ai_family != b->ai_family) {
        return false;
    }
    return a->ai_family == AF_INET
               ? a4->sin_addr.s_addr == b4->sin_addr.s_addr
               : a6->sin6_scope_id == b6->sin6_scope_id &&
                     memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof a6->sin6_addr) == 0;
}

/* A name may have an address twice, by two lines of a file. */
static bool is_first(const struct addrinfo *addresses, const struct addrinfo *one) {
    while (addresses != one && !is_same(addresses, one)) {
        addresses = addresses->ai_next;
    }
    return addresses == one;
}

static void set_port(const struct addrinfo *address, int port) {
    if (address->ai_family == AF_INET) {
        ((struct sockaddr_in *)(void *)address->ai_addr)->sin_port = htons((uint16_t)port);
    } else if (address->ai_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)address->ai_addr)->sin6_port = htons((uint16_t)port);
    }
}

/*
 * Listens on each address of a name, on the same port. An address that this machine does not have
 * is left out if there is another: "localhost" may have one of IPv6 where there is no IPv6. NULL
 * with errno EADDRINUSE: another port may be better, if any will do.
 */
static tlslife_listener *open_each(const request *wanted, bool any_port, tlslife_error *err) {
    tlslife_listener *all = NULL;
    int absent = 0;
    for (const struct addrinfo *one = wanted->addresses; one != NULL; one = one->ai_next) {
        if (!is_first(wanted->addresses, one)) {
            continue;
        }
        if (any_port) {
            set_port(one, all == NULL ? 0 : all->port);
        }
        int fd = open_address(one, false, wanted->backlog, wanted->reuse_port);
        if (fd < 0 && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT)) {
            absent = errno;
            continue;
        }
        int failure = fd < 0 ? errno : 0;
        tlslife_listener *next = listener_at(wanted, fd, err);
        if (next == NULL || (all != NULL && tlslife_listener_add(all, next, err) != TLSLIFE_OK)) {
            tlslife_listener_free(next);
            tlslife_listener_free(all);
            errno = failure;
            return NULL;
        }
        all = all == NULL ? next : all;
    }
    errno = absent;
    return all != NULL ? all : listener_at(wanted, -1, err);
}

static tlslife_listener *open_wanted(const request *wanted, tlslife_error *err) {
    if (wanted->host == NULL) {
        return listener_at(
            wanted, open_every_address(wanted->addresses, wanted->backlog, wanted->reuse_port),
            err);
    }
    bool any_port = strcmp(wanted->service, "0") == 0;
    tlslife_error failure;
    for (int tries = any_port ? PORTS_MAX : 1; tries > 0; tries--) {
        tlslife_listener *listener = open_each(wanted, any_port, &failure);
        if (listener != NULL) {
            return listener;
        }
        if (errno != EADDRINUSE) {
            break;
        }
    }
    if (err != NULL) {
        *err = failure;
    }
    return NULL;
}

tlslife_listener *tlslife_listen(const char *host, const char *service, int backlog,
                                 bool reuse_port, tlslife_error *err) {
    tlsl_address address;
    if (tlsl_is_local(host) && service == NULL && !reuse_port) {
        return listen_locally(host, -1, backlog, err);
    }
    if (tlsl_is_local(host)) {
        (void)tlsl_fail(err, TLSLIFE_ERR_USAGE,
                        "\"%s\" is a Unix socket, which has no port and cannot share one", host);
        return NULL;
    }
    if (tlsl_address_of(host, service, NULL, true, &address, err) != TLSLIFE_OK) {
        return NULL;
    }
    host = address.host[0] == '\0' ? NULL : address.host;
    struct addrinfo *addresses = NULL;
    (void)tlsl_resolve(host, address.service, AI_PASSIVE, &addresses, err);
    if (addresses == NULL) {
        return NULL;
    }
    const request wanted = {addresses, host, address.service,
                            backlog > 0 ? backlog : BACKLOG_DEFAULT, reuse_port};
    tlslife_listener *listener = open_wanted(&wanted, err);
    freeaddrinfo(addresses);
    return listener;
}

static bool has_option(int fd, int level, int option, int value) {
    int found = 0;
    socklen_t found_len = sizeof found;
    return getsockopt(fd, level, option, &found, &found_len) == 0 && found == value;
}

static bool listens(int fd) {
    return has_option(fd, SOL_SOCKET, SO_ACCEPTCONN, 1) &&
           has_option(fd, SOL_SOCKET, SO_TYPE, SOCK_STREAM) &&
           (has_option(fd, SOL_SOCKET, SO_DOMAIN, AF_INET6) ||
            has_option(fd, SOL_SOCKET, SO_DOMAIN, AF_INET) ||
            has_option(fd, SOL_SOCKET, SO_DOMAIN, AF_UNIX));
}

/*
 * Makes the descriptor close-on-exec and the socket non-blocking. The program that handed the
 * socket over shares O_NONBLOCK, so it must expect that, or accept no more from the socket.
 */
static bool adopt(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags != -1 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) != -1 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) != -1;
}

tlslife_listener *tlslife_listen_fd(int fd, tlslife_error *err) {
    if (!listens(fd) || !adopt(fd)) {
        (void)tlsl_fail(err, TLSLIFE_ERR_USAGE, "%d is not a listening TCP or Unix socket", fd);
        return NULL;
    }
    return listener_of(fd, true, err);
}

/* ------------------------------------------------------------------------- several sockets */

static bool set_non_blocking(tlslife_listener *listener) {
    for (size_t i = 0; i < listener->sockets_len; i++) {
        int flags = fcntl(listener->sockets[i].fd, F_GETFL);
        if (flags == -1 || fcntl(listener->sockets[i].fd, F_SETFL, flags | O_NONBLOCK) != 0) {
            return false;
        }
    }
    atomic_store_explicit(&listener->non_blocking, true, memory_order_relaxed);
    return true;
}

static bool gather(int group, const tlslife_listener *listener) {
    for (size_t i = 0; i < listener->sockets_len; i++) {
        if (!tlsl_group_add(group, listener->sockets[i].fd, true)) {
            return false;
        }
    }
    return true;
}

/* A group of the sockets of both; -1 with errno. The sockets of several must not wait. */
static int group_of(tlslife_listener *listener, tlslife_listener *other) {
    int group = set_non_blocking(listener) && set_non_blocking(other) ? tlsl_group_new() : -1;
    if (group >= 0 && !(gather(group, listener) && gather(group, other))) {
        int failure = errno;
        (void)close(group);
        errno = failure;
        group = -1;
    }
    return group;
}

/* Frees a listener whose sockets another one has taken over. */
static void free_shell(tlslife_listener *listener) {
    if (listener->group >= 0) {
        (void)close(listener->group);
    }
    tlsl_sources_free(listener->proxies);
    free(listener->sockets);
    free(listener);
}

tlslife_status tlslife_listener_add(tlslife_listener *listener, tlslife_listener *other,
                                    tlslife_error *err) {
    size_t len = listener->sockets_len, more = other->sockets_len;
    if (other == listener || other->process != listener->process) {
        return tlsl_fail(
            err, TLSLIFE_ERR_USAGE,
            "a listener cannot be added to itself, or to one that another process has made");
    }
    tlsl_socket *sockets = realloc(listener->sockets, (len + more) * sizeof *sockets);
    if (sockets == NULL) {
        return tlsl_fail(err, TLSLIFE_ERR_MEMORY, "cannot listen: out of memory");
    }
    listener->sockets = sockets;
    int group = group_of(listener, other);
    if (group < 0) {
        return tlsl_fail_system(err, errno, "cannot listen on several sockets");
    }
    memcpy(sockets + len, other->sockets, more * sizeof *sockets);
    listener->sockets_len = len + more;
    if (listener->group >= 0) {
        (void)close(listener->group);
    }
    listener->group = group;
    if (!atomic_load(&other->passes_on)) {
        atomic_store(&listener->passes_on, false);
    }
    free_shell(other);
    return TLSLIFE_OK;
}

tlslife_status tlslife_listener_split(tlslife_listener *listener, tlslife_listener **out,
                                      tlslife_error *err) {
    *out = NULL;
    if (listener->sockets_len == 1) {
        return TLSLIFE_OK;
    }
    const tlsl_socket *last = &listener->sockets[listener->sockets_len - 1];
    int fd = fcntl(last->fd, F_DUPFD_CLOEXEC, 0); /* so that nothing has changed if this fails */
    if (fd < 0) {
        return tlsl_fail_system(err, errno, "cannot split a listener");
    }
    *out = listener_of(fd, true, err);
    if (*out == NULL) {
        return TLSLIFE_ERROR;
    }
    (*out)->sockets[0].file = last->file;
    (*out)->process = listener->process;
    tlsl_group_remove(listener->group, last->fd);
    (void)close(last->fd);
    listener->sockets_len--;
    if (listener->sockets_len == 1) {
        (void)close(listener->group);
        listener->group = -1;
    }
    return TLSLIFE_OK;
}

size_t tlslife_listener_sockets_len(const tlslife_listener *listener) {
    return listener->sockets_len;
}

bool tlslife_listener_address(const tlslife_listener *listener, size_t index, char *out,
                              size_t out_len) {
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t address_len = sizeof address;
    if (index >= listener->sockets_len ||
        getsockname(listener->sockets[index].fd, (struct sockaddr *)&address, &address_len) != 0) {
        return false;
    }
    return address.ss_family == AF_UNIX
               ? tlsl_local_text((const struct sockaddr_un *)(const void *)&address, address_len,
                                 out, out_len)
               : tlsl_address_text(&address, address_len, out, out_len);
}

void tlslife_listener_free(tlslife_listener *listener) {
    for (size_t i = 0; listener != NULL && i < listener->sockets_len; i++) {
        if (listener->process == tlsl_process()) {
            tlsl_local_remove(&listener->sockets[i].file);
        }
        (void)close(listener->sockets[i].fd);
    }
    if (listener != NULL) {
        free_shell(listener);
    }
}

int tlslife_listener_fd(const tlslife_listener *listener) {
    return listener->group >= 0 ? listener->group : listener->sockets[0].fd;
}

int tlslife_listener_port(const tlslife_listener *listener) {
    return listener->port;
}

/* Failures of one client, not of the listener (accept(2), "Error handling"). */
static bool is_one_clients(int failure) {
    static const int codes[] = {EINTR,     ECONNABORTED, EPROTO,       ENETDOWN,   ENOPROTOOPT,
                                EHOSTDOWN, ENONET,       EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i] == failure) {
            return true;
        }
    }
    return false;
}

/* Where there is a deadline accept must not wait. Two threads may do this at once. */
static bool prepare(tlslife_listener *listener, int timeout_ms) {
    return timeout_ms < 0 || atomic_load_explicit(&listener->non_blocking, memory_order_relaxed) ||
           set_non_blocking(listener);
}

/* Accepts from the first socket that has a client, beginning with the one whose turn it is. */
static int accept_any(tlslife_listener *listener) {
    size_t turn = atomic_load_explicit(&listener->turn, memory_order_relaxed);
    int fd = -1;
    for (size_t i = 0; i < listener->sockets_len && fd < 0; i++) {
        size_t which = (turn + i) % listener->sockets_len;
        fd = accept4(listener->sockets[which].fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            atomic_store_explicit(&listener->turn, which + 1, memory_order_relaxed);
        } else if (errno != EAGAIN) {
            break;
        }
    }
    return fd;
}

/* OK and a descriptor, WANT_READ (timeout_ms is 0), TIMEOUT, or ERROR with errno. */
static tlslife_status accept_one(tlslife_listener *listener, int timeout_ms, int *out_fd) {
    int64_t deadline = tlsl_deadline(timeout_ms);
    const tlslife_status too_late = timeout_ms == 0 ? TLSLIFE_WANT_READ : TLSLIFE_TIMEOUT;
    for (;;) {
        *out_fd = accept_any(listener);
        if (*out_fd >= 0) {
            return TLSLIFE_OK;
        }
        if (errno == EAGAIN) {
            tlslife_status waited =
                timeout_ms == 0 ? too_late
                                : tlsl_wait_fd(tlslife_listener_fd(listener), POLLIN, deadline);
            if (waited != TLSLIFE_OK) {
                return waited;
            }
        } else if (!is_one_clients(errno)) {
            return TLSLIFE_ERROR;
        } else if (timeout_ms > 0 && tlsl_now_ms() >= deadline) {
            return too_late;
        }
    }
}

static void set_no_delay(tlslife_listener *listener, int fd) {
    const int on = 1;
    if (atomic_load_explicit(&listener->passes_on, memory_order_relaxed)) {
        return;
    }
    if (has_option(fd, IPPROTO_TCP, TCP_NODELAY, 1)) {
        atomic_store_explicit(&listener->passes_on, true, memory_order_relaxed);
    } else {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
}

static tlslife_status take(const tlslife_listener *listener, tlslife_conn *conn, int fd) {
    tlslife_status status = tlsl_conn_own_fd(conn, fd);
    if (status == TLSLIFE_OK && listener->proxy_versions != 0) {
        status = tlsl_proxied_expect(conn, listener->proxy_versions,
                                     !tlsl_sources_have(listener->proxies, fd));
    }
    return status;
}

tlslife_status tlslife_listener_set_proxy_protocol(tlslife_listener *listener, unsigned versions,
                                                   const char *const *sources, size_t sources_len,
                                                   tlslife_error *err) {
    tlsl_sources *proxies = NULL;
    if ((versions & ~(unsigned)(TLSLIFE_PROXY_V1 | TLSLIFE_PROXY_V2)) != 0) {
        return tlsl_fail(
            err, TLSLIFE_ERR_USAGE,
            "the PROXY protocol's versions are a mask of TLSLIFE_PROXY_V1 and _V2, not 0x%x",
            versions);
    }
    if (versions != 0) {
        proxies = tlsl_sources_new(sources, sources_len, err);
        if (proxies == NULL) {
            return TLSLIFE_ERROR;
        }
    }
    tlsl_sources_free(listener->proxies);
    listener->proxies = proxies;
    listener->proxy_versions = versions;
    return TLSLIFE_OK;
}

tlslife_status tlslife_listener_accept(tlslife_listener *listener, tlslife_context *context,
                                       int timeout_ms, tlslife_conn **out_conn,
                                       tlslife_error *err) {
    int fd = -1;
    if (tlsl_context_ready(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR; /* no client is accepted that could not be served */
    }
    tlslife_status status =
        prepare(listener, timeout_ms) ? accept_one(listener, timeout_ms, &fd) : TLSLIFE_ERROR;
    if (status != TLSLIFE_OK) {
        return status == TLSLIFE_ERROR ? tlsl_fail_system(err, errno, "cannot accept a connection")
                                       : status;
    }
    set_no_delay(listener, fd);
    tlslife_conn *conn = tlslife_conn_new(context, err);
    if (conn == NULL) {
        (void)close(fd);
        return TLSLIFE_ERROR;
    }
    if (take(listener, conn, fd) != TLSLIFE_OK) { /* which owns fd also when it fails */
        if (err != NULL) {
            *err = *tlslife_conn_error(conn);
        }
        tlslife_conn_free(conn);
        return TLSLIFE_ERROR;
    }
    *out_conn = conn;
    return TLSLIFE_OK;
}
