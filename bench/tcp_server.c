/*
 * tcp_server.c: the measure of bench/tcp.lua: a plain C server on libssl, blocking, one connection
 * after the other.
 *
 *   tcp_server TLSv1.2|TLSv1.3 stateful|tickets certificate.pem key.pem
 *
 * It prints "port pid" and serves until it is killed. What is fair: versions, modes, kind of
 * session, socket options and calls are those of bench/tcp_server.lua. Sessions are kept by
 * OpenSSL's own cache. No tlslife in it.
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
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] =
    "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
    "Connection: close\r\n\r\nok\n";

static bool set_sessions(SSL_CTX *ctx, bool stateful) {
    static const unsigned char id_context[] = "bench";
    SSL_CTX_set_session_cache_mode(ctx, stateful ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_OFF);
    if (stateful)
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    return SSL_CTX_set_session_id_context(ctx, id_context, sizeof id_context - 1) == 1;
}

static SSL_CTX *new_ctx(char **words) {
    int version = strcmp(words[0], "TLSv1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL)
        return NULL;
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_set_min_proto_version(ctx, version) == 1 &&
        SSL_CTX_set_max_proto_version(ctx, version) == 1 &&
        SSL_CTX_use_certificate_chain_file(ctx, words[2]) == 1 &&
        SSL_CTX_use_PrivateKey_file(ctx, words[3], SSL_FILETYPE_PEM) == 1 &&
        set_sessions(ctx, strcmp(words[1], "stateful") == 0))
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

static int open_listener(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, len) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        return -1;
    printf("%d %ld\n", ntohs(address.sin_port), (long)getpid());
    return fflush(stdout) == 0 ? fd : -1;
}

/* As SSL_get_error(3) demands before each call that may be asked about. */
static SSL *fresh(SSL *ssl) {
    ERR_clear_error();
    return ssl;
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
    if (fd < 0)
        return false;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    SSL *ssl = SSL_new(ctx);
    bool ok = ssl != NULL && serve(ssl, fd);
    SSL_free(ssl);
    (void)close(fd);
    return ok;
}

int main(int argc, char **argv) {
    (void)signal(SIGPIPE, SIG_IGN);
    SSL_CTX *ctx = argc == 5 ? new_ctx(argv + 1) : NULL;
    int listener = ctx == NULL ? -1 : open_listener();
    while (listener >= 0 && serve_next(ctx, listener)) {}
    ERR_print_errors_fp(stderr);
    return 1;
}
