/*
 * sessions.h: makes sessions for the tests of the cache, and the clock by which they expire.
 *
 * time() is defined here, for the library and for libssl, so that a test can set the clock. Each
 * session has an ex_data whose free function counts it. So a test notices a session that is freed
 * too late or never, and AddressSanitizer one that is freed too early.
 */
#ifndef TLSLIFE_SPEC_SESSIONS_H
#define TLSLIFE_SPEC_SESSIONS_H

#include "cache/memory.h"
#include "tlslife.h"
#include "tlslife_openssl.h"

#include <stdlib.h>
#include <string.h>

#define START 1700000000

static _Atomic time_t the_time = START;

time_t time(time_t *out) { /* NOLINT: libc's, for the whole process */
    if (out != NULL) {
        *out = the_time;
    }
    return the_time;
}

static SSL *cipher_finder; /* SSL_CIPHER_find wants one */
static atomic_int live;

static void on_new(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl,
                   void *argp) {
    (void)parent, (void)ptr, (void)data, (void)index, (void)argl, (void)argp;
    live++;
}

static void on_free(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl,
                    void *argp) {
    (void)parent, (void)ptr, (void)data, (void)index, (void)argl, (void)argp;
    live--;
}

static inline void sessions_begin(void) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    cipher_finder = SSL_new(ctx);
    SSL_CTX_free(ctx);
    if (cipher_finder == NULL || SSL_SESSION_get_ex_new_index(0, NULL, on_new, NULL, on_free) < 0) {
        abort();
    }
}

static inline void sessions_end(void) {
    SSL_free(cipher_finder);
}

static inline unsigned next_random(unsigned *state) {
    *state = *state * 1103515245u + 12345u;
    return *state >> 16;
}

/* Makes an id from n: the last four bytes are n, the others look random and depend on it. */
static inline void nth_id(unsigned n, unsigned char id[32]) {
    unsigned state = n * 2654435761u + 1;
    for (size_t i = 0; i < 28; i++) {
        id[i] = (unsigned char)next_random(&state);
    }
    memcpy(id + 28, &n, sizeof n);
}

static inline SSL_SESSION *make_session(const unsigned char *id, size_t id_len, int version,
                                        long timeout) {
    static const unsigned char cipher_12[] = {0xc0, 0x2f}, cipher_13[] = {0x13, 0x01};
    static unsigned number;
    unsigned char secret[48] = {0};
    number++;
    memcpy(secret, &number, sizeof number);
    SSL_SESSION *session = SSL_SESSION_new();
    if (session == NULL || SSL_SESSION_set1_id(session, id, (unsigned)id_len) != 1 ||
        SSL_SESSION_set_protocol_version(session, version) != 1 ||
        SSL_SESSION_set_cipher(session, SSL_CIPHER_find(cipher_finder, version == TLS1_3_VERSION
                                                                           ? cipher_13
                                                                           : cipher_12)) != 1 ||
        SSL_SESSION_set1_master_key(session, secret, version == TLS1_3_VERSION ? 32 : 48) != 1) {
        abort();
    }
    SSL_SESSION_set_time(session, (long)the_time);
    SSL_SESSION_set_timeout(session, timeout);
    return session;
}

static inline SSL_SESSION *nth_session(unsigned n, long timeout) {
    unsigned char id[32];
    nth_id(n, id);
    return make_session(id, sizeof id, TLS1_2_VERSION, timeout);
}

static inline tlslife_session *as(SSL_SESSION *session) {
    return tlslife_session_from_ssl_session(session);
}

/* --------------------------------------------------------------------------------------- caches */

static inline tlslife_cache *new_cache(size_t capacity) {
    tlslife_cache_options options = tlslife_cache_defaults();
    options.capacity = capacity;
    return tlslife_cache_new(&options, NULL);
}

static inline tlslife_cache_stats stats_of(const tlslife_cache *cache) {
    tlslife_cache_stats stats;
    tlslife_cache_get_stats(cache, &stats);
    return stats;
}

/* -- clients */

static inline tlsl_cache_key peer_key(unsigned n) {
    tlsl_cache_key key = {.client = true};
    nth_id(n ^ 0x80000000u, key.bytes);
    return key;
}

static inline SSL_SESSION *client_session(unsigned n, int version) {
    unsigned char id[32];
    nth_id(n, id);
    return make_session(id, sizeof id, version, 1000);
}

/*
 * What the cache has for the peer. The reference is given up at once, so the pointer is good for
 * comparison only.
 */
static inline SSL_SESSION *find(tlslife_cache *cache, unsigned peer, tlslife_outcome *why) {
    tlsl_cache_key key = peer_key(peer);
    *why = TLSLIFE_OUTCOME_NONE;
    SSL_SESSION *session = tlsl_cache_find(cache, &key, false, true, why);
    SSL_SESSION_free(session);
    return session;
}

#endif
