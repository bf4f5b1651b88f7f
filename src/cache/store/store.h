/*
 * store.h: declares the external store of a cache. It knows keys, sealed bytes and lifetimes, but
 * not OpenSSL, Lua or TLS.
 *
 * A key is 32 bytes that the core has hashed. The bytes are sealed, so if a store loses, damages or
 * exchanges them, the worst result is a full handshake. No function waits. A store that cannot
 * answer at once says PENDING, and is asked again after it was pumped. put and remove have no
 * reply.
 *
 * Many threads share a store, and may call every function at the same time. remove and remove_if
 * are called under SSL_free, possibly in a finalizer, so they must do no I/O but queue the removal.
 *
 * A store's connection and what it has queued belong to one process. A child of fork() begins anew
 * (base/process.h).
 */
#ifndef TLSLIFE_STORE_H
#define TLSLIFE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tlslife.h"

#define TLSL_STORE_KEY 32
#define TLSL_STORE_HEAD 33 /* bytes by which sealed entries differ: what precedes the ciphertext */
#define TLSL_STORE_BYTES_MAX ((size_t)64 * 1024) /* the most bytes of one entry */

typedef enum tlsl_found {
    TLSL_FOUND_MISS = 0,
    TLSL_FOUND_HIT,
    TLSL_FOUND_PENDING,
    TLSL_FOUND_FAILED
} tlsl_found;

/*
 * One lookup in a store. The caller owns it, zeroes it before the first call, and does not move it
 * before the lookup has ended.
 */
typedef struct tlsl_inquiry {
    unsigned char key[TLSL_STORE_KEY];
    bool take;
    tlsl_found found;     /* PENDING until there is an answer */
    unsigned char *bytes; /* after HIT; the caller frees it (malloc) */
    size_t bytes_len;
    void *pending; /* belongs to the store while found is PENDING, NULL otherwise */
} tlsl_inquiry;

typedef struct tlsl_store_verbs {
    /*
     * Begins a lookup, or continues it after a pump. Sets inquiry->found. The store has a deadline
     * of its own, after which found is FAILED.
     */
    void (*ask)(tlslife_store *store, tlsl_inquiry *inquiry);
    /*
     * Whether ask would now give something other than PENDING. If it is NULL, a lookup is PENDING
     * until inquiry->found changes.
     */
    bool (*answered)(tlslife_store *store, const tlsl_inquiry *inquiry);
    /* Cancels a PENDING lookup. The store forgets the pointer. NULL if none is ever PENDING. */
    void (*cancel)(tlslife_store *store, tlsl_inquiry *inquiry);
    /*
     * put copies bytes. false means that the store could not accept the operation, which counts as
     * a store error.
     */
    bool (*put)(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY],
                const unsigned char *bytes, size_t bytes_len, long lifetime_seconds);
    bool (*remove)(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY]);
    /*
     * Removes the entry only if it begins with head, as no other entry does. So an entry that has
     * replaced it under the same key stays.
     */
    bool (*remove_if)(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY],
                      const unsigned char head[TLSL_STORE_HEAD]);
    /*
     * fd and pump may be NULL, if there is nothing to wait for and no bytes to move. fd returns -1
     * if there is nothing to wait for now.
     */
    int (*fd)(tlslife_store *store, bool *out_writing, int *out_timeout_ms);
    void (*pump)(tlslife_store *store); /* never waits */
    void (*destroy)(tlslife_store *store); /* called with the last reference */
    bool answered_by_program; /* tlslife_conn_answer_session ends PENDING, not pump */
} tlsl_store_verbs;

/* The first member of every store. */
struct tlslife_store {
    const tlsl_store_verbs *verbs;
    atomic_uint refs;
};

/* A zeroed store of size bytes with one reference. NULL: no memory (err says so). */
tlslife_store *tlsl_store_new(const tlsl_store_verbs *verbs, size_t size, tlslife_error *err);

#endif
