/*
 * table.c: sessions by id (a hash of groups), by use (a list) and by expiry (a heap).
 *
 *   groups    [ 1 . . 2 . . . | . 3 . . . . . ]   where to look for an id: a line of the cache each
 *   entries   [ session, newer, older, place, hash | ... ]
 *   heap      [ expires, entry | ... ]            the earliest first
 *
 * Everything is an index, so that an entry is small: it borrows its key from the session. An id that is there
 * is found in a large table by three accesses to memory: a group, whose eight bits of hash leave out the
 * others, the entry, and the session. A group that is full says how many went further. The heap is of
 * four children a node, with the time of expiry in it: where all timeouts are equal, adding is one
 * comparison, and whether anything has expired is one look at the first slot. OpenSSL keeps a list in order
 * of expiry and walks it: tens of microseconds an insertion once timeouts differ.
 *
 * What an attacker would try: ids that fall into one group (the hash is keyed, cache.c), and a clock that
 * jumps. The table has seconds of its own: they stand still where the wall clock goes back, and start anew
 * where it is moved ahead by decades, so that nothing lives longer than it was given.
 */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/store/store.h"
#include "cache/table.h"

#define LINE ((uintptr_t)64)
#define REFERENCES 464 /* where OpenSSL 3 counts a session's, with its fate and its times around */
#define GROUP_FILL 9   /* of a group's words, when the groups are made: they are full at 12 in the mean */
#define GROUP_FULL 12
#define CHILDREN 4
#define ROOM_LEAST 40
#define ROOM_STEP 8
#define ROOM_KEPT 256                   /* of an empty table */
#define SECONDS_HALF ((int64_t)1 << 31) /* where the table's seconds start anew */

/* Of the caller's 32 bits, those that an entry keeps. */
static uint32_t kept_hash(uint32_t hash) {
    return hash >> 8;
}

static uint32_t hash_of(const tlsl_entry *entry) {
    return (uint32_t)entry->hash_0 | (uint32_t)entry->hash_1 << 8 | (uint32_t)entry->hash_2 << 16;
}

static void set_hash(tlsl_entry *entry, uint32_t hash) {
    entry->hash_0 = hash & 0xffU;
    entry->hash_1 = (hash >> 8) & 0xffU;
    entry->hash_2 = (hash >> 16) & 0xffU;
}

static void set_session(tlsl_entry *entry, SSL_SESSION *session) {
    memcpy(entry->session, &session, sizeof session);
}

/* ------------------------------------------------------------------------------------------------- life */

void tlsl_table_init(tlsl_table *table, bool weighed, int64_t wall) {
    *table = (tlsl_table){
        .free = TLSL_NIL, .newest = TLSL_NIL, .oldest = TLSL_NIL, .weighed = weighed, .epoch = wall};
}

void tlsl_table_clear(tlsl_table *table) {
    free(table->block);
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

/* ------------------------------------------------------------------------------------------------ groups */

/* The hash is mixed first: the eight bits that a word has of it say nothing of the group. */
static uint32_t home(const tlsl_table *table, uint32_t hash) {
    uint32_t mixed = hash * 0x9e3779b1U;
    return (uint32_t)((uint64_t)mixed * table->groups_len >> 32);
}

static uint32_t next_group(const tlsl_table *table, uint32_t at) {
    return at + 1 < table->groups_len ? at + 1 : 0;
}

static uint32_t word_of(uint32_t index, uint32_t hash) {
    return index | hash << 24;
}

static bool is(const tlsl_table *table, uint32_t index, uint32_t hash, const unsigned char *key) {
    static const unsigned char zeros[TLSL_STORE_KEY];
    if (hash_of(&table->entries[index]) != hash) {
        return false;
    }
    unsigned len = 0;
    const SSL_SESSION *session = tlsl_table_session(table, index);
    __builtin_prefetch((const char *)session + REFERENCES);
    const unsigned char *id = SSL_SESSION_get_id(session, &len);
    if (len == TLSL_STORE_KEY) {
        return memcmp(id, key, TLSL_STORE_KEY) == 0;
    }
    return memcmp(id, key, len) == 0 && memcmp(key + len, zeros, TLSL_STORE_KEY - len) == 0;
}

/* The first that is behind after, or at all (TLSL_NIL). */
static uint32_t search(const tlsl_table *table, uint32_t hash, const unsigned char *key, uint32_t after) {
    uint32_t tag = word_of(0, hash);
    const tlsl_group *group;
    uint32_t at = home(table, hash), looked = 0;
    do {
        group = &table->groups[at];
        for (int i = 0; i < TLSL_GROUP; i++) {
            uint32_t index = group->words[i] ^ tag; /* with the hash's own bits: nothing above 24 */
            if (index >= TLSL_NIL) {
                continue;
            }
            if (after == TLSL_NIL && is(table, index, hash, key)) {
                return index;
            }
            after = index == after ? TLSL_NIL : after;
        }
        at = next_group(table, at);
    } while (group->passed > 0 && ++looked < table->groups_len);
    return TLSL_NIL;
}

void tlsl_table_foresee(const tlsl_table *table, uint32_t hash) {
    if (table->len > 0) {
        __builtin_prefetch(&table->groups[home(table, kept_hash(hash))]);
    }
}

uint32_t tlsl_table_find(const tlsl_table *table, uint32_t hash, const unsigned char key[TLSL_STORE_KEY]) {
    return table->len == 0 ? TLSL_NIL : search(table, kept_hash(hash), key, TLSL_NIL);
}

uint32_t tlsl_table_find_next(const tlsl_table *table, uint32_t index, uint32_t hash,
                              const unsigned char key[TLSL_STORE_KEY]) {
    return search(table, kept_hash(hash), key, index);
}

/* The word of a group that is this, or NULL. */
static uint32_t *word_in(tlsl_group *group, uint32_t word) {
    for (int i = 0; i < TLSL_GROUP; i++) {
        if (group->words[i] == word) {
            return &group->words[i];
        }
    }
    return NULL;
}

/* There is room: the groups have more words than the table has entries. */
static void enter(tlsl_table *table, uint32_t index) {
    uint32_t hash = hash_of(&table->entries[index]);
    uint32_t at = home(table, hash);
    uint32_t *word;
    while ((word = word_in(&table->groups[at], TLSL_NIL)) == NULL) {
        table->groups[at].passed++;
        at = next_group(table, at);
    }
    *word = word_of(index, hash);
}

static void leave(tlsl_table *table, uint32_t index) {
    uint32_t hash = hash_of(&table->entries[index]);
    uint32_t at = home(table, hash);
    uint32_t *word;
    while ((word = word_in(&table->groups[at], word_of(index, hash))) == NULL) {
        table->groups[at].passed--;
        at = next_group(table, at);
    }
    *word = TLSL_NIL;
}

static void enter_all(tlsl_table *table) {
    for (uint32_t i = 0; i < table->groups_len; i++) {
        for (int k = 0; k < TLSL_GROUP; k++) {
            table->groups[i].words[k] = TLSL_NIL;
        }
        table->groups[i].passed = 0;
    }
    for (uint32_t i = 0; i < table->used; i++) {
        if (tlsl_table_session(table, i) != NULL) {
            enter(table, i);
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

/* As many as there are, while they are not too full. */
static uint32_t groups_for(const tlsl_table *table, uint32_t room) {
    bool enough = (uint64_t)table->groups_len * GROUP_FULL >= room;
    return enough ? table->groups_len : room / GROUP_FILL + 1;
}

/* A block of so many entries, and where what follows them lies. false: out of memory. */
static bool lay_out(tlsl_table *table, uint32_t room, uint32_t groups_len) {
    uint32_t weights_len = table->weighed ? room : 0;
    table->block =
        malloc(groups_len * sizeof *table->groups + LINE +
               room * (sizeof *table->entries + sizeof *table->heap) + weights_len * sizeof *table->weights);
    if (table->block == NULL) {
        return false;
    }
    uintptr_t line = ((uintptr_t)table->block + LINE - 1) & ~(LINE - 1);
    table->groups = (tlsl_group *)line; /* NOLINT(performance-no-int-to-ptr) */
    table->entries = (tlsl_entry *)(void *)(table->groups + groups_len);
    table->heap = (tlsl_slot *)(void *)(table->entries + room);
    table->weights = (uint32_t *)(void *)(table->heap + room);
    table->groups_len = groups_len;
    table->room = room;
    return true;
}

static void move_in(tlsl_table *table, const tlsl_table *from) {
    memcpy(table->entries, from->entries, from->room * sizeof *table->entries);
    memcpy(table->heap, from->heap, from->room * sizeof *table->heap);
    if (table->weighed) {
        memcpy(table->weights, from->weights, from->room * sizeof *table->weights);
    }
    if (table->groups_len == from->groups_len) {
        memcpy(table->groups, from->groups, from->groups_len * sizeof *table->groups);
    } else {
        enter_all(table);
    }
    free(from->block);
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
    if (room == before.room || !lay_out(table, room, groups_for(&before, room))) {
        *table = before;
        return false;
    }
    if (before.room > 0) {
        move_in(table, &before);
    } else {
        enter_all(table);
    }
    return true;
}

/* An entry to fill, or TLSL_NIL. */
static uint32_t new_entry(tlsl_table *table) {
    uint32_t index = table->free;
    if (index != TLSL_NIL) {
        table->free = table->entries[index].newer;
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
    set_session(entry, session);
    set_hash(entry, kept_hash(hash));
    weigh(table, index, weight);
    enter(table, index);
    enlist(table, index);
    uint32_t place = table->len++;
    settle(table, rise(table, place, expires), (tlsl_slot){expires, index});
    return index;
}

SSL_SESSION *tlsl_table_swap(tlsl_table *table, uint32_t index, SSL_SESSION *session, uint32_t expires,
                             uint32_t weight) {
    tlsl_entry *entry = &table->entries[index];
    SSL_SESSION *before = tlsl_table_session(table, index);
    set_session(entry, session);
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
    SSL_SESSION *session = tlsl_table_session(table, index);
    settle_touches(table);
    leave(table, index);
    unlist(table, index);
    drop_slot(table, entry->place);
    set_session(entry, NULL);
    entry->newer = table->free & TLSL_NIL;
    table->free = index;
    if (table->len == 0) {
        emptied(table);
    }
    return session;
}
