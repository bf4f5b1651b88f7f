/*
 * fd.c: the BIO over descriptors, which other code may own.
 *
 * It never changes a descriptor's flags, since O_NONBLOCK belongs to the open file, which other
 * processes and other parts of the program share. Each call tells a socket not to wait
 * (MSG_DONTWAIT), unless waiting is all that the connection could do next. Then the kernel waits
 * within recv or send, which saves a call that finds nothing, and a poll. A pipe or a terminal has
 * no such flag. There poll says whether the next call would wait, and a write is limited to
 * PIPE_BUF bytes, which is what poll promises. (Two readers of one pipe can still take each other's
 * bytes and make each other wait; each connection should have a pipe of its own.)
 *
 * libssl sends the tickets of a TLS 1.3 server at the end of the handshake, each by itself, though
 * the answer to a request that came with the client's Finished is about to follow. On a socket that
 * we own they are given to the kernel at once, to be sent with what is written next (MSG_MORE). If
 * a read finds nothing first, they are sent then. If neither happens, the kernel sends them after
 * 200 ms.
 *
 * SIGPIPE is never raised. Sockets have MSG_NOSIGNAL for that. Elsewhere the signal is blocked in
 * this thread for the length of one write, and removed if that write caused it. The same is done
 * with SIGXFSZ, which a write to a regular file raises at the process's limit on the size of files.
 *
 * An attacker would end or reset the stream at every byte, to kill the process by a signal or to
 * have a failure taken for an end. Only a read of 0 bytes is the end, every failure keeps its
 * errno, and only EAGAIN leads to a retry.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/once.h"
#include "net/fd.h"
#include "net/front.h"
#include "net/method.h"

#define METHOD_NAME "tlslife descriptors"

typedef struct descriptors {
    tlsl_front front; /* comes first: front.h */
    const SSL *ssl;   /* the SSL that uses the BIO, or NULL */
    int read_fd;
    int write_fd;
    bool owned;
    bool waits;      /* a socket's recv and send may wait */
    bool read_plain; /* not a socket: recv has failed with ENOTSOCK */
    bool write_plain;
    bool ended;   /* a read has returned 0 */
    bool drained; /* the last read returned fewer bytes than it was asked for */
    bool held;    /* the kernel holds tickets that wait for more */
    bool tls;     /* noted in over_tls */
} descriptors;

/*
 * By number: the descriptor is owned by a live BIO, and TLS goes over it. A program that gives such
 * a number to another connection would send that one's bytes past TLS.
 */
#define NOTED_MAX 65536
static atomic_bool over_tls[NOTED_MAX];

/*
 * Asks poll. Returns 0, with errno EAGAIN, if a call would wait. Other results are for read or
 * write to report.
 */
static int ready(int fd, short events) {
    struct pollfd wait = {.fd = fd, .events = events};
    int found;
    do {
        found = poll(&wait, 1, 0);
    } while (found < 0 && errno == EINTR);
    if (found == 0) {
        errno = EAGAIN;
    }
    return found;
}

static ssize_t plain_read(int fd, char *buffer, size_t len) {
    if (ready(fd, POLLIN) <= 0) {
        return -1;
    }
    ssize_t got;
    do {
        got = read(fd, buffer, len);
    } while (got < 0 && errno == EINTR);
    return got;
}

/* The signal that a failed write has sent to this thread; 0 if none. */
static int signal_of(int failure) {
    return failure == EPIPE ? SIGPIPE : failure == EFBIG ? SIGXFSZ : 0;
}

static void take_away(int number) {
    const struct timespec at_once = {0, 0};
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    while (sigtimedwait(&one, NULL, &at_once) < 0 && errno == EINTR) {}
}

/* A signal that was pending before the write has another cause, and stays. */
ssize_t tlsl_write_quietly(int fd, const struct iovec *parts, int parts_len) {
    sigset_t quiet, before, pending;
    sigemptyset(&quiet);
    sigaddset(&quiet, SIGPIPE);
    sigaddset(&quiet, SIGXFSZ);
    sigemptyset(&pending);
    (void)sigpending(&pending);
    if (pthread_sigmask(SIG_BLOCK, &quiet, &before) != 0) {
        return -1;
    }
    ssize_t put;
    do {
        put = writev(fd, parts, parts_len);
    } while (put < 0 && errno == EINTR);
    int kept = errno;
    int number = put < 0 ? signal_of(kept) : 0;
    if (number != 0 && !sigismember(&pending, number)) {
        take_away(number);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = kept;
    return put;
}

static ssize_t plain_write(int fd, const char *bytes, size_t len) {
    if (ready(fd, POLLOUT) <= 0) {
        return -1;
    }
    const struct iovec part = {(char *)(uintptr_t)bytes, len < PIPE_BUF ? len : PIPE_BUF};
    return tlsl_write_quietly(fd, &part, 1);
}

static ssize_t socket_write(int fd, const char *bytes, size_t len, int flags) {
    ssize_t put;
    do {
        put = send(fd, bytes, len, flags | MSG_NOSIGNAL);
    } while (put < 0 && errno == EINTR);
    return put;
}

static bool writes_tickets(const descriptors *fds) {
    return fds->owned && fds->ssl != NULL && SSL_get_state(fds->ssl) == TLS_ST_SW_SESSION_TICKET;
}

/* Sends what the kernel holds: setting TCP_NODELAY again has this effect. */
static void push(descriptors *fds) {
    const int on = 1;
    fds->held = false;
    (void)setsockopt(fds->write_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int wait_flags(const descriptors *fds) {
    return fds->waits ? 0 : MSG_DONTWAIT; /* a socket that is O_NONBLOCK does not wait even so */
}

static ssize_t socket_recv(int fd, char *buffer, size_t len, int flags) {
    ssize_t got;
    do {
        got = recv(fd, buffer, len, flags);
    } while (got < 0 && errno == EINTR);
    return got;
}

/* Reads. Before the read waits, tickets that are held are sent. */
static ssize_t socket_read(descriptors *fds, char *buffer, size_t len) {
    if (fds->held) {
        ssize_t got = socket_recv(fds->read_fd, buffer, len, MSG_DONTWAIT);
        if (got >= 0 || errno != EAGAIN) {
            return got;
        }
        push(fds);
    }
    return socket_recv(fds->read_fd, buffer, len, wait_flags(fds));
}

static int fd_read(BIO *bio, char *buffer, size_t len, size_t *out_read) {
    descriptors *fds = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (fds->front.bytes != NULL) {
        *out_read = tlsl_front_take(&fds->front, buffer, len);
        fds->drained = false;
        return 1;
    }
    ssize_t got =
        fds->read_plain ? plain_read(fds->read_fd, buffer, len) : socket_read(fds, buffer, len);
    if (got < 0 && errno == ENOTSOCK && !fds->read_plain) {
        fds->read_plain = true;
        got = plain_read(fds->read_fd, buffer, len);
    }
    *out_read = got > 0 ? (size_t)got : 0;
    fds->drained = got > 0 && (size_t)got < len;
    if (got > 0) {
        return 1;
    }
    if (got == 0) {
        fds->ended = len > 0;
        return 0;
    }
    if (errno == EAGAIN) { /* EWOULDBLOCK is the same on Linux */
        BIO_set_retry_read(bio);
    }
    return -1;
}

static int fd_write(BIO *bio, const char *bytes, size_t len, size_t *out_written) {
    descriptors *fds = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    bool more = writes_tickets(fds);
    ssize_t put = fds->write_plain ? plain_write(fds->write_fd, bytes, len)
                                   : socket_write(fds->write_fd, bytes, len,
                                                  wait_flags(fds) | (more ? MSG_MORE : 0));
    if (put < 0 && errno == ENOTSOCK && !fds->write_plain) {
        fds->write_plain = true;
        put = plain_write(fds->write_fd, bytes, len);
    }
    *out_written = put > 0 ? (size_t)put : 0;
    if (put >= 0) {
        fds->held = more;
        return put > 0 || len == 0;
    }
    if (errno == EAGAIN) { /* EWOULDBLOCK is the same on Linux */
        BIO_set_retry_write(bio);
    }
    return -1;
}

static long fd_ctrl(BIO *bio, int command, long number, void *pointer) {
    (void)number;
    if (command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP) {
        return 1;
    }
    if (command != BIO_CTRL_EOF && command != BIO_C_GET_FD) {
        return 0;
    }
    const descriptors *fds = BIO_get_data(bio);
    if (command == BIO_CTRL_EOF) {
        return fds->ended && fds->front.bytes == NULL;
    }
    if (pointer != NULL) {
        *(int *)pointer = fds->read_fd;
    }
    return fds->read_fd;
}

static void note_tls(int fd, bool tls) {
    if (fd >= 0 && fd < NOTED_MAX) {
        atomic_store_explicit(&over_tls[fd], tls, memory_order_relaxed);
    }
}

void tlsl_fd_set_tls(BIO *bio, bool tls) {
    descriptors *fds = BIO_get_data(bio);
    if (fds->owned && fds->tls != tls) {
        fds->tls = tls;
        note_tls(fds->read_fd, tls);
        note_tls(fds->write_fd, tls);
    }
}

bool tlsl_fd_has_tls(int fd) {
    return fd >= 0 && fd < NOTED_MAX && atomic_load_explicit(&over_tls[fd], memory_order_relaxed);
}

static int fd_destroy(BIO *bio) {
    descriptors *fds = BIO_get_data(bio);
    if (fds == NULL) {
        return 1;
    }
    tlsl_fd_set_tls(bio, false);
    if (fds->owned) {
        int kept = errno;
        (void)close(fds->read_fd);
        if (fds->write_fd != fds->read_fd) {
            (void)close(fds->write_fd);
        }
        errno = kept;
    }
    tlsl_front_clear(&fds->front);
    free(fds);
    BIO_set_data(bio, NULL);
    return 1;
}

static tlsl_once method_once = TLSL_ONCE;
static BIO_METHOD *method;

static bool make_method(void) {
    const tlsl_bio_verbs verbs = {fd_read, fd_write, fd_ctrl, fd_destroy};
    /* SSL_get_fd looks for a BIO of this type. */
    method = tlsl_bio_method(METHOD_NAME, BIO_TYPE_DESCRIPTOR, &verbs);
    return method != NULL;
}

BIO *tlsl_fd_bio(const SSL *ssl, int read_fd, int write_fd, bool owned) {
    if (!tlsl_once_done(&method_once, make_method)) {
        return NULL;
    }
    descriptors *fds = malloc(sizeof *fds);
    BIO *bio = fds == NULL ? NULL : BIO_new(method);
    if (bio == NULL) {
        free(fds);
        return NULL;
    }
    *fds = (descriptors){.ssl = ssl, .read_fd = read_fd, .write_fd = write_fd, .owned = owned};
    BIO_set_data(bio, fds);
    BIO_set_init(bio, 1);
    return bio;
}

void tlsl_fd_set_waits(BIO *bio, bool waits) {
    descriptors *fds = BIO_get_data(bio);
    fds->waits = waits;
}

int tlsl_fd_read(BIO *bio) {
    const descriptors *fds = BIO_get_data(bio);
    return fds->read_fd;
}

bool tlsl_fd_drained(BIO *bio) {
    return ((const descriptors *)BIO_get_data(bio))->drained;
}

/* A program has sockets of BIO_TYPE_DESCRIPTOR, too, so only the name tells whose BIO this is. */
void tlsl_fd_set_ssl(BIO *bio, const SSL *ssl) {
    if (bio != NULL && strcmp(BIO_method_name(bio), METHOD_NAME) == 0) {
        ((descriptors *)BIO_get_data(bio))->ssl = ssl;
    }
}

void tlsl_fd_push(BIO *bio) {
    descriptors *fds = BIO_get_data(bio);
    if (fds->held) {
        push(fds);
    }
}

int tlsl_fd_write(BIO *bio) {
    const descriptors *fds = BIO_get_data(bio);
    return fds->write_fd;
}
