/*
 * cache_table.c: sessions by id (a chained hash), by use (a list) and by expiry (a heap).
 *
 *   entries   [ session, chain, newer, older, place, hash | ... ]
 *   heap      [ expires, entry | ... ]        the earliest first
 *   buckets   [ 1 | . | 2 | . ]               the first entry of each chain
 *
 * Everything is an index, so that an entry is small: it borrows its key from the session. The heap is of
 * four children a node, with the time of expiry in it: where all timeouts are equal, adding is one
 * comparison, and whether anything has expired is one look at the first slot. OpenSSL keeps a list in order
 * of expiry and walks it: tens of microseconds an insertion once timeouts differ.
 *
 * What an attacker would try: ids that fall into one chain (the hash is keyed, cache.c), and a clock that
 * jumps. The table has seconds of its own: they stand still where the wall clock goes back, and start anew
 * where it is moved ahead by decades, so that nothing lives longer than it was given.
 */
#include "cache_table.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS_LEAST 32
#define CHILDREN 4
#define ROOM_LEAST 40
#define ROOM_STEP 8
#define ROOM_KEPT 256                   /* of an empty table */
#define SECONDS_HALF ((int64_t)1 << 31) /* where the table's seconds start anew */

static uint32_t hash_of(const tlsl_entry *entry) {
    return (uint32_t)entry->hash_0 | (uint32_t)entry->hash_1 << 8 | (uint32_t)entry->hash_2 << 16 |
           (uint32_t)entry->hash_3 << 24;
}

static void set_hash(tlsl_entry *entry, uint32_t hash) {
    entry->hash_0 = hash & 0xffU;
    entry->hash_1 = (hash >> 8) & 0xffU;
    entry->hash_2 = (hash >> 16) & 0xffU;
    entry->hash_3 = (uint8_t)(hash >> 24);
}

/* ------------------------------------------------------------------------------------------------- life */

void tlsl_table_init(tlsl_table *table, bool weighed, int64_t wall) {
    *table = (tlsl_table){
        .free = TLSL_NIL, .newest = TLSL_NIL, .oldest = TLSL_NIL, .weighed = weighed, .epoch = wall};
}

void tlsl_table_clear(tlsl_table *table) {
    free(table->entries);
    tlsl_table_init(table, table->weighed, table->epoch + table->now);
}

/* The same order, with the table's present as 0: what has expired stays so. */
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

/* ------------------------------------------------------------------------------------------------ chains */

static uint32_t *bucket(const tlsl_table *table, uint32_t hash) {
    return &table->buckets[hash & (table->buckets_len - 1)];
}

static bool is(const tlsl_entry *entry, uint32_t hash, const unsigned char *key) {
    static const unsigned char zeros[TLSL_STORE_KEY];
    if (hash_of(entry) != hash) {
        return false;
    }
    unsigned len = 0;
    const unsigned char *id = SSL_SESSION_get_id(entry->session, &len);
    if (len == TLSL_STORE_KEY) {
        return memcmp(id, key, TLSL_STORE_KEY) == 0;
    }
    return memcmp(id, key, len) == 0 && memcmp(key + len, zeros, TLSL_STORE_KEY - len) == 0;
}

static uint32_t follow(const tlsl_table *table, uint32_t index, uint32_t hash, const unsigned char *key) {
    while (index != TLSL_NIL && !is(&table->entries[index], hash, key)) {
        index = table->entries[index].chain;
    }
    return index;
}

uint32_t tlsl_table_find(const tlsl_table *table, uint32_t hash, const unsigned char key[TLSL_STORE_KEY]) {
    return table->len == 0 ? TLSL_NIL : follow(table, *bucket(table, hash), hash, key);
}

uint32_t tlsl_table_find_next(const tlsl_table *table, uint32_t index, uint32_t hash,
                              const unsigned char key[TLSL_STORE_KEY]) {
    return follow(table, table->entries[index].chain, hash, key);
}

static void chain(tlsl_table *table, uint32_t index) {
    tlsl_entry *entry = &table->entries[index];
    uint32_t *first = bucket(table, hash_of(entry));
    entry->chain = *first & TLSL_NIL;
    *first = index;
}

static void unchain(tlsl_table *table, uint32_t index) {
    tlsl_entry *entry = &table->entries[index];
    uint32_t *first = bucket(table, hash_of(entry));
    if (*first == index) {
        *first = entry->chain;
        return;
    }
    tlsl_entry *before = &table->entries[*first];
    while (before->chain != index) {
        before = &table->entries[before->chain];
    }
    before->chain = entry->chain;
}

static void chain_all(tlsl_table *table) {
    for (uint32_t i = 0; i < table->buckets_len; i++) {
        table->buckets[i] = TLSL_NIL;
    }
    for (uint32_t i = 0; i < table->used; i++) {
        if (table->entries[i].session != NULL) {
            chain(table, i);
        }
    }
}

/* --------------------------------------------------------------------------------------------------- use */

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

static void foresee(const tlsl_table *table, uint32_t index) {
    if (index != TLSL_NIL) {
        __builtin_prefetch(&table->entries[index], 1);
    }
}

/*
 * To move one entry to the front is to write to its neighbours, which are anywhere in memory: in a large
 * table that costs as much as finding it. So touches wait for each other, and their neighbours are fetched
 * all at once. Whatever depends on the order, or ends an entry, has it made up for first.
 */
static void settle_touches(tlsl_table *table) {
    for (uint32_t i = 0; i < table->touches_len; i++) {
        foresee(table, table->entries[table->touches[i]].newer);
        foresee(table, table->entries[table->touches[i]].older);
    }
    for (uint32_t i = 0; i < table->touches_len; i++) {
        if (table->newest != table->touches[i]) {
            unlist(table, table->touches[i]);
            enlist(table, table->touches[i]);
        }
    }
    table->touches_len = 0;
}

void tlsl_table_touch(tlsl_table *table, uint32_t index) {
    table->touches[table->touches_len++] = index;
    if (table->touches_len == TLSL_TOUCHES) {
        settle_touches(table);
    }
}

uint32_t tlsl_table_oldest(tlsl_table *table) {
    settle_touches(table);
    return table->oldest;
}

/* ------------------------------------------------------------------------------------------------ expiry */

static void settle(tlsl_table *table, uint32_t place, tlsl_slot slot) {
    table->heap[place] = slot;
    table->entries[slot.entry].place = place & TLSL_NIL;
}

/* Where a slot goes that is wanted at place: towards the first while its parent expires later. */
static uint32_t rise(tlsl_table *table, uint32_t place, uint32_t expires) {
    while (place > 0) {
        uint32_t parent = (place - 1) / CHILDREN;
        const tlsl_slot *above = &table->heap[parent];
        if (above->expires <= expires) {
            break;
        }
        settle(table, place, *above);
        place = parent;
    }
    return place;
}

/* The child of place that expires first; len: it has none. */
static uint32_t first_child(const tlsl_table *table, uint32_t place) {
    uint64_t child = (uint64_t)place * CHILDREN + 1;
    uint64_t end = child + CHILDREN < table->len ? child + CHILDREN : table->len;
    uint32_t first = table->len;
    for (uint32_t least = UINT32_MAX; child < end; child++) {
        uint32_t expires = table->heap[child].expires;
        if (first == table->len || expires < least) {
            first = (uint32_t)child;
            least = expires;
        }
    }
    return first;
}

static uint32_t sink(tlsl_table *table, uint32_t place, uint32_t expires) {
    for (;;) {
        uint32_t child = first_child(table, place);
        if (child == table->len || table->heap[child].expires >= expires) {
            return place;
        }
        settle(table, place, table->heap[child]);
        place = child;
    }
}

/* Puts slot to where it belongs, of a heap that is in order but for place. */
static void put_slot(tlsl_table *table, uint32_t place, tlsl_slot slot) {
    uint32_t risen = rise(table, place, slot.expires);
    settle(table, risen == place ? sink(table, place, slot.expires) : risen, slot);
}

static void drop_slot(tlsl_table *table, uint32_t place) {
    tlsl_slot last = table->heap[--table->len];
    if (place != table->len) {
        put_slot(table, place, last);
    }
}

/* ----------------------------------------------------------------------------------------------- entries */

/* One or two entries a bucket, as they fall; the sixteenth that may lie idle does not count. */
static uint32_t buckets_for(uint32_t room) {
    uint32_t buckets = BUCKETS_LEAST;
    while (buckets * 2 < room - room / 16) {
        buckets *= 2;
    }
    return buckets;
}

/* A block of so many entries, and where what follows them lies. false: out of memory. */
static bool lay_out(tlsl_table *table, uint32_t room, uint32_t buckets_len) {
    uint32_t weights_len = table->weighed ? room : 0;
    table->entries = malloc(room * (sizeof *table->entries + sizeof *table->heap) +
                            ((size_t)weights_len + buckets_len) * sizeof(uint32_t));
    if (table->entries == NULL) {
        return false;
    }
    table->heap = (tlsl_slot *)(void *)(table->entries + room);
    table->weights = (uint32_t *)(void *)(table->heap + room);
    table->buckets = table->weights + weights_len;
    table->buckets_len = buckets_len;
    table->room = room;
    return true;
}

static void move_in(tlsl_table *table, const tlsl_table *from) {
    memcpy(table->entries, from->entries, from->room * sizeof *table->entries);
    memcpy(table->heap, from->heap, from->room * sizeof *table->heap);
    if (table->weighed) {
        memcpy(table->weights, from->weights, from->room * sizeof *table->weights);
    }
    if (table->buckets_len == from->buckets_len) {
        memcpy(table->buckets, from->buckets, from->buckets_len * sizeof *table->buckets);
    } else {
        chain_all(table);
    }
    free(from->entries);
}

/*
 * By a sixteenth, so that little lies idle, and in one block, too large for malloc to hoard those that were
 * left behind. Not by realloc: what it leaves over of a block that it grows into is hoarded. false: out of
 * memory, or full; what is there stays.
 */
static bool more_room(tlsl_table *table) {
    const tlsl_table before = *table;
    uint32_t step = before.room / 16 < ROOM_STEP ? ROOM_STEP : before.room / 16;
    uint32_t room = before.room == 0 ? ROOM_LEAST : before.room + step;
    room = room < TLSL_NIL ? room : TLSL_NIL;
    if (room == before.room || !lay_out(table, room, buckets_for(room))) {
        *table = before;
        return false;
    }
    if (before.room > 0) {
        move_in(table, &before);
    } else {
        chain_all(table);
    }
    return true;
}

/* An entry to fill, or TLSL_NIL. */
static uint32_t new_entry(tlsl_table *table) {
    uint32_t index = table->free;
    if (index != TLSL_NIL) {
        table->free = table->entries[index].chain;
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
    uint32_t index = new_entry(table);
    if (index == TLSL_NIL) {
        return TLSL_NIL;
    }
    settle_touches(table);
    tlsl_entry *entry = &table->entries[index];
    entry->session = session;
    set_hash(entry, hash);
    weigh(table, index, weight);
    chain(table, index);
    enlist(table, index);
    uint32_t place = table->len++;
    settle(table, rise(table, place, expires), (tlsl_slot){expires, index});
    return index;
}

SSL_SESSION *tlsl_table_swap(tlsl_table *table, uint32_t index, SSL_SESSION *session, uint32_t expires,
                             uint32_t weight) {
    tlsl_entry *entry = &table->entries[index];
    SSL_SESSION *before = entry->session;
    entry->session = session;
    weigh(table, index, weight);
    put_slot(table, entry->place, (tlsl_slot){expires, index});
    tlsl_table_touch(table, index);
    return before;
}

/* What a burst needed goes; one that empties and fills all the time keeps what it has. */
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
    settle_touches(table);
    unchain(table, index);
    unlist(table, index);
    drop_slot(table, entry->place);
    entry->session = NULL;
    entry->chain = table->free & TLSL_NIL;
    table->free = index;
    if (table->len == 0) {
        emptied(table);
    }
    return session;
}
