/*
 * support.c: makes contexts and sockets for the benchmark's programs in plain C.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "support.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int parse_version(const char *word) {
    return strcmp(word, "TLSv1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

SSL_CTX *new_context(const SSL_METHOD *method, int version) {
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, version) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, version) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return ctx;
}

bool set_identity(SSL_CTX *ctx, const char *certificate_file, const char *key_file) {
    return SSL_CTX_use_certificate_chain_file(ctx, certificate_file) == 1 &&
           SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) == 1;
}

bool set_server_sessions(SSL_CTX *ctx, bool stateful) {
    static const unsigned char id_context[] = "bench";
    SSL_CTX_set_session_cache_mode(ctx, stateful ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_OFF);
    if (stateful) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    }
    return SSL_CTX_set_session_id_context(ctx, id_context, sizeof id_context - 1) == 1;
}

void set_client_sessions(SSL_CTX *ctx, int (*keep)(SSL *ssl, SSL_SESSION *session)) {
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep);
}

int listen_on_loopback(int flags, int backlog, int *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, len) != 0 ||
        listen(fd, backlog) != 0 || getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

int dial_loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = 20};
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        return fd;
    }
    (void)close(fd);
    return -1;
}
