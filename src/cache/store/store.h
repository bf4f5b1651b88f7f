/*
 * store.h: the external store of a cache, which knows keys, sealed bytes and lifetimes, but no
 * OpenSSL, no Lua and no TLS.
 *
 * A key is 32 bytes that the core has hashed. The bytes are sealed, so if a store loses, damages or
 * mixes them up, the worst that follows is a full handshake. Nothing here ever waits. A store that
 * cannot answer at once says PENDING, and is asked again after it was pumped. put and remove have
 * no reply.
 *
 * One store serves many threads: every function is safe to call from any of them at once. remove is
 * called under SSL_free, possibly in a finalizer: it must do no I/O (queue it).
 *
 * What a store holds of a connection, or has queued for one owner, belongs to one process: a child
 * of fork() begins anew (base/process.h).
 */
#ifndef TLSLIFE_STORE_H
#define TLSLIFE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tlslife.h"

#define TLSL_STORE_KEY 32
#define TLSL_STORE_BYTES_MAX ((size_t)64 * 1024) /* of one entry */

typedef enum tlsl_found {
    TLSL_FOUND_MISS = 0,
    TLSL_FOUND_HIT,
    TLSL_FOUND_PENDING,
    TLSL_FOUND_FAILED
} tlsl_found;

/*
 * One question to a store. The asker owns it, zeroed before the first call; it stays where it is
 * until it ended.
 */
typedef struct tlsl_inquiry {
    unsigned char key[TLSL_STORE_KEY];
    bool take;
    tlsl_found found;     /* PENDING while it is under way */
    unsigned char *bytes; /* HIT: malloc'ed, the asker's to free */
    size_t bytes_len;
    void *pending; /* the store's own, while found is PENDING; NULL otherwise */
} tlsl_inquiry;

typedef struct tlsl_store_verbs {
    /*
     * Begins, or after a pump goes on: sets inquiry->found. Late answers are FAILED: the store
     * keeps its own deadline.
     */
    void (*ask)(tlslife_store *store, tlsl_inquiry *inquiry);
    /*
     * Whether ask would say something else than PENDING; NULL: PENDING stays until inquiry->found
     * changes.
     */
    bool (*answered)(tlslife_store *store, const tlsl_inquiry *inquiry);
    /* The asker goes away while PENDING: the store forgets the pointer. */
    void (*cancel)(tlslife_store *store, tlsl_inquiry *inquiry);
    /* false: it could not be told (counted as a store error). bytes are copied. */
    bool (*put)(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY], const unsigned char *bytes,
                size_t bytes_len, long lifetime_seconds);
    bool (*remove)(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY]);
    /* These two may be NULL: there is nothing to wait for, and nothing to move. */
    int (*fd)(tlslife_store *store, bool *out_writing, int *out_timeout_ms); /* -1: nothing to wait for */
    void (*pump)(tlslife_store *store);                                      /* never waits */
    void (*destroy)(tlslife_store *store);                                   /* the last reference went */
    bool answered_by_program; /* PENDING ends by tlslife_conn_answer_session, not by pump */
} tlsl_store_verbs;

/* The head of every store: its first member. */
struct tlslife_store {
    const tlsl_store_verbs *verbs;
    atomic_uint refs;
};

#endif
