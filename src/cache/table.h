/*
 * table.h: a table of live sessions by id, in order of use and in order of expiry. Not public.
 *
 * The table takes no lock, frees no session and knows no capacity; its callers do (memory.c,
 * room.c). An entry is named by its index, which stays the same until the entry is removed.
 */
#ifndef TLSLIFE_TABLE_H
#define TLSLIFE_TABLE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/store/store.h"

#define TLSL_NIL 0xffffffU                  /* no entry; a table holds no more entries than this */
#define TLSL_SECONDS_MAX ((int64_t)1 << 30) /* a longer lifetime is cut to this */

/*
 * The indices have 24 bits, so that the hash of the id fits beside them. With members of 32 bits a
 * cache of 20,000 sessions takes 40.1 bytes an entry instead of 36.1, and OpenSSL's takes 38.7. The
 * hash is stored, so that an entry can be removed even if another owner of the session has changed
 * its id.
 */
typedef struct tlsl_entry {
    SSL_SESSION *session; /* its id is the key; NULL in a free entry */
    uint64_t next : 24;   /* in the same bucket, or the next free entry */
    uint64_t newer : 24;
    uint64_t hash_low : 16;
    uint64_t older : 24;
    uint64_t slot : 24; /* in the heap */
    uint64_t hash_high : 16;
} tlsl_entry;

typedef struct tlsl_slot { /* of the heap */
    uint32_t expires;      /* in the table's seconds */
    uint32_t entry;
} tlsl_slot;

typedef struct tlsl_table {
    uint32_t *buckets;    /* the first entry of each, or TLSL_NIL */
    uint32_t buckets_len; /* a power of two, or 0 */
    tlsl_entry *entries;  /* malloc'ed, with heap and weights behind them */
    tlsl_slot *heap;
    uint32_t *weights; /* of the entries, only in a table that is weighed */
    uint32_t room;     /* length of entries, heap and weights */
    uint32_t len;      /* entries in use, and slots of the heap */
    uint32_t used;     /* entries that have ever been in use; the others follow them */
    uint32_t free;     /* the first of the removed entries, or TLSL_NIL */
    uint32_t newest, oldest;
    uint32_t now; /* the table's seconds, which never go back */
    bool weighed;
    int64_t epoch; /* the wall clock's second at which the table's seconds were 0 */
} tlsl_table;

void tlsl_table_init(tlsl_table *table, bool weighed, int64_t wall);
/* Empties the table and gives its memory back. */
void tlsl_table_clear(tlsl_table *table);

/*
 * Advances the table's clock. It stands still while the wall clock is behind, so that no session
 * lives longer because the wall clock was set back.
 */
uint32_t tlsl_table_tick(tlsl_table *table, int64_t wall);

static inline SSL_SESSION *tlsl_table_session(const tlsl_table *table, uint32_t index) {
    return table->entries[index].session;
}

/* key is an id, padded with zeros. Returns TLSL_NIL where there is no such entry. */
uint32_t tlsl_table_find(const tlsl_table *table, uint32_t hash,
                         const unsigned char key[TLSL_STORE_KEY]);
/* A table may hold several sessions of one id. Returns the next one after index. */
uint32_t tlsl_table_find_next(const tlsl_table *table, uint32_t index, uint32_t hash,
                              const unsigned char key[TLSL_STORE_KEY]);
/*
 * Adds session as the newest entry and takes over the caller's reference. Returns TLSL_NIL if
 * memory is exhausted or the table is full.
 */
uint32_t tlsl_table_add(tlsl_table *table, uint32_t hash, SSL_SESSION *session, uint32_t expires,
                        uint32_t weight);
/*
 * Puts another session of the same id into the entry, which becomes the newest. Returns the
 * previous session, with its reference.
 */
SSL_SESSION *tlsl_table_swap(tlsl_table *table, uint32_t index, SSL_SESSION *session,
                             uint32_t expires, uint32_t weight);
/* Frees the entry. Returns its session, with its reference. */
SSL_SESSION *tlsl_table_remove(tlsl_table *table, uint32_t index);
/* Makes the entry the newest. */
void tlsl_table_touch(tlsl_table *table, uint32_t index);

/* The entry used least recently, or TLSL_NIL. */
static inline uint32_t tlsl_table_oldest(const tlsl_table *table) {
    return table->oldest;
}

static inline uint32_t tlsl_table_expires(const tlsl_table *table, uint32_t index) {
    return table->heap[table->entries[index].slot].expires;
}

/* Of the entries that have expired the one that expired first, or TLSL_NIL. */
static inline uint32_t tlsl_table_expired(const tlsl_table *table) {
    return table->len > 0 && table->heap[0].expires <= table->now ? table->heap[0].entry : TLSL_NIL;
}

static inline uint32_t tlsl_table_weight(const tlsl_table *table, uint32_t index) {
    return table->weighed ? table->weights[index] : 0;
}

#endif
