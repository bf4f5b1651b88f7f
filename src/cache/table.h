/*
 * table.h: a table of live sessions by their ids, in order of use and in order of expiry. Not public.
 *
 * It takes no lock, frees no session and knows no capacity: cache.c does. An entry is an index below
 * TLSL_NIL; it stays what it is until it is removed. What a table costs an entry is 28 bytes and 5 to 7 of
 * slots: an LHASH node of OpenSSL's own cache is a malloc of 32 and 4 to 8.
 */
#ifndef TLSLIFE_CACHE_TABLE_H
#define TLSLIFE_CACHE_TABLE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cache/store/store.h"

#define TLSL_NIL 0xffffffU                      /* no entry; a table holds no more than this */
#define TLSL_TOUCHES 16                         /* that may wait */
#define TLSL_SECONDS_MAX ((int64_t)1 << 30)     /* a longer life is cut to this */

/*
 * The three indices have 24 bits, so that a hash of the id fits beside them: nothing is ever moved or removed
 * by what a session says of itself at that moment. A pointer would want 24 bytes in all.
 */
typedef struct tlsl_entry {
    unsigned char session[sizeof(SSL_SESSION *)]; /* the pointer; its id is the key. NULL: free */
    uint32_t newer : 24;                          /* or the next free one */
    uint32_t hash_0 : 8;
    uint32_t older : 24;
    uint32_t hash_1 : 8;
    uint32_t place : 24; /* in the heap */
    uint32_t hash_2 : 8;
} tlsl_entry;

#define TLSL_GROUP 15

/* A line of the processor's cache. A word is an entry, and eight bits of its hash above; or TLSL_NIL. */
typedef struct tlsl_group {
    uint32_t words[TLSL_GROUP];
    uint32_t passed; /* entries that belong here, or before, and found this full: they are further on */
} tlsl_group;

typedef struct tlsl_slot { /* of the heap */
    uint32_t expires; /* the table's seconds */
    uint32_t entry;
} tlsl_slot;

typedef struct tlsl_table {
    void *block; /* malloc's, with what follows in it */
    tlsl_group *groups;
    tlsl_entry *entries;
    tlsl_slot *heap;
    uint32_t *weights;   /* of the entries, only in a table that is weighed */
    uint32_t groups_len; /* or 0 */
    uint32_t room;       /* of entries, heap and weights */
    uint32_t len;         /* entries that are there, and slots of the heap */
    uint32_t used;        /* entries that were ever used: those from here on are new */
    uint32_t free;        /* the first of those that were given back */
    uint32_t newest, oldest; /* but for the touches that wait */
    uint32_t now; /* the table's seconds: they never go back */
    bool weighed;
    int64_t epoch; /* the wall clock's second at which the table's are 0 */
    uint32_t touches[TLSL_TOUCHES]; /* entries, in the order in which they were used */
    uint32_t touches_len;
} tlsl_table;

void tlsl_table_init(tlsl_table *table, bool weighed, int64_t wall);
/* Gives memory back; the table is empty. */
void tlsl_table_clear(tlsl_table *table);

/* Moves the table's clock on. Where the wall's went back, it stands still: nothing lives longer for it. */
uint32_t tlsl_table_tick(tlsl_table *table, int64_t wall);

static inline SSL_SESSION *tlsl_table_session(const tlsl_table *table, uint32_t index) {
    SSL_SESSION *session;
    memcpy(&session, table->entries[index].session, sizeof session);
    return session;
}

/* It will be looked for: the memory is on its way. */
void tlsl_table_foresee(const tlsl_table *table, uint32_t hash);
/* key: an id, padded with zeros. TLSL_NIL: none. */
uint32_t tlsl_table_find(const tlsl_table *table, uint32_t hash, const unsigned char key[TLSL_STORE_KEY]);
/* The next after index with that id: a table may hold several. */
uint32_t tlsl_table_find_next(const tlsl_table *table, uint32_t index, uint32_t hash,
                              const unsigned char key[TLSL_STORE_KEY]);
/* The newest of all, with the reference given. TLSL_NIL: out of memory, or full. */
uint32_t tlsl_table_add(tlsl_table *table, uint32_t hash, SSL_SESSION *session, uint32_t expires,
                        uint32_t weight);
/* Another session, of the same id, takes the entry's place; the one that was there. */
SSL_SESSION *tlsl_table_swap(tlsl_table *table, uint32_t index, SSL_SESSION *session, uint32_t expires,
                             uint32_t weight);
/* The entry is free; its session, with the reference. */
SSL_SESSION *tlsl_table_remove(tlsl_table *table, uint32_t index);
void tlsl_table_touch(tlsl_table *table, uint32_t index); /* it is the newest now */
uint32_t tlsl_table_oldest(tlsl_table *table); /* the one used least recently, or TLSL_NIL */

static inline uint32_t tlsl_table_expires(const tlsl_table *table, uint32_t index) {
    return table->heap[table->entries[index].place].expires;
}

/* One that has expired at the table's time, the earliest first, or TLSL_NIL. */
static inline uint32_t tlsl_table_expired(const tlsl_table *table) {
    return table->len > 0 && table->heap[0].expires <= table->now ? table->heap[0].entry : TLSL_NIL;
}

static inline uint32_t tlsl_table_weight(const tlsl_table *table, uint32_t index) {
    return table->weighed ? table->weights[index] : 0;
}

#endif
