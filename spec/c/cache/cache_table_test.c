/*
 * cache_table_test.c: compares the table under the cache (src/cache/table.c) with a plain list.
 *
 * The hashes are chosen so that most chains are long, which keyed hashes never are. Some ids are
 * there twice.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"
#include "random.h"
#include "cache/table.h"
#include "tlslife.h"

#include <stdlib.h>

#define MOST 600

typedef struct listed {
    unsigned char id[TLSL_STORE_KEY];
    uint32_t hash, index;
    SSL_SESSION *session;
    unsigned long used;
} listed;

typedef struct list {
    listed all[MOST];
    size_t len;
    unsigned long clock;
    unsigned kinds; /* of hashes */
} list;

static uint64_t state;

static void add(tlsl_table *table, list *known, unsigned n) {
    listed *one = &known->all[known->len++];
    memset(one->id, 0, sizeof one->id);
    memcpy(one->id, &n, sizeof n);
    one->hash = (n % known->kinds) * 0x01000193U;
    one->session = SSL_SESSION_new();
    if (one->session == NULL || SSL_SESSION_set1_id(one->session, one->id, 20 + n % 13) != 1) {
        abort();
    }
    one->index = tlsl_table_add(table, one->hash, one->session, 1000 + n, 0);
    one->used = ++known->clock;
}

static void drop(tlsl_table *table, list *known, size_t at, bool *good) {
    *good = *good && tlsl_table_remove(table, known->all[at].index) == known->all[at].session;
    SSL_SESSION_free(known->all[at].session);
    known->all[at] = known->all[--known->len];
}

/* The table must have every entry of that id, and no other entry under it. */
static bool finds_all(const tlsl_table *table, const list *known, const listed *one) {
    size_t wanted = 0, found = 0;
    for (size_t i = 0; i < known->len; i++) {
        wanted += memcmp(known->all[i].id, one->id, sizeof one->id) == 0;
    }
    for (uint32_t index = tlsl_table_find(table, one->hash, one->id);
         index != TLSL_NIL && found <= wanted;
         index = tlsl_table_find_next(table, index, one->hash, one->id)) {
        size_t i = 0;
        while (i < known->len && known->all[i].index != index) {
            i++;
        }
        if (i == known->len || memcmp(known->all[i].id, one->id, sizeof one->id) != 0 ||
            tlsl_table_session(table, index) != known->all[i].session) {
            return false;
        }
        found++;
    }
    return found == wanted;
}

static uint32_t least_used(const list *known) {
    const listed *least = &known->all[0];
    for (size_t i = 1; i < known->len; i++) {
        least = known->all[i].used < least->used ? &known->all[i] : least;
    }
    return known->len == 0 ? TLSL_NIL : least->index;
}

static void step(tlsl_table *table, list *known, unsigned most, bool *good) {
    uint32_t r = next_random(&state);
    if (known->len < most && r % 3 != 0) {
        add(table, known, next_random(&state) % 3000);
    } else if (known->len > 0) {
        drop(table, known, next_random(&state) % known->len, good);
    }
    if (known->len > 0) {
        listed *one = &known->all[next_random(&state) % known->len];
        *good = *good && finds_all(table, known, one);
        tlsl_table_touch(table, one->index);
        one->used = ++known->clock;
    }
    listed stranger = {.hash = next_random(&state) % known->kinds * 0x01000193U};
    memset(stranger.id, 0xff, sizeof stranger.id);
    *good = *good && tlsl_table_find(table, stranger.hash, stranger.id) == TLSL_NIL;
    if (r % 64 == 0) {
        *good = *good && tlsl_table_oldest(table) == least_used(known);
    }
}

static bool is_clean(const tlsl_table *table) {
    for (uint32_t i = 0; i < table->buckets_len; i++) {
        if (table->buckets[i] != TLSL_NIL) {
            return false;
        }
    }
    return true;
}

static void test_against_list(uint64_t seed, unsigned kinds, unsigned most) {
    static list known;
    tlsl_table table;
    bool good = true;
    known = (list){.kinds = kinds};
    state = seed;
    tlsl_table_init(&table, false, 1000000);
    for (int i = 0; good && i < 20000; i++) {
        step(&table, &known, most, &good);
    }
    CHECK(good && table.len == known.len);
    while (known.len > 0) {
        drop(&table, &known, known.len - 1, &good);
    }
    CHECK(good && is_clean(&table) && tlsl_table_oldest(&table) == TLSL_NIL);
    tlsl_table_clear(&table);
}

/* The table stays in order when another owner of a session changes the session's id. */
static void test_changed_ids(void) {
    static list known;
    tlsl_table table;
    bool good = true;
    known = (list){.kinds = 3};
    tlsl_table_init(&table, false, 1000000);
    for (unsigned n = 0; n < 100; n++) {
        add(&table, &known, n);
        known.all[n].id[30] = 1;
        CHECK(SSL_SESSION_set1_id(known.all[n].session, known.all[n].id, TLSL_STORE_KEY) == 1);
    }
    while (known.len > 0) {
        drop(&table, &known, known.len / 2, &good);
    }
    CHECK(good && table.len == 0 && is_clean(&table));
    tlsl_table_clear(&table);
}

int main(void) {
    test_against_list(1, 1, 60); /* one chain for all */
    test_against_list(2, 2, 250);
    test_against_list(3, 7, MOST);
    test_against_list(4, 3000, MOST);
    test_changed_ids();
    return checks_end();
}
