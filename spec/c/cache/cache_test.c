/*
 * cache_test.c: tests a cache's memory from inside, without a connection.
 *
 * It covers the calls by id, a client's sessions by peer, the limits (number and bytes), expiry,
 * the order of use, references, and what happens when the clock jumps.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "cache/external.h"
#include "check.h"
#include "sessions.h"
#include "tlslife.h"

#include <stdlib.h>

static bool put(tlslife_cache *cache, unsigned n, long timeout) {
    SSL_SESSION *session = nth_session(n, timeout);
    bool kept = tlslife_cache_put(cache, as(session));
    SSL_SESSION_free(session);
    return kept;
}

static bool drop_reference(tlslife_session *session) {
    tlslife_session_free(session);
    return session != NULL;
}

static bool has(tlslife_cache *cache, unsigned n) {
    unsigned char id[32];
    nth_id(n, id);
    return drop_reference(tlslife_cache_get(cache, id, sizeof id));
}

static bool take(tlslife_cache *cache, unsigned n) {
    unsigned char id[32];
    nth_id(n, id);
    return drop_reference(tlslife_cache_take(cache, id, sizeof id));
}

static bool drop(tlslife_cache *cache, unsigned n) {
    unsigned char id[32];
    nth_id(n, id);
    return tlslife_cache_remove(cache, id, sizeof id);
}

/* -------------------------------------------------------------------------------------- options */

static void test_options(void) {
    tlslife_error err;
    tlslife_cache_options options = tlslife_cache_defaults();
    CHECK(options.capacity == 20480 && options.capacity_bytes == 0 && options.timeout_seconds == 0);
    CHECK(options.sessions_per_peer == 4 && options.in_memory && options.store == NULL &&
          options.keyring == NULL);
    options.sessions_per_peer = 0;
    CHECK(tlslife_cache_new(&options, &err) == NULL && err.kind == TLSLIFE_ERR_USAGE);
    options.sessions_per_peer = 17;
    CHECK(tlslife_cache_new(&options, &err) == NULL && err.kind == TLSLIFE_ERR_USAGE);
    CHECK_TEXT(err.message, "a cache keeps 1 to 16 sessions for a peer, not 17");
    options.sessions_per_peer = 16;
    options.timeout_seconds = -1;
    CHECK(tlslife_cache_new(&options, &err) == NULL && err.kind == TLSLIFE_ERR_USAGE);
    options.timeout_seconds = 0;
    tlslife_cache *cache = tlslife_cache_new(&options, &err);
    CHECK(cache != NULL && tlsl_cache_in_memory(cache) && tlsl_cache_store(cache) == NULL);
    CHECK(tlslife_cache_up_ref(cache) == cache);
    tlslife_cache_free(cache);
    CHECK(put(cache, 1, 100) && has(cache, 1));
    tlslife_cache_free(cache);
    tlslife_cache_free(NULL);
}

/* A store that only notes what it is told. */
static unsigned removals;
static unsigned char removed_key[TLSL_STORE_KEY];
static bool store_answers = true;
static bool store_destroyed;

static bool note_removal(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY]) {
    (void)store;
    removals++;
    memcpy(removed_key, key, sizeof removed_key);
    return store_answers;
}

static void note_destruction(tlslife_store *store) {
    (void)store;
    store_destroyed = true;
}

static tlslife_cache *new_store_cache(tlslife_store *store, bool near) {
    static const unsigned char secret[32] = {1};
    tlslife_cache_options options = tlslife_cache_defaults();
    options.store = store;
    options.in_memory = near;
    tlslife_error err;
    CHECK(tlslife_cache_new(&options, &err) == NULL && err.kind == TLSLIFE_ERR_USAGE);
    options.keyring = tlslife_keyring_new(secret, sizeof secret, NULL);
    tlslife_cache *cache = tlslife_cache_new(&options, &err);
    tlslife_keyring_free(options.keyring);
    CHECK(cache != NULL && tlsl_cache_in_memory(cache) == near &&
          tlsl_cache_store(cache) == store && tlsl_cache_keyring(cache) == options.keyring);
    return cache;
}

static bool removed_id(unsigned n) {
    tlsl_cache_key key = {.client = false};
    unsigned char far[TLSL_STORE_KEY];
    nth_id(n, key.bytes);
    tlsl_external_key(&key, far);
    return memcmp(far, removed_key, sizeof far) == 0;
}

static void test_store(void) {
    static const tlsl_store_verbs verbs = {.remove = note_removal, .destroy = note_destruction};
    tlslife_store store = {.verbs = &verbs, .refs = 1};
    tlslife_cache *cache = new_store_cache(&store, true);
    SSL_SESSION *session = nth_session(1, 100);
    CHECK(tlslife_cache_put(cache, as(session)));
    tlsl_cache_drop(cache, session, true);
    CHECK(removals == 1 && removed_id(1) && !has(cache, 1) && stats_of(cache).bad == 1);
    CHECK(!drop(cache, 2) && removals == 2 && removed_id(2) && stats_of(cache).store_errors == 0);
    store_answers = false;
    CHECK(!drop(cache, 3) && removals == 3 && stats_of(cache).store_errors == 1);
    tlslife_cache_free(cache);
    CHECK(!store_destroyed);

    cache = new_store_cache(&store, false);
    tlslife_store_free(&store);
    CHECK(!store_destroyed && !tlslife_cache_put(cache, as(session)) && !has(cache, 1));
    tlsl_cache_drop(cache, session, true);
    CHECK(removals == 4 && removed_id(1));
    tlslife_cache_free(cache);
    CHECK(store_destroyed);
    SSL_SESSION_free(session);
}

/* ------------------------------------------------------------------------------------ the verbs */

static void test_verbs(void) {
    tlslife_cache *cache = new_cache(100);
    unsigned char id[32];
    nth_id(1, id);
    SSL_SESSION *session = nth_session(1, 100);
    CHECK(!has(cache, 1) && tlslife_cache_put(cache, as(session)));
    tlslife_session *got = tlslife_cache_get(cache, id, sizeof id);
    CHECK(got == as(session));
    tlslife_session_free(got);
    SSL_SESSION_free(session);
    got = tlslife_cache_take(cache, id, sizeof id);
    CHECK(got == as(session) && live == 1 && !has(cache, 1) && !take(cache, 1) && !drop(cache, 1));
    CHECK(tlslife_cache_put(cache, got) && tlslife_cache_put(cache, got) && drop(cache, 1));
    CHECK(live == 1);
    tlslife_session_free(got);
    CHECK(live == 0);
    tlslife_cache_stats stats = stats_of(cache);
    CHECK(stats.entries == 0 && stats.puts == 3 && stats.hits == 2 && stats.misses == 3);
    CHECK(stats.evicted == 0 && stats.expired == 0 && stats.bad == 0 && stats.bytes == 0);
    tlslife_cache_free(cache);
}

/*
 * A session of the same id replaces the one that is there, brings its own expiry, and becomes the
 * newest.
 */
static void test_replace(void) {
    tlslife_cache *cache = new_cache(2);
    unsigned char id[32];
    nth_id(1, id);
    SSL_SESSION *first = nth_session(1, 10);
    SSL_SESSION *second = nth_session(1, 1000);
    CHECK(tlslife_cache_put(cache, as(first)) && put(cache, 2, 1000) &&
          tlslife_cache_put(cache, as(second)));
    SSL_SESSION_free(first);
    CHECK(stats_of(cache).entries == 2 && live == 2);
    the_time += 10;
    tlslife_session *got = tlslife_cache_get(cache, id, sizeof id);
    CHECK(got == as(second));
    tlslife_session_free(got);
    CHECK(put(cache, 3, 1000) && !has(cache, 2) && has(cache, 1) && has(cache, 3));
    SSL_SESSION_free(second);
    tlslife_cache_free(cache);
    CHECK(live == 0);
}

static void test_ids(void) {
    static const unsigned char bytes[33] = {7, 7, 7};
    tlslife_cache *cache = new_cache(100);
    SSL_SESSION *session = make_session(bytes, 0, TLS1_2_VERSION, 100);
    CHECK(!tlslife_cache_put(cache, as(session)));
    SSL_SESSION_free(session);
    session = make_session(bytes, 3, TLS1_2_VERSION, 100);
    CHECK(tlslife_cache_put(cache, as(session)));
    CHECK(drop_reference(tlslife_cache_get(cache, bytes, 3)));
    CHECK(!drop_reference(tlslife_cache_get(cache, bytes, 2)));
    CHECK(tlslife_cache_get(cache, bytes, 0) == NULL &&
          tlslife_cache_get(cache, bytes, 33) == NULL);
    CHECK(tlslife_cache_take(cache, bytes, 33) == NULL && !tlslife_cache_remove(cache, bytes, 33));
    CHECK(stats_of(cache).misses == 4);
    CHECK(tlslife_cache_remove(cache, bytes, 3) && stats_of(cache).entries == 0);
    SSL_SESSION_free(session);
    tlslife_cache_free(cache);
}

/*
 * Makes a session not resumable. libssl does so when a context removes it, hence
 * SSL_CTX_remove_session.
 */
static void test_not_resumable(void) {
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    tlslife_cache *cache = new_cache(100);
    SSL_SESSION *session = nth_session(1, 100);
    CHECK(tlslife_cache_put(cache, as(session)) && has(cache, 1));
    SSL_CTX_add_session(ctx, session);
    SSL_CTX_remove_session(ctx, session);
    CHECK(!SSL_SESSION_is_resumable(session) && !has(cache, 1));
    CHECK(stats_of(cache).bad == 1 && stats_of(cache).entries == 0 && stats_of(cache).misses == 1);
    CHECK(!tlslife_cache_put(cache, as(session)) && stats_of(cache).puts == 1);
    SSL_SESSION_free(session);
    SSL_CTX_free(ctx);
    tlslife_cache_free(cache);
    CHECK(live == 0);
}

/* ------------------------------------------------------------------------------------- capacity */

static void test_capacity(size_t capacity) {
    tlslife_cache *cache = new_cache(capacity);
    size_t there = 0;
    for (unsigned i = 0; i < capacity; i++) {
        CHECK(put(cache, i, 1000));
    }
    for (unsigned i = 0; i < capacity; i++) { /* a cache for n holds n */
        there += has(cache, i);
    }
    CHECK(there == capacity && stats_of(cache).entries == capacity && stats_of(cache).evicted == 0);
    for (unsigned i = 0; i < 100; i++) {
        CHECK(put(cache, 1000000 + i, 1000) == (capacity > 0));
        CHECK(has(cache, 1000000 + i) == (capacity > 0));
        CHECK(stats_of(cache).entries == capacity &&
              stats_of(cache).evicted == (capacity > 0 ? i + 1 : 0));
    }
    CHECK(live == (int)capacity && tlslife_cache_flush(cache, false) == 0);
    CHECK(tlslife_cache_flush(cache, true) == capacity && live == 0 &&
          stats_of(cache).entries == 0);
    CHECK(put(cache, 1, 1000) == (capacity > 0));
    tlslife_cache_free(cache);
    CHECK(live == 0);
}

/* When the cache is full and the new session's shard is empty, another shard makes room. */
static void test_empty_shard(void) {
    tlslife_cache *cache = new_cache(384);
    unsigned char id[32];
    unsigned lone = 0;
    CHECK(cache->shards_len == 2);
    for (unsigned i = 0; stats_of(cache).entries < 384; i++) {
        put(cache, i, 1000);
        if (cache->shards[1].table.len > 0) { /* not there */
            drop(cache, i);
            lone = i;
        }
    }
    CHECK(cache->shards[0].table.len == 384 && cache->shards[1].table.len == 0);
    nth_id(lone, id);
    CHECK(put(cache, lone, 1000) && has(cache, lone) && stats_of(cache).evicted == 1);
    CHECK(cache->shards[0].table.len == 383 && cache->shards[1].table.len == 1);
    tlslife_cache_free(cache);
}

static void test_order_of_use(void) {
    tlslife_cache *cache = new_cache(3);
    CHECK(put(cache, 1, 1000) && put(cache, 2, 500) && put(cache, 3, 2000));
    CHECK(has(cache, 1));
    CHECK(put(cache, 4, 1000) && !has(cache, 2));
    CHECK(put(cache, 3, 1000)); /* a put is a use */
    CHECK(put(cache, 5, 1000) && !has(cache, 1));
    CHECK(put(cache, 6, 1000) && !has(cache, 4));
    CHECK(has(cache, 3) && has(cache, 5) && has(cache, 6) && stats_of(cache).evicted == 3);
    the_time += 999;
    CHECK(put(cache, 7, 10)); /* in place of 3, the least recently used */
    CHECK(!has(cache, 3) && has(cache, 5) && has(cache, 6));
    the_time -= 999;
    tlslife_cache_free(cache);
}

/* A session that has expired is removed before the one that was used longest ago. */
static void test_expired_first(void) {
    tlslife_cache *cache = new_cache(3);
    CHECK(put(cache, 1, 1000) && put(cache, 2, 1000) && put(cache, 3, 10));
    the_time += 10;
    CHECK(put(cache, 4, 1000));
    CHECK(has(cache, 1) && has(cache, 2) && has(cache, 4) && stats_of(cache).evicted == 0);
    CHECK(stats_of(cache).expired == 1 && !has(cache, 3) && live == 3);
    tlslife_cache_free(cache);
}

static void test_bytes(void) {
    SSL_SESSION *sample = nth_session(1, 1000);
    size_t len = (size_t)i2d_SSL_SESSION(sample, NULL);
    tlslife_cache_options options = tlslife_cache_defaults();
    options.capacity_bytes = 10 * len + 5;
    tlslife_cache *cache = tlslife_cache_new(&options, NULL);
    for (unsigned i = 0; i < 100; i++) {
        CHECK(put(cache, i, 1000));
        CHECK(stats_of(cache).bytes == (i < 10 ? i + 1 : 10) * len &&
              stats_of(cache).bytes <= 10 * len + 5);
    }
    CHECK(stats_of(cache).entries == 10 && stats_of(cache).evicted == 90);
    static const unsigned char data[4096] = {1};
    unsigned char id[32];
    nth_id(500, id);
    SSL_SESSION *big = make_session(id, sizeof id, TLS1_2_VERSION, 1000);
    CHECK(SSL_SESSION_set1_ticket_appdata(big, data, 8 * len) == 1);
    size_t big_len = (size_t)i2d_SSL_SESSION(big, NULL);
    CHECK(big_len <= options.capacity_bytes && tlslife_cache_put(cache, as(big)) &&
          has(cache, 500));
    CHECK(stats_of(cache).bytes <= options.capacity_bytes && stats_of(cache).bytes >= big_len);
    SSL_SESSION *bigger = nth_session(501, 1000);
    CHECK(SSL_SESSION_set1_ticket_appdata(bigger, data, 10 * len) == 1);
    size_t before = stats_of(cache).entries;
    CHECK(!tlslife_cache_put(cache, as(bigger)) && stats_of(cache).too_big == 1);
    CHECK(stats_of(cache).entries == before && has(cache, 500));
    CHECK(put(cache, 500, 1000) &&
          stats_of(cache).bytes == before * len); /* replaced by a small one */
    CHECK(tlslife_cache_flush(cache, true) == before && stats_of(cache).bytes == 0);
    SSL_SESSION_free(big);
    SSL_SESSION_free(bigger);
    SSL_SESSION_free(sample);
    tlslife_cache_free(cache);
    CHECK(live == 0);
}

/* A large session needs more room than one put clears away. Again the expired sessions go first. */
static void test_bytes_expired(void) {
    static const unsigned char data[4096] = {1};
    SSL_SESSION *sample = nth_session(1, 1000);
    size_t len = (size_t)i2d_SSL_SESSION(sample, NULL);
    tlslife_cache_options options = tlslife_cache_defaults();
    options.capacity = 100; /* one shard */
    options.capacity_bytes = 10 * len;
    tlslife_cache *cache = tlslife_cache_new(&options, NULL);
    for (unsigned i = 0; i < 10; i++) {
        CHECK(put(cache, i, i < 5 ? 1000 : 10));
    }
    the_time += 10;
    SSL_SESSION *big = nth_session(20, 1000);
    CHECK(SSL_SESSION_set1_ticket_appdata(big, data, 3 * len) == 1 &&
          tlslife_cache_put(cache, as(big)));
    CHECK(stats_of(cache).evicted == 0 && stats_of(cache).expired >= 4);
    CHECK(has(cache, 0) && has(cache, 4) && has(cache, 20) && stats_of(cache).bytes <= 10 * len);
    SSL_SESSION_free(big);
    SSL_SESSION_free(sample);
    tlslife_cache_free(cache);
    CHECK(live == 0);
}

/* --------------------------------------------------------------------------------------- expiry */

static void test_expiry(void) {
    tlslife_cache_options options = tlslife_cache_defaults();
    options.timeout_seconds = 100;
    tlslife_cache *cache = tlslife_cache_new(&options, NULL);
    CHECK(!put(cache, 0, 0) && stats_of(cache).expired == 1);
    CHECK(put(cache, 1, 50) && put(cache, 2, 1000) && put(cache, 3, 100));
    the_time += 49;
    CHECK(has(cache, 1) && has(cache, 2));
    the_time += 1;
    CHECK(!has(cache, 1) && has(cache, 2) && stats_of(cache).expired == 2 &&
          stats_of(cache).misses == 1);
    the_time += 50;
    CHECK(live == 2 && tlslife_cache_flush(cache, false) == 2 && live == 0 && !has(cache, 2));
    CHECK(stats_of(cache).expired == 4 && stats_of(cache).evicted == 0);
    SSL_SESSION *old = nth_session(4, 1000);
    SSL_SESSION_set_time(old, (long)the_time - 60);
    CHECK(tlslife_cache_put(cache, as(old)));
    the_time += 39;
    CHECK(has(cache, 4));
    the_time += 1;
    CHECK(!has(cache, 4) && !tlslife_cache_put(cache, as(old)));
    SSL_SESSION_free(old);
    tlslife_cache_free(cache);
}

/* A timeout that is shortened once the session is in the cache holds from then on. */
static void test_shrunk(void) {
    tlslife_cache *cache = new_cache(10);
    SSL_SESSION *session = nth_session(1, 1000);
    CHECK(tlslife_cache_put(cache, as(session)));
    the_time += 20;
    SSL_SESSION_set_timeout(session, 30);
    CHECK(has(cache, 1));
    SSL_SESSION_set_timeout(session, 20);
    CHECK(!has(cache, 1) && stats_of(cache).expired == 1 && stats_of(cache).entries == 0);
    SSL_SESSION_set_timeout(session, 1000000);
    CHECK(tlslife_cache_put(cache, as(session)));
    SSL_SESSION_set_timeout(session, 21);
    CHECK(tlslife_cache_put(cache, as(session)));
    the_time += 1;
    CHECK(tlslife_cache_flush(cache, false) == 1);
    SSL_SESSION_free(session);
    tlslife_cache_free(cache);
}

static void test_long_lives(void) {
    tlslife_cache *cache = new_cache(10);
    CHECK(put(cache, 1, LONG_MAX) && put(cache, 2, (long)1 << 40) && put(cache, 3, 5));
    SSL_SESSION *odd = nth_session(4, 100);
    SSL_SESSION_set_time(odd, LONG_MIN);
    CHECK(!tlslife_cache_put(cache, as(odd)));
    SSL_SESSION_set_time(odd, LONG_MAX);
    CHECK(tlslife_cache_put(cache, as(odd)));
    SSL_SESSION_set_time(odd, LONG_MIN);
    CHECK(!has(cache, 4));
    SSL_SESSION_free(odd);
    the_time += 1000000;
    CHECK(has(cache, 1) && has(cache, 2) && !has(cache, 3));
    the_time -= 1000000;
    tlslife_cache_free(cache);
}

/* The clock goes back: nothing crashes, and nothing lives longer than it was given. */
static void test_clock_back(void) {
    tlslife_cache *cache = new_cache(10);
    CHECK(put(cache, 1, 100));
    the_time += 60;
    CHECK(has(cache, 1) && put(cache, 2, 100));
    the_time -= 1000000;
    CHECK(has(cache, 1) && has(cache, 2) && put(cache, 3, 100));
    SSL_SESSION *future = nth_session(4, 100);
    SSL_SESSION_set_time(future, (long)the_time + 5000);
    CHECK(tlslife_cache_put(cache, as(future)));
    the_time += 40;
    CHECK(!has(cache, 1) && has(cache, 2) && has(cache, 3) && has(cache, 4));
    the_time += 60;
    CHECK(!has(cache, 2) && !has(cache, 3) && !has(cache, 4) && stats_of(cache).entries == 0);
    SSL_SESSION_free(future);
    CHECK(live == 0);
    the_time = START;
    tlslife_cache_free(cache);
}

static void test_clock_jumps(void) {
    tlslife_cache *cache = new_cache(10);
    CHECK(put(cache, 1, 100) && put(cache, 2, (long)1 << 40));
    the_time += (time_t)100 * 365 * 86400;
    CHECK(!has(cache, 1) && !has(cache, 2) && put(cache, 3, 100) && has(cache, 3) &&
          put(cache, 5, 50));
    the_time = START;
    CHECK(has(cache, 3) && put(cache, 4, 100));
    the_time += 50;
    CHECK(has(cache, 3) && has(cache, 4) && !has(cache, 5));
    the_time += 50;
    CHECK(!has(cache, 3) && !has(cache, 4));
    the_time = 0;
    CHECK(put(cache, 6, 100) && has(cache, 6));
    the_time = START;
    CHECK(!has(cache, 6));
    tlslife_cache_free(cache);
    CHECK(live == 0);
}

/* -------------------------------------------------------------------------------------- clients */

/*
 * Puts session n of that version for the peer. Returns the object, to which the cache has the only
 * reference.
 */
static SSL_SESSION *keep(tlslife_cache *cache, unsigned peer, unsigned n, int version) {
    tlsl_cache_key key = peer_key(peer);
    SSL_SESSION *session = client_session(n, version);
    char name[16];
    (void)snprintf(name, sizeof name, "peer:%u", peer);
    bool kept = tlsl_cache_keep(cache, &key, session, name);
    SSL_SESSION_free(session);
    return kept ? session : NULL;
}

static bool finds(tlslife_cache *cache, unsigned peer, const SSL_SESSION *wanted) {
    tlslife_outcome why;
    return find(cache, peer, &why) == wanted && why == TLSLIFE_OUTCOME_NONE;
}

static bool finds_none(tlslife_cache *cache, unsigned peer, tlslife_outcome wanted) {
    tlslife_outcome why;
    return find(cache, peer, &why) == NULL && why == wanted;
}

static void test_peer_queue(void) {
    tlslife_cache *cache = new_cache(100);
    CHECK(finds_none(cache, 1, TLSLIFE_OUTCOME_NOT_CACHED));
    SSL_SESSION *sessions[6];
    for (unsigned i = 0; i < 6; i++) { /* four wait, the two oldest go */
        sessions[i] = keep(cache, 1, i, TLS1_3_VERSION);
    }
    SSL_SESSION *other = keep(cache, 2, 10, TLS1_3_VERSION);
    CHECK(stats_of(cache).entries == 5 && stats_of(cache).evicted == 2 && live == 5);
    for (unsigned i = 5; i > 1; i--) {
        CHECK(finds(cache, 1, sessions[i]));
    }
    CHECK(finds_none(cache, 1, TLSLIFE_OUTCOME_SPENT) && finds(cache, 2, other));
    CHECK(finds_none(cache, 2, TLSLIFE_OUTCOME_SPENT) && live == 0);
    SSL_SESSION *again = keep(cache, 1, 20, TLS1_3_VERSION);
    CHECK(keep(cache, 1, 20, TLS1_3_VERSION) != NULL && live == 1); /* the same id: instead of it */
    again = keep(cache, 1, 20, TLS1_3_VERSION);
    CHECK(finds(cache, 1, again) && finds_none(cache, 1, TLSLIFE_OUTCOME_SPENT));
    tlslife_cache_free(cache);
}

static void test_peer_versions(void) {
    tlslife_cache *cache = new_cache(100);
    keep(cache, 1, 1, TLS1_3_VERSION);
    keep(cache, 1, 2, TLS1_3_VERSION);
    SSL_SESSION *session = keep(cache, 1, 3, TLS1_2_VERSION); /* instead of all */
    CHECK(live == 1 && finds(cache, 1, session) && finds(cache, 1, session));
    session = keep(cache, 1, 4, TLS1_2_VERSION);
    CHECK(live == 1 && finds(cache, 1, session));
    tlsl_cache_key key = peer_key(1);
    CHECK(tlsl_cache_find(cache, &key, true, true, NULL) == session);
    SSL_SESSION_free(session);
    CHECK(finds_none(cache, 1, TLSLIFE_OUTCOME_SPENT));
    keep(cache, 1, 5, TLS1_2_VERSION);
    session = keep(cache, 1, 6, TLS1_3_VERSION); /* the server has learnt TLS 1.3 */
    CHECK(live == 1 && finds(cache, 1, session) && live == 0);
    tlslife_cache_stats stats = stats_of(cache);
    CHECK(stats.puts == 6 && stats.entries == 0 && stats.hits == 5 && stats.misses == 1);
    tlslife_cache_free(cache);
}

static void test_peer_reasons(void) {
    tlslife_cache *cache = new_cache(100);
    SSL_SESSION *session = keep(cache, 1, 1, TLS1_2_VERSION);
    tlsl_cache_drop(cache, session, true);
    CHECK(finds_none(cache, 1, TLSLIFE_OUTCOME_NOT_CLOSED) && stats_of(cache).bad == 1 &&
          live == 0);
    keep(cache, 1, 2, TLS1_3_VERSION);
    keep(cache, 1, 3, TLS1_3_VERSION);
    the_time += 1000;
    CHECK(finds_none(cache, 1, TLSLIFE_OUTCOME_EXPIRED) && stats_of(cache).expired == 2 &&
          live == 0);
    session = keep(cache, 1, 4, TLS1_3_VERSION);
    tlsl_cache_drop(cache, session, false); /* it ended by its age, and not badly */
    CHECK(finds_none(cache, 1, TLSLIFE_OUTCOME_EXPIRED));
    SSL_SESSION *first = keep(cache, 1, 5, TLS1_3_VERSION);
    session = keep(cache, 1, 6, TLS1_3_VERSION);
    tlsl_cache_drop(cache, session, true); /* the ticket before it is good still */
    CHECK(finds(cache, 1, first) && finds_none(cache, 1, TLSLIFE_OUTCOME_SPENT));
    keep(cache, 1, 7, TLS1_3_VERSION);
    CHECK(drop(cache, 7) && finds_none(cache, 1, TLSLIFE_OUTCOME_NOT_CACHED) && live == 0);
    tlslife_cache_free(cache);
}

/* Found without being counted: an external store is asked next. */
static void test_uncounted(void) {
    tlslife_cache *cache = new_cache(100);
    tlsl_cache_key key = {.client = false};
    tlslife_outcome why = TLSLIFE_OUTCOME_NONE;
    nth_id(1, key.bytes);
    CHECK(tlsl_cache_find(cache, &key, false, false, &why) == NULL &&
          why == TLSLIFE_OUTCOME_NOT_CACHED);
    CHECK(put(cache, 1, 100));
    SSL_SESSION *session = tlsl_cache_find(cache, &key, false, false, &why);
    CHECK(session != NULL && stats_of(cache).hits == 0 && stats_of(cache).misses == 0);
    SSL_SESSION_free(session);
    the_time += 100;
    CHECK(tlsl_cache_find(cache, &key, false, false, &why) == NULL &&
          why == TLSLIFE_OUTCOME_EXPIRED);
    for (tlsl_count what = TLSL_COUNT_HIT; what <= TLSL_COUNT_TOO_BIG; what++) {
        for (unsigned i = 0; i <= (unsigned)what; i++) {
            tlsl_cache_count(cache, what);
        }
    }
    tlslife_cache_stats stats = stats_of(cache);
    CHECK(stats.hits == 1 + 3 && stats.misses == 2 && stats.store_hits == 3 &&
          stats.store_errors == 4);
    CHECK(stats.not_opened == 5 && stats.expired == 1 + 6 && stats.bad == 7 && stats.too_big == 8);
    tlslife_cache_free(cache);
}

/*
 * A session of TLS 1.2 has the same id on both sides, and a hostile server may give out another
 * server's id. A session that becomes bad must not remove the other one.
 */
static void test_same_id(void) {
    tlslife_cache *cache = new_cache(100);
    SSL_SESSION *ours = nth_session(1, 1000);
    SSL_SESSION *theirs = client_session(1, TLS1_2_VERSION);
    SSL_SESSION *strange = client_session(1, TLS1_2_VERSION);
    tlsl_cache_key key_1 = peer_key(1), key_2 = peer_key(2);
    CHECK(tlslife_cache_put(cache, as(ours)) && tlsl_cache_keep(cache, &key_1, theirs, "one:1") &&
          tlsl_cache_keep(cache, &key_2, strange, NULL));
    tlsl_cache_drop(cache, strange, true);
    CHECK(has(cache, 1) && finds(cache, 1, theirs) &&
          finds_none(cache, 2, TLSLIFE_OUTCOME_NOT_CLOSED));
    CHECK(tlsl_cache_keep(cache, &key_2, strange, NULL));
    tlsl_cache_drop(cache, theirs, true); /* behind the other in their chain */
    CHECK(has(cache, 1) && finds_none(cache, 1, TLSLIFE_OUTCOME_NOT_CLOSED) &&
          finds(cache, 2, strange));
    tlsl_cache_drop(cache, strange, false);
    CHECK(tlsl_cache_keep(cache, &key_1, theirs, NULL));
    SSL_SESSION *copy = SSL_SESSION_dup(theirs);
    tlsl_cache_drop(cache, copy, true); /* as another context has it */
    CHECK(has(cache, 1) && finds_none(cache, 1, TLSLIFE_OUTCOME_NOT_CLOSED));
    CHECK(tlsl_cache_keep(cache, &key_1, theirs, NULL));
    tlsl_cache_drop(cache, ours, true);
    CHECK(!has(cache, 1) && finds(cache, 1, theirs) && stats_of(cache).bad == 4);
    tlsl_cache_drop(cache, ours, true);
    CHECK(stats_of(cache).bad == 4 && finds(cache, 1, theirs)); /* it was not there */
    CHECK(tlsl_cache_keep(cache, &key_2, strange, NULL) && drop(cache, 1) && !drop(cache, 1));
    CHECK(stats_of(cache).entries == 0);
    SSL_SESSION_free(ours);
    SSL_SESSION_free(theirs);
    SSL_SESSION_free(strange);
    SSL_SESSION_free(copy);
    CHECK(live == 0);
    tlslife_cache_free(cache);
}

/* Servers' and clients' sessions count together, and each makes room among its own first. */
static void test_clients_capacity(void) {
    tlslife_cache *cache = new_cache(10);
    for (unsigned i = 0; i < 10; i++) {
        CHECK(put(cache, i, 1000));
    }
    SSL_SESSION *first = keep(cache, 1, 100, TLS1_2_VERSION);
    CHECK(first != NULL && !has(cache, 0) && stats_of(cache).entries == 10);
    SSL_SESSION *second = keep(cache, 2, 101, TLS1_2_VERSION);
    CHECK(finds(cache, 2, second) && finds_none(cache, 1, TLSLIFE_OUTCOME_NOT_CACHED));
    CHECK(has(cache, 1) && stats_of(cache).entries == 10 && stats_of(cache).evicted == 2);
    CHECK(put(cache, 200, 1000) && !has(cache, 2) && finds(cache, 2, second));
    tlslife_cache_flush(cache, true);
    for (unsigned i = 0; i < 10; i++) {
        CHECK(keep(cache, i, i, TLS1_2_VERSION) != NULL);
    }
    CHECK(put(cache, 200, 1000) && has(cache, 200) && stats_of(cache).entries == 10);
    CHECK(finds_none(cache, 0, TLSLIFE_OUTCOME_NOT_CACHED));
    tlslife_cache_free(cache);
    cache = new_cache(0);
    CHECK(keep(cache, 1, 1, TLS1_3_VERSION) == NULL &&
          finds_none(cache, 1, TLSLIFE_OUTCOME_NOT_CACHED));
    tlslife_cache_free(cache);
    CHECK(live == 0);
}

/*
 * A client that meets ever new peers remembers only the last of those from which it has no session.
 */
static void test_idle_peers(void) {
    enum { MANY = TLSL_PEERS_IDLE + 50 };
    tlslife_cache *cache = new_cache(10);
    for (unsigned i = 0; i < MANY; i++) {
        SSL_SESSION *session = keep(cache, i, i, TLS1_3_VERSION);
        CHECK(finds(cache, i, session) && finds_none(cache, i, TLSLIFE_OUTCOME_SPENT));
        CHECK(cache->peers.len <= TLSL_PEERS_IDLE + 10);
    }
    CHECK(cache->peers.len == TLSL_PEERS_IDLE && cache->peers.idle_len == TLSL_PEERS_IDLE);
    CHECK(finds_none(cache, 0, TLSLIFE_OUTCOME_NOT_CACHED));
    CHECK(finds_none(cache, MANY - 1, TLSLIFE_OUTCOME_SPENT));
    for (unsigned i = 0; i < MANY;
         i++) { /* each evicts the one of ten peers ago, whose place is forgotten */
        CHECK(keep(cache, i, i, TLS1_2_VERSION) != NULL);
    }
    CHECK(cache->peers.len > TLSL_PEERS_IDLE && cache->peers.len <= TLSL_PEERS_IDLE + 10);
    CHECK(stats_of(cache).entries == 10 && live == 10);
    tlslife_cache_free(cache);
    CHECK(live == 0);
}

/* -------------------------------------------------------------------------------------- entries */

static void test_entries(void) {
    tlslife_cache *cache = new_cache(1000);
    tlslife_cache_entry entries[7];
    unsigned char seen[300] = {0};
    unsigned char id[32];
    uint64_t cursor = 0;
    size_t some, all = 0;
    CHECK(tlslife_cache_entries(cache, &cursor, entries, 7) == 0);
    for (unsigned i = 0; i < 299; i++) {
        CHECK(put(cache, i, 1000 + (long)i));
    }
    keep(cache, 5, 299, TLS1_3_VERSION);
    the_time += 10;
    for (cursor = 0; (some = tlslife_cache_entries(cache, &cursor, entries, 7)) > 0; all += some) {
        for (size_t i = 0; i < some; i++) {
            unsigned n;
            memcpy(&n, entries[i].id + 28, sizeof n);
            nth_id(n, id);
            seen[n < 300 ? n : 0]++;
            bool client = n == 299;
            CHECK(entries[i].id_len == 32 && memcmp(id, entries[i].id, 32) == 0);
            CHECK(entries[i].client == client && entries[i].time == the_time - 10);
            CHECK(entries[i].expires == the_time - 10 + (client ? 1000 : 1000 + n));
            CHECK_TEXT(entries[i].protocol, client ? "TLSv1.3" : "TLSv1.2");
            CHECK_TEXT(entries[i].peer, client ? "peer:5" : "");
        }
    }
    CHECK(all == 300 && memchr(seen, 0, 300) == NULL && memchr(seen, 2, 300) == NULL);
    CHECK(tlslife_cache_entries(cache, &cursor, entries, 7) == 0);
    tlslife_cache_free(cache);
}

/* While the cache changes, a session that stays is listed once, and one that goes at most once. */
static void test_entries_changing(void) {
    tlslife_cache *cache = new_cache(1000);
    tlslife_cache_entry entries[5];
    unsigned char seen[400] = {0};
    uint64_t cursor = 0;
    size_t some;
    unsigned turn = 0;
    bool right = true;
    for (unsigned i = 0; i < 300; i++) {
        CHECK(put(cache, i, 1000));
    }
    while ((some = tlslife_cache_entries(cache, &cursor, entries, 5)) > 0) {
        for (size_t i = 0; i < some; i++) {
            unsigned n;
            memcpy(&n, entries[i].id + 28, sizeof n);
            right = right && n < 400 && seen[n]++ == 0;
        }
        drop(cache, turn); /* 0..99 go while 300..399 come */
        put(cache, 300 + turn, 1000);
        has(cache, 100 + turn);
        turn = turn < 99 ? turn + 1 : turn;
    }
    CHECK(right && memchr(seen + 100, 0, 200) == NULL);
    tlslife_cache_free(cache);
    CHECK(live == 0);
}

typedef struct visits {
    unsigned len;
    SSL_SESSION *sessions[8];
    bool right;
} visits;

static void visit(void *user, const tlsl_cache_key *key, SSL_SESSION *session, const char *peer) {
    visits *all = user;
    tlsl_cache_key wanted = peer_key(strcmp(peer, "peer:1") == 0 ? 1 : 2);
    all->right =
        all->right && key->client && memcmp(key->bytes, wanted.bytes, sizeof wanted.bytes) == 0;
    if (all->len < 8) {
        all->sessions[all->len++] = session;
    }
}

static void test_each_client(void) {
    tlslife_cache *cache = new_cache(100);
    visits all = {.right = true};
    put(cache, 1, 100);
    tlsl_cache_each_client(cache, visit, &all);
    CHECK(all.len == 0);
    SSL_SESSION *first = keep(cache, 1, 1, TLS1_3_VERSION);
    SSL_SESSION *other = keep(cache, 2, 2, TLS1_2_VERSION);
    SSL_SESSION *second = keep(cache, 1, 3, TLS1_3_VERSION);
    tlsl_cache_each_client(cache, visit, &all);
    CHECK(all.len == 3 && all.right);
    size_t at = all.sessions[0] == other ? 1 : 0;
    CHECK(all.sessions[at] == first && all.sessions[at + 1] == second);
    tlslife_cache_free(cache);
}

/* With many shards, exactly the sessions that were put and have not left are there. */
static void test_large(void) {
    enum { MANY = 20000 };
    tlslife_cache *cache = new_cache(MANY);
    unsigned state = 5;
    size_t there = 0;
    CHECK(cache->shards_len == TLSL_SHARDS_MAX);
    for (unsigned i = 0; i < MANY; i++) {
        put(cache, i, 100 + (long)(next_random(&state) % 7200));
    }
    for (unsigned i = 0; i < MANY; i++) {
        there += has(cache, i);
    }
    CHECK(there == MANY && stats_of(cache).entries == MANY && live == MANY);
    for (unsigned i = 0; i < MANY; i += 2) {
        there -= drop(cache, i);
    }
    CHECK(there == MANY / 2 && stats_of(cache).entries == MANY / 2);
    the_time += 3700;
    size_t expired = tlslife_cache_flush(cache, false);
    for (unsigned i = 1; i < MANY; i += 2) {
        there -= has(cache, i);
    }
    CHECK(there == expired && expired > MANY / 5 && expired < MANY / 2);
    the_time += 3700;
    CHECK(tlslife_cache_flush(cache, false) == MANY / 2 - expired && live == 0);
    tlslife_cache_free(cache);
}

int main(void) {
    static const size_t capacities[] = {0, 1, 2, 3, 7, 100, 127, 128, 1000, 1021, 5000};
    sessions_begin();
    test_options();
    test_store();
    test_verbs();
    test_replace();
    test_ids();
    test_not_resumable();
    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
        test_capacity(capacities[i]);
    }
    test_empty_shard();
    test_order_of_use();
    test_expired_first();
    test_bytes();
    test_bytes_expired();
    test_expiry();
    test_shrunk();
    test_long_lives();
    test_clock_back();
    test_clock_jumps();
    test_peer_queue();
    test_peer_versions();
    test_peer_reasons();
    test_uncounted();
    test_same_id();
    test_clients_capacity();
    test_idle_peers();
    test_entries();
    test_entries_changing();
    test_each_client();
    test_large();
    sessions_end();
    return checks_end();
}
