/*
 * tcp_client.c: the client that drives the servers of bench/tcp.lua, and reads what processor time
 * they used.
 *
 *   tcp_client TLSv1.2|TLSv1.3 turns handshakes port:pid...
 *
 * Each server gets a first connection, which is not counted, and then `turns` times `handshakes`
 * connections, in turns with the others: each offers the newest session that this server gave (in
 * TLS 1.3 each connection brings one), sends one request, reads the answer up to close_notify and
 * answers that. A connection that was not resumed, or did not end with close_notify, ends the
 * program: a server that resumes less than always is not measured at all. What is printed is a line
 * for each server: nanoseconds of its process, user's and system's, a connection; and how many were
 * resumed.
 *
 * The clock is the server's own (clock_getcpuclockid(3)), so nothing that this program does is in
 * it. No tlslife either.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct server {
    int port;
    clockid_t clock;
    SSL_SESSION *session; /* the newest that it gave */
    double nanoseconds;
    long resumed;
} server;

/* Called by libssl with each session that may be offered: the newest is kept. */
static int keep_session(SSL *ssl, SSL_SESSION *session) {
    server *from = SSL_get_app_data(ssl);
    SSL_SESSION_free(from->session);
    from->session = session;
    return 1;
}

/*
 * The servers present certificates made for this run; that they are verified is no server's work.
 */
static SSL_CTX *new_ctx(const char *version) {
    int wanted = strcmp(version, "TLSv1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, wanted) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, wanted) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    return ctx;
}

static int dial(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

/* One request, the whole answer, and close_notify both ways. */
static bool ask(SSL *ssl) {
    static const char request[] = "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n";
    char answer[4096];
    size_t len, got = 0;
    int result;
    if (SSL_write_ex(ssl, request, sizeof request - 1, &len) != 1)
        return false;
    while ((result = SSL_read_ex(ssl, answer, sizeof answer, &len)) == 1)
        got += len;
    return SSL_get_error(ssl, result) == SSL_ERROR_ZERO_RETURN && got > 0 && SSL_shutdown(ssl) == 1;
}

static bool talk(SSL *ssl, server *to, int fd) {
    static char host[] = "localhost"; /* not const: OpenSSL's macro casts that away */
    bool offered = to->session != NULL;
    SSL_set_app_data(ssl, to);
    ERR_clear_error();
    if (SSL_set_fd(ssl, fd) != 1 || SSL_set_tlsext_host_name(ssl, host) != 1 ||
        (offered && SSL_set_session(ssl, to->session) != 1) || SSL_connect(ssl) != 1 || !ask(ssl))
        return false;
    to->resumed += SSL_session_reused(ssl);
    return (SSL_session_reused(ssl) == 1) == offered && to->session != NULL;
}

static bool connect_once(SSL_CTX *ctx, server *to) {
    int fd = dial(to->port);
    SSL *ssl = fd < 0 ? NULL : SSL_new(ctx);
    bool ok = ssl != NULL && talk(ssl, to, fd);
    SSL_free(ssl);
    if (fd >= 0)
        (void)close(fd);
    return ok;
}

static double used(const server *by) {
    struct timespec now = {0, 0};
    (void)clock_gettime(by->clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static bool turn(SSL_CTX *ctx, server *to, long handshakes) {
    double start = used(to);
    for (long i = 0; i < handshakes; i++)
        if (!connect_once(ctx, to))
            return false;
    to->nanoseconds += used(to) - start;
    return true;
}

/* Each turn begins with another server. 0, or the port of the one that failed. */
static int drive(SSL_CTX *ctx, server *servers, long count, long turns, long handshakes) {
    for (long i = 0; i < count; i++)
        if (!connect_once(ctx, &servers[i]))
            return servers[i].port;
    for (long t = 0; t < turns; t++)
        for (long i = 0; i < count; i++) {
            server *next = &servers[(t + i) % count];
            if (!turn(ctx, next, handshakes))
                return next->port;
        }
    return 0;
}

static bool parse(server *out, const char *word) {
    char *end;
    *out = (server){.port = (int)strtol(word, &end, 10)};
    return *end == ':' && clock_getcpuclockid((pid_t)strtol(end + 1, NULL, 10), &out->clock) == 0;
}

static void report(server *servers, long count, long connections) {
    for (long i = 0; i < count; i++) {
        printf("%.1f %ld\n", servers[i].nanoseconds / (double)connections, servers[i].resumed);
        SSL_SESSION_free(servers[i].session);
    }
}

int main(int argc, char **argv) {
    enum { MOST = 8, FIXED = 4 };
    server servers[MOST];
    long count = argc - FIXED;
    if (count < 1 || count > MOST)
        return 2;
    for (long i = 0; i < count; i++)
        if (!parse(&servers[i], argv[FIXED + i]))
            return 2;
    (void)signal(SIGPIPE, SIG_IGN); /* a server may be gone before our close_notify comes */
    long turns = strtol(argv[2], NULL, 10), handshakes = strtol(argv[3], NULL, 10);
    SSL_CTX *ctx = new_ctx(argv[1]);
    int failed = ctx == NULL ? -1 : drive(ctx, servers, count, turns, handshakes);
    if (failed != 0) {
        fprintf(stderr, "tcp_client: port %d: a connection failed, or was not resumed\n", failed);
        ERR_print_errors_fp(stderr);
    }
    report(servers, count, turns * handshakes);
    SSL_CTX_free(ctx);
    return failed != 0;
}
