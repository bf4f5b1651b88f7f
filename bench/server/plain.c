/*
 * plain.c: an HTTP server in plain C, with epoll and libssl, with which bench/server.lua compares
 * tls.serve.
 *
 *   plain certificate.pem key.pem [workers]
 *
 * It prints "port pid pid..." and serves until it is killed. Each worker is a process of one
 * thread, and all accept from one socket. It answers GET / with three bytes and GET /big with 64
 * blocks of 16 KiB. It keeps the connection until the client ends it or says "Connection: close",
 * and knows no other request.
 *
 * The comparison is fair. TLS 1.3, the certificate, modes, read ahead, tickets and socket options
 * are those of the other servers. An event of level-triggered epoll costs one recv and one send,
 * and a connection that waits holds its SSL and 64 bytes. There is no tlslife in it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "../support.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK = 16384, BLOCKS = 64, EVENTS = 512, REQUEST_MAX = 16384, WORKERS_MAX = 16 };

static const char small[] = "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\n"
                            "Content-Length: 3\r\n\r\nok\n";
static const char big[] = "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\n"
                          "Content-Length: 1048576\r\n\r\n";

static char block[BLOCK];
static char request[REQUEST_MAX + 1]; /* being read, for one connection at a time */

typedef struct connection {
    SSL *ssl;
    char *partial; /* a request of which a part has arrived */
    size_t partial_len;
    const char *out; /* being written: the rest, its length, and how many blocks follow it */
    size_t out_len;
    int blocks;
    int fd;
    uint32_t events; /* what epoll watches for */
    bool last;       /* the client wants no other answer */
} connection;

static SSL_CTX *new_ctx(char **words) {
    SSL_CTX *ctx = new_context(TLS_server_method(), TLS1_3_VERSION);
    if (ctx == NULL || !set_identity(ctx, words[0], words[1])) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets need none */
    SSL_CTX_set_read_ahead(ctx, 1);
    return ctx;
}

static void drop(connection *conn) {
    (void)close(conn->fd); /* epoll forgets it */
    SSL_free(conn->ssl);
    free(conn->partial);
    free(conn);
}

static connection *new_connection(SSL_CTX *ctx, int fd) {
    connection *conn = calloc(1, sizeof *conn);
    SSL *ssl = conn == NULL ? NULL : SSL_new(ctx);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        free(conn);
        return NULL;
    }
    SSL_set_accept_state(ssl);
    *conn = (connection){.ssl = ssl, .fd = fd, .events = EPOLLIN};
    return conn;
}

/* False: the connection must be dropped. */
static bool watch(int loop, connection *conn, uint32_t events) {
    if (conn->events == events) {
        return true;
    }
    struct epoll_event event = {.events = events, .data.ptr = conn};
    conn->events = events;
    return epoll_ctl(loop, EPOLL_CTL_MOD, conn->fd, &event) == 0;
}

static void accept_all(int loop, int listener, SSL_CTX *ctx) {
    const int on = 1;
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection *conn = new_connection(ctx, fd);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
        if (conn == NULL || epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) != 0) {
            abort(); /* out of memory: nothing to measure */
        }
    }
}

/* Whether a header line of the request, which ends at `end`, is "Connection: close". */
static bool says_close(const char *from, const char *end) {
    static const char name[] = "\r\nconnection:";
    for (const char *line = from; line < end; line++) {
        line = memchr(line, '\r', (size_t)(end - line));
        if (line == NULL) {
            return false;
        }
        if (strncasecmp(line, name, sizeof name - 1) == 0) {
            line += sizeof name - 1;
            return strncasecmp(line + strspn(line, " \t"), "close\r\n", 7) == 0;
        }
    }
    return false;
}

/* Sets the answer to one request, whose headers end before `end`. */
static bool answer(connection *conn, const char *text, const char *end) {
    if (strncmp(text, "GET / HTTP/1.", 13) == 0) {
        conn->out = small;
        conn->out_len = sizeof small - 1;
    } else if (strncmp(text, "GET /big HTTP/1.", 16) == 0) {
        conn->out = big;
        conn->out_len = sizeof big - 1;
        conn->blocks = BLOCKS;
    } else {
        return false;
    }
    conn->last = says_close(text, end);
    return true;
}

typedef enum { GO_ON, WAIT, END } progress;

/* What to do after an SSL_ call that did not succeed. */
static progress wait_for(int loop, connection *conn, int result) {
    int why = SSL_get_error(conn->ssl, result);
    if (why == SSL_ERROR_WANT_READ) {
        return watch(loop, conn, EPOLLIN) ? WAIT : END;
    }
    return why == SSL_ERROR_WANT_WRITE && watch(loop, conn, EPOLLOUT) ? WAIT : END;
}

static progress flush(int loop, connection *conn) {
    while (conn->out_len > 0) {
        size_t written = 0;
        int result = SSL_write_ex(fresh(conn->ssl), conn->out, conn->out_len, &written);
        if (result != 1) {
            return wait_for(loop, conn, result);
        }
        conn->out += written;
        conn->out_len -= written;
        if (conn->out_len == 0 && conn->blocks > 0) {
            conn->blocks--;
            conn->out = block;
            conn->out_len = BLOCK;
        }
    }
    return GO_ON;
}

/* Puts the part that arrived before in front of the bytes that are read now. Its length. */
static size_t restore(connection *conn) {
    size_t len = conn->partial_len;
    if (len > 0) {
        memcpy(request, conn->partial, len);
        free(conn->partial);
        conn->partial = NULL;
        conn->partial_len = 0;
    }
    return len;
}

static progress keep(connection *conn, size_t len) {
    conn->partial = len < REQUEST_MAX ? malloc(len) : NULL;
    if (conn->partial == NULL) {
        return END;
    }
    memcpy(conn->partial, request, len);
    conn->partial_len = len;
    return GO_ON;
}

/* One read, and the answer where it completes a request. The client never sends two at once. */
static progress serve_one(int loop, connection *conn) {
    size_t before = restore(conn), len = 0;
    int result = SSL_read_ex(fresh(conn->ssl), request + before, REQUEST_MAX - before, &len);
    if (result != 1) {
        return before > 0 && keep(conn, before) == END ? END : wait_for(loop, conn, result);
    }
    len += before;
    request[len] = '\0';
    char *end = memmem(request, len, "\r\n\r\n", 4);
    if (end == NULL) {
        return keep(conn, len);
    }
    return answer(conn, request, end + 2) ? flush(loop, conn) : END;
}

/* Goes on with a connection whose socket has become readable or writable. */
static void serve(int loop, connection *conn) {
    progress now = flush(loop, conn); /* where a big answer was under way */
    while (now == GO_ON) {
        now = conn->last ? END : serve_one(loop, conn);
        if (now == GO_ON && !conn->last && SSL_has_pending(conn->ssl) == 0) {
            now = watch(loop, conn, EPOLLIN) ? WAIT : END;
        }
    }
    if (now == END) {
        ERR_clear_error();
        (void)SSL_shutdown(conn->ssl);
        drop(conn);
    }
}

static int run(SSL_CTX *ctx, int listener) {
    struct epoll_event events[EVENTS], first = {.events = EPOLLIN, .data.ptr = NULL};
    int loop = epoll_create1(EPOLL_CLOEXEC);
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, listener, &first) != 0) {
        return 1;
    }
    for (;;) {
        int count = epoll_wait(loop, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL) {
                accept_all(loop, listener, ctx);
            } else {
                serve(loop, events[i].data.ptr);
            }
        }
    }
}

/* All workers but the first are child processes, which end with their parent. */
static void start_workers(int workers, int port) {
    printf("%d", port);
    for (int i = 1; i < workers; i++) {
        (void)fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            return;
        }
        printf(" %ld", (long)child);
    }
    printf(" %ld\n", (long)getpid());
    (void)fflush(stdout);
}

int main(int argc, char **argv) {
    int port = 0;
    int workers = argc == 4 ? (int)strtol(argv[3], NULL, 10) : 1;
    SSL_CTX *ctx = argc >= 3 ? new_ctx(argv + 1) : NULL;
    int listener = ctx == NULL ? -1 : listen_on_loopback(SOCK_NONBLOCK, 1024, &port);
    if (listener < 0 || workers < 1 || workers > WORKERS_MAX) {
        ERR_print_errors_fp(stderr);
        return 1;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    memset(block, 'b', sizeof block);
    start_workers(workers, port);
    return run(ctx, listener);
}
