/*
 * support.h: declares what the benchmark's programs in plain C share, which are contexts, sockets
 * on the loopback interface, clocks and the heap. There is no tlslife in it.
 */
#ifndef TLSLIFE_BENCH_SUPPORT_H
#define TLSLIFE_BENCH_SUPPORT_H

#include <malloc.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <time.h>

/* TLS1_2_VERSION for "TLSv1.2", else TLS1_3_VERSION. */
int parse_version(const char *word);

/*
 * A context for this version alone, with the modes that tlslife sets. NULL means that it failed,
 * and OpenSSL's queue says why.
 */
SSL_CTX *new_context(const SSL_METHOD *method, int version);

/* The certificate chain and the key, both PEM files. */
bool set_identity(SSL_CTX *ctx, const char *certificate_file, const char *key_file);

/* stateful: sessions in OpenSSL's own cache. Otherwise tickets. */
bool set_server_sessions(SSL_CTX *ctx, bool stateful);

/* `keep` receives each session that may be offered. */
void set_client_sessions(SSL_CTX *ctx, int (*keep)(SSL *ssl, SSL_SESSION *session));

/* A listening socket on a free port of 127.0.0.1, or -1. flags: of socket(2). */
int listen_on_loopback(int flags, int backlog, int *port);

/* A connected, blocking socket with TCP_NODELAY and a limit of 20 seconds for a read, or -1. */
int dial_loopback(int port);

/* The clock's time in nanoseconds. */
static inline double clock_ns(clockid_t clock) {
    struct timespec now = {0, 0};
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Empties the error queue, as SSL_get_error(3) demands before each call that it judges. */
static inline SSL *fresh(SSL *ssl) {
    ERR_clear_error();
    return ssl;
}

/*
 * The heap keeps its top. Where the heap happens to end, glibc gives its top back to the system at
 * every connection's end and takes it again for the next, which costs eleven page faults each time,
 * a third of a resumed handshake.
 */
static inline void steady_heap(void) {
    (void)mallopt(M_TRIM_THRESHOLD, 256 * 1024 * 1024);
    (void)mallopt(M_TOP_PAD, 1024 * 1024);
}

#endif
