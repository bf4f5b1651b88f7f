/*
 * table.c: sessions by id (a hash table with chains), by use (a list), by expiry (a binary heap).
 *
 *   buckets   [ 1 | 3 | . | ... ]                             the first entry of each chain
 *   entries   [ session, next, newer, older, slot, hash | ... ]
 *   heap      [ expires, entry | ... ]                        the earliest first
 *
 * Entries refer to each other by index, which keeps them small. The key is not stored; it is the id
 * that the session holds. OpenSSL's cache keeps a list in order of expiry and walks it, which takes
 * more than 100 microseconds for each insertion into a cache of 20,000 sessions whose timeouts
 * differ. The heap takes as long as with equal timeouts.
 *
 * What an attacker would try is to make ids that fall into one bucket, and to make the clock jump.
 * The caller's hash is keyed (memory.c). The table counts seconds of its own: they stand still
 * while the wall clock is set back, and start from 0 again when it is set forward by decades, so
 * that no session lives longer than it was given.
 */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/key.h"
#include "cache/store/store.h"
#include "cache/table.h"

#define ROOM_LEAST 40
#define ROOM_STEP 8
#define ROOM_KEPT 256 /* of an empty table */
#define BUCKETS_LEAST 32
#define BUCKET_FILL 2                   /* entries a bucket, at most in the mean */
#define SECONDS_HALF ((int64_t)1 << 31) /* at which the table's seconds start from 0 again */

/* ----------------------------------------------------------------------------------------- life */

void tlsl_table_init(tlsl_table *table, bool weighed, int64_t wall) {
    *table = (tlsl_table){.free = TLSL_NIL,
                          .newest = TLSL_NIL,
                          .oldest = TLSL_NIL,
                          .weighed = weighed,
                          .epoch = wall};
}

void tlsl_table_clear(tlsl_table *table) {
    free(table->buckets);
    free(table->entries);
    tlsl_table_init(table, table->weighed, table->epoch + table->now);
}

/* Makes the table's present second 0. The order stays, and what has expired stays expired. */
static void start_anew(tlsl_table *table) {
    for (uint32_t i = 0; i < table->len; i++) {
        tlsl_slot *slot = &table->heap[i];
        slot->expires = slot->expires > table->now ? slot->expires - table->now : 0;
    }
    table->epoch += table->now;
    table->now = 0;
}

uint32_t tlsl_table_tick(tlsl_table *table, int64_t wall) {
    int64_t now = wall - table->epoch;
    if (now < (int64_t)table->now) {
        table->epoch = wall - (int64_t)table->now;
    } else if (now < SECONDS_HALF) {
        table->now = (uint32_t)now;
    } else {
        table->epoch = wall - SECONDS_HALF;
        table->now = (uint32_t)SECONDS_HALF;
        start_anew(table);
    }
    return table->now;
}

/* ---------------------------------------------------------------------------------------- by id */

static uint32_t hash_of(const tlsl_entry *entry) {
    return (uint32_t)entry->hash_high << 16 | (uint32_t)entry->hash_low;
}

static uint32_t *bucket_of(const tlsl_table *table, uint32_t hash) {
    return &table->buckets[hash & (table->buckets_len - 1)];
}

static bool is(const tlsl_entry *entry, uint32_t hash, const unsigned char *key) {
    unsigned char own[TLSL_STORE_KEY];
    return hash_of(entry) == hash && tlsl_session_key(entry->session, own) &&
           memcmp(own, key, sizeof own) == 0;
}

/* Looks from entry index to the end of its chain. */
static uint32_t search(const tlsl_table *table, uint32_t index, uint32_t hash,
                       const unsigned char *key) {
    while (index != TLSL_NIL && !is(&table->entries[index], hash, key)) {
        index = table->entries[index].next;
    }
    return index;
}

uint32_t tlsl_table_find(const tlsl_table *table, uint32_t hash,
                         const unsigned char key[TLSL_STORE_KEY]) {
    return table->len == 0 ? TLSL_NIL : search(table, *bucket_of(table, hash), hash, key);
}

uint32_t tlsl_table_find_next(const tlsl_table *table, uint32_t index, uint32_t hash,
                              const unsigned char key[TLSL_STORE_KEY]) {
    return search(table, table->entries[index].next, hash, key);
}

static void chain(tlsl_table *table, uint32_t index) {
    tlsl_entry *entry = &table->entries[index];
    uint32_t *first = bucket_of(table, hash_of(entry));
    entry->next = *first & TLSL_NIL;
    *first = index;
}

static void unchain(tlsl_table *table, uint32_t index) {
    const tlsl_entry *entry = &table->entries[index];
    uint32_t *first = bucket_of(table, hash_of(entry));
    if (*first == index) {
        *first = entry->next;
        return;
    }
    uint32_t before = *first;
    while (table->entries[before].next != index) {
        before = table->entries[before].next;
    }
    table->entries[before].next = entry->next;
}

/* ------------------------------------------------------------------------------------------ use */

static void enlist(tlsl_table *table, uint32_t index) {
    tlsl_entry *entry = &table->entries[index];
    entry->newer = TLSL_NIL;
    entry->older = table->newest & TLSL_NIL;
    if (table->newest != TLSL_NIL) {
        table->entries[table->newest].newer = index & TLSL_NIL;
    } else {
        table->oldest = index;
    }
    table->newest = index;
}

static void unlist(tlsl_table *table, uint32_t index) {
    const tlsl_entry *entry = &table->entries[index];
    if (entry->newer != TLSL_NIL) {
        table->entries[entry->newer].older = entry->older;
    } else {
        table->newest = entry->older;
    }
    if (entry->older != TLSL_NIL) {
        table->entries[entry->older].newer = entry->newer;
    } else {
        table->oldest = entry->newer;
    }
}

void tlsl_table_touch(tlsl_table *table, uint32_t index) {
    unlist(table, index);
    enlist(table, index);
}

/* --------------------------------------------------------------------------------------- expiry */

static void set_slot(tlsl_table *table, uint32_t at, tlsl_slot slot) {
    table->heap[at] = slot;
    table->entries[slot.entry].slot = at & TLSL_NIL;
}

/*
 * Moves later parents of `at` down, and returns the place that this leaves for a slot that expires
 * then.
 */
static uint32_t rise(tlsl_table *table, uint32_t at, uint32_t expires) {
    while (at > 0 && table->heap[(at - 1) / 2].expires > expires) {
        uint32_t parent = (at - 1) / 2;
        set_slot(table, at, table->heap[parent]);
        at = parent;
    }
    return at;
}

/*
 * Moves earlier children of `at` up, and returns the place that this leaves for a slot that expires
 * then.
 */
static uint32_t sink(tlsl_table *table, uint32_t at, uint32_t expires) {
    uint32_t child;
    while ((child = 2 * at + 1) < table->len) {
        if (child + 1 < table->len && table->heap[child + 1].expires < table->heap[child].expires) {
            child++;
        }
        if (table->heap[child].expires >= expires) {
            break;
        }
        set_slot(table, at, table->heap[child]);
        at = child;
    }
    return at;
}

/* Puts slot where it belongs in a heap that is in order except at `at`. */
static void put_slot(tlsl_table *table, uint32_t at, tlsl_slot slot) {
    at = rise(table, at, slot.expires);
    set_slot(table, sink(table, at, slot.expires), slot);
}

static void drop_slot(tlsl_table *table, uint32_t at) {
    tlsl_slot last = table->heap[--table->len];
    if (at != table->len) {
        put_slot(table, at, last);
    }
}

/* -------------------------------------------------------------------------------------- entries */

/* Doubles the buckets. false means that memory is exhausted; the table is unchanged. */
static bool more_buckets(tlsl_table *table) {
    uint32_t len = table->buckets_len == 0 ? BUCKETS_LEAST : table->buckets_len * 2;
    uint32_t *buckets = malloc(len * sizeof *buckets);
    if (buckets == NULL) {
        return false;
    }
    free(table->buckets);
    table->buckets = buckets;
    table->buckets_len = len;
    for (uint32_t i = 0; i < len; i++) {
        buckets[i] = TLSL_NIL;
    }
    for (uint32_t i = 0; i < table->used; i++) {
        if (table->entries[i].session != NULL) {
            chain(table, i);
        }
    }
    return true;
}

/*
 * Moves entries, heap and weights into one block for `room` of them. A block for each, or realloc,
 * would leave many small pieces behind, which glibc's malloc keeps for the thread: with realloc a
 * cache of 1,000 sessions takes 50 bytes more an entry. false means that memory is exhausted; the
 * table is unchanged.
 */
static bool move(tlsl_table *table, uint32_t room) {
    size_t weight = table->weighed ? sizeof *table->weights : 0;
    tlsl_entry *entries = malloc(room * (sizeof *entries + sizeof *table->heap + weight));
    if (entries == NULL) {
        return false;
    }
    tlsl_slot *heap = (tlsl_slot *)(void *)(entries + room);
    uint32_t *weights = (uint32_t *)(void *)(heap + room);
    if (table->used > 0) {
        memcpy(entries, table->entries, table->used * sizeof *entries);
        memcpy(heap, table->heap, table->len * sizeof *heap);
        memcpy(weights, table->weights, table->used * weight);
    }
    free(table->entries);
    table->entries = entries;
    table->heap = heap;
    table->weights = weights;
    table->room = room;
    return true;
}

/*
 * Grows by a sixteenth, so that little memory is unused. The mean over tables of 1 to 20,000
 * sessions is 36 bytes a session; growth by half would make it 43. It costs 20 ns of the 95 that a
 * call of tlsl_table_add takes while a table grows to 20,000 (-O2, a loop of adds). Returns false
 * where memory is exhausted, or the table is full.
 */
static bool more_room(tlsl_table *table) {
    uint32_t step = table->room / 16 < ROOM_STEP ? ROOM_STEP : table->room / 16;
    uint32_t room = table->room == 0 ? ROOM_LEAST : table->room + step;
    room = room < TLSL_NIL ? room : TLSL_NIL;
    return room > table->room && move(table, room);
}

/* An entry to fill, or TLSL_NIL. */
static uint32_t new_entry(tlsl_table *table) {
    uint32_t index = table->free;
    if (index != TLSL_NIL) {
        table->free = table->entries[index].next;
        return index;
    }
    if (table->used == table->room && !more_room(table)) {
        return TLSL_NIL;
    }
    return table->used++;
}

static void weigh(tlsl_table *table, uint32_t index, uint32_t weight) {
    if (table->weighed) {
        table->weights[index] = weight;
    }
}

uint32_t tlsl_table_add(tlsl_table *table, uint32_t hash, SSL_SESSION *session, uint32_t expires,
                        uint32_t weight) {
    bool full = table->len >= table->buckets_len * BUCKET_FILL;
    uint32_t index = full && !more_buckets(table) ? TLSL_NIL : new_entry(table);
    if (index == TLSL_NIL) {
        return TLSL_NIL;
    }
    tlsl_entry *entry = &table->entries[index];
    entry->session = session;
    entry->hash_low = (uint16_t)hash;
    entry->hash_high = (uint16_t)(hash >> 16);
    weigh(table, index, weight);
    chain(table, index);
    enlist(table, index);
    uint32_t last = table->len++;
    set_slot(table, rise(table, last, expires), (tlsl_slot){expires, index});
    return index;
}

SSL_SESSION *tlsl_table_swap(tlsl_table *table, uint32_t index, SSL_SESSION *session,
                             uint32_t expires, uint32_t weight) {
    tlsl_entry *entry = &table->entries[index];
    SSL_SESSION *before = entry->session;
    entry->session = session;
    weigh(table, index, weight);
    put_slot(table, entry->slot, (tlsl_slot){expires, index});
    tlsl_table_touch(table, index);
    return before;
}

/*
 * A large table gives its memory back. A small one keeps it, since it may fill and empty all the
 * time.
 */
static void emptied(tlsl_table *table) {
    if (table->room > ROOM_KEPT) {
        tlsl_table_clear(table);
        return;
    }
    table->used = 0;
    table->free = TLSL_NIL;
}

SSL_SESSION *tlsl_table_remove(tlsl_table *table, uint32_t index) {
    tlsl_entry *entry = &table->entries[index];
    SSL_SESSION *session = entry->session;
    unchain(table, index);
    unlist(table, index);
    drop_slot(table, entry->slot);
    entry->session = NULL;
    entry->next = table->free & TLSL_NIL;
    table->free = index;
    if (table->len == 0) {
        emptied(table);
    }
    return session;
}
