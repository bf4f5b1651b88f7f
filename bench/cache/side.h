/*
 * side.h: one of the two that are compared: our cache, or OpenSSL's own; and the sessions that are
 * put there.
 *
 * What is fair: both sides have sessions of their own of one size, made and freed outside of the
 * clock, the same ids in the same order, and a reference of their own for each; one is looked up as
 * OpenSSL does it (a read lock, the hash table: SSL_has_matching_session_id(3)) with a reference
 * taken and dropped. Where timeouts are mixed, OpenSSL's cache is filled in the order that it likes
 * best; else the filling alone would take minutes.
 */
#ifndef TLSLIFE_BENCH_SIDE_H
#define TLSLIFE_BENCH_SIDE_H

#include "rows.h"
#include "sessions.h"
#include "tlslife.h"
#include "tlslife_openssl.h"

#define BATCH 2000 /* operations between two looks at the clock */

typedef struct side {
    tlslife_cache *cache; /* ours; or NULL, and: */
    SSL_CTX *ctx;
    SSL *ssl;
    SSL_SESSION **resident; /* a reference to each beside the cache's */
    size_t resident_len;
    SSL_SESSION *batch[BATCH];
    size_t batch_len;
    uint32_t made;
} side;

/* How long sessions live. */
typedef enum timeouts { EQUAL, MIXED, SHORTENED } timeouts;
/* share: 0 to 1, of the way through the filling. */
long filling_lives(timeouts which, double share);

void side_init(side *one, bool ours, size_t capacity);
void side_clear(side *one);
/* The bytes that it took beside the sessions themselves. */
size_t side_fill(side *one, size_t entries, timeouts which);
/* Sessions to be put. */
void batch_make(side *one, size_t len, timeouts which);
void batch_free(side *one);

/* -- what is measured */

static inline void put(side *one, SSL_SESSION *session) {
    if (one->cache != NULL) {
        demand(tlslife_cache_put(one->cache, tlslife_session_from_ssl_session(session)), "not put");
    } else {
        demand(SSL_CTX_add_session(one->ctx, session) == 1, "not added");
    }
}

static inline void get(side *one, const unsigned char *id, SSL_SESSION *session) {
    if (one->cache != NULL) {
        tlslife_session *found = tlslife_cache_get(one->cache, id, 32);
        demand(found != NULL, "not found");
        tlslife_session_free(found);
    } else {
        demand(SSL_has_matching_session_id(one->ssl, id, 32) == 1 && SSL_SESSION_up_ref(session) == 1,
               "not there");
        SSL_SESSION_free(session);
    }
}

static inline void drop(side *one, SSL_SESSION *session) {
    unsigned id_len = 0;
    if (one->cache != NULL) {
        const unsigned char *id = SSL_SESSION_get_id(session, &id_len);
        demand(tlslife_cache_remove(one->cache, id, id_len), "not removed");
    } else {
        demand(SSL_CTX_remove_session(one->ctx, session) == 1, "not removed");
    }
}

#endif
