/*
 * program_test.c: tests the store whose functions are the program's own
 * (src/cache/store/program.c).
 *
 * A lookup must find what was put or removed, also before the program has been told of it. When
 * more events wait than there is room for, the oldest must be the ones that are lost.
 */
#include "cache/store/store.h"
#include "tlslife.h"

#include "check.h"

#include <stdlib.h>

#define EVENTS_MAX 4096 /* tlslife.h: at most 4096 events wait */

static void name_key(unsigned char key[TLSL_STORE_KEY], unsigned n) {
    memset(key, 0, TLSL_STORE_KEY);
    memcpy(key, &n, sizeof n);
}

static bool put(tlslife_store *store, unsigned n, const char *value) {
    unsigned char key[TLSL_STORE_KEY];
    name_key(key, n);
    return store->verbs->put(store, key, (const unsigned char *)value, strlen(value), 60);
}

static tlsl_found look(tlslife_store *store, unsigned n, bool take, tlsl_inquiry *inquiry) {
    memset(inquiry, 0, sizeof *inquiry);
    name_key(inquiry->key, n);
    inquiry->take = take;
    store->verbs->ask(store, inquiry);
    return inquiry->found;
}

static bool finds(tlslife_store *store, unsigned n, bool take, const char *value) {
    tlsl_inquiry inquiry;
    bool right = look(store, n, take, &inquiry) == TLSL_FOUND_HIT && inquiry.pending == NULL &&
                 inquiry.bytes_len == strlen(value) &&
                 memcmp(inquiry.bytes, value, inquiry.bytes_len) == 0;
    free(inquiry.bytes);
    return right;
}

/* The number in the next event's key, or -1 if there is no event. */
static int next_is(tlslife_store *store, bool *out_put) {
    tlslife_store_event event;
    int n = -1;
    if (tlslife_store_next(store, &event)) {
        memcpy(&n, event.key.data, sizeof n);
        *out_put = event.put;
    }
    return n;
}

/*
 * The program has not been told of the session yet, and would answer that there is none, or give an
 * old one.
 */
static void what_was_not_told_answers(void) {
    tlslife_store *store = tlslife_store_program(NULL);
    tlsl_inquiry inquiry;
    unsigned char key[TLSL_STORE_KEY];
    CHECK(put(store, 1, "old") && put(store, 2, "other") && put(store, 1, "new"));
    CHECK(finds(store, 1, false, "new") && finds(store, 2, false, "other"));
    CHECK(finds(store, 1, true, "new"));
    CHECK(look(store, 1, false, &inquiry) == TLSL_FOUND_MISS); /* it was taken */
    name_key(key, 2);
    CHECK(store->verbs->remove(store, key));
    CHECK(look(store, 2, false, &inquiry) == TLSL_FOUND_MISS);
    tlslife_store_free(store);
}

static void the_program_is_told_in_order(void) {
    static const int order[] = {1, 2, 1};
    tlslife_store *store = tlslife_store_program(NULL);
    bool is_put = false;
    CHECK(put(store, 1, "one") && put(store, 2, "two") && finds(store, 1, true, "one"));
    for (int i = 0; i < 3; i++) {
        CHECK(next_is(store, &is_put) == order[i] && is_put == (i < 2));
    }
    CHECK(next_is(store, &is_put) == -1);
    tlslife_store_free(store);
}

static void what_is_not_known_waits_for_the_program(void) {
    tlslife_store *store = tlslife_store_program(NULL);
    tlsl_inquiry inquiry;
    CHECK(look(store, 3, false, &inquiry) == TLSL_FOUND_PENDING && inquiry.pending != NULL);
    CHECK(put(store, 3, "late")); /* answers the next lookup, and not this one */
    store->verbs->ask(store, &inquiry);
    CHECK(inquiry.found == TLSL_FOUND_PENDING);
    store->verbs->cancel(store, &inquiry);
    CHECK(inquiry.pending == NULL && finds(store, 3, false, "late"));
    tlslife_store_free(store);
}

static void of_too_many_events_the_oldest_are_lost(void) {
    tlslife_store *store = tlslife_store_program(NULL);
    bool is_put = false;
    int told = 0;
    for (unsigned n = 0; n < EVENTS_MAX; n++) {
        told += put(store, n, "value") ? 1 : 0;
    }
    CHECK(told == EVENTS_MAX);
    CHECK(!put(store, EVENTS_MAX, "value") && !put(store, EVENTS_MAX + 1, "value"));
    CHECK(next_is(store, &is_put) == 2);
    for (told = 1; next_is(store, &is_put) == told + 2; told++) {}
    CHECK(told == EVENTS_MAX);
    tlslife_store_free(store);
}

int main(void) {
    what_was_not_told_answers();
    the_program_is_told_in_order();
    what_is_not_known_waits_for_the_program();
    of_too_many_events_the_oldest_are_lost();
    return checks_end();
}
