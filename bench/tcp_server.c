/*
 * tcp_server.c: a plain C server on libssl, with which bench/tcp.lua compares the same server as a
 * script. It serves one connection after the other, and its calls block.
 *
 *   tcp_server TLSv1.2|TLSv1.3 stateful|tickets certificate.pem key.pem
 *
 * It prints "port pid" and serves until it is killed. The comparison is fair: versions, modes, kind
 * of session, socket options and calls are those of bench/tcp_server.lua. OpenSSL's own cache keeps
 * the sessions. There is no tlslife in it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "support.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] =
    "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
    "Connection: close\r\n\r\nok\n";

/* words: as this program's. */
static SSL_CTX *new_ctx(char **words) {
    SSL_CTX *ctx = new_context(TLS_server_method(), parse_version(words[0]));
    if (ctx != NULL && set_identity(ctx, words[2], words[3]) &&
        set_server_sessions(ctx, strcmp(words[1], "stateful") == 0)) {
        return ctx;
    }
    SSL_CTX_free(ctx);
    return NULL;
}

/* Whether all went as it should, to the client's close_notify. */
static bool serve(SSL *ssl, int fd) {
    char request[16384];
    size_t len;
    return SSL_set_fd(ssl, fd) == 1 && SSL_accept(fresh(ssl)) == 1 &&
           SSL_read_ex(fresh(ssl), request, sizeof request, &len) == 1 &&
           SSL_write_ex(fresh(ssl), answer, sizeof answer - 1, &len) == 1 &&
           SSL_shutdown(fresh(ssl)) == 0 && SSL_shutdown(fresh(ssl)) == 1;
}

static bool serve_next(SSL_CTX *ctx, int listener) {
    const int on = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    SSL *ssl = SSL_new(ctx);
    bool ok = ssl != NULL && serve(ssl, fd);
    SSL_free(ssl);
    (void)close(fd);
    return ok;
}

int main(int argc, char **argv) {
    int port = 0;
    (void)signal(SIGPIPE, SIG_IGN);
    SSL_CTX *ctx = argc == 5 ? new_ctx(argv + 1) : NULL;
    int listener = ctx == NULL ? -1 : listen_on_loopback(0, 128, &port);
    printf("%d %ld\n", port, (long)getpid());
    (void)fflush(stdout);
    while (listener >= 0 && serve_next(ctx, listener)) {}
    ERR_print_errors_fp(stderr);
    return 1;
}
