/*
 * external_test.c: tests what a cache sends out of the process, and what it takes back.
 *
 * These are the sessions that are sealed for a store, and a client's whole cache as one sealed
 * block. The store of this test loses, damages and mixes up what it was given.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "cache/cache.h"
#include "cache/external.h"
#include "cache/seal.h"
#include "tls/context/context.h"
#include "tlslife.h"
#include "values/session_value.h"

#include "check.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdlib.h>

/* ------------------------------------------------------------------------------- a store of one */

typedef struct one_place {
    tlslife_store store;
    unsigned char key[32];
    unsigned char *bytes;
    size_t bytes_len;
    long lifetime;
    unsigned puts;
    bool refuses;
} one_place;

static bool place_put(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY],
                      const unsigned char *bytes, size_t bytes_len, long lifetime_seconds) {
    one_place *place = (one_place *)(void *)store;
    place->puts++;
    if (place->refuses) {
        return false;
    }
    free(place->bytes);
    place->bytes = malloc(bytes_len);
    memcpy(place->bytes, bytes, bytes_len);
    memcpy(place->key, key, sizeof place->key);
    place->bytes_len = bytes_len;
    place->lifetime = lifetime_seconds;
    return true;
}

static bool place_remove(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY]) {
    (void)store;
    (void)key;
    return true;
}

static bool place_remove_if(tlslife_store *store, const unsigned char key[TLSL_STORE_KEY],
                            const unsigned char head[TLSL_STORE_HEAD]) {
    (void)key;
    (void)head;
    return !((one_place *)(void *)store)->refuses;
}

static void place_destroy(tlslife_store *store) {
    free(((one_place *)(void *)store)->bytes);
    free(store);
}

static const tlsl_store_verbs place_verbs = {
    .put = place_put,
    .remove = place_remove,
    .remove_if = place_remove_if,
    .destroy = place_destroy,
};

/* -------------------------------------------------------------------------------------- a scene */

typedef struct scene {
    tlslife_keyring *keyring;
    one_place *place;
    tlslife_cache *cache;
} scene;

static const unsigned char *secret(unsigned char number) {
    static unsigned char bytes[32];
    memset(bytes, number, sizeof bytes);
    return bytes;
}

static scene begin(long timeout_seconds) {
    scene all = {.keyring = tlslife_keyring_new(secret(1), 32, NULL),
                 .place = calloc(1, sizeof *all.place)};
    atomic_init(&all.place->store.refs, 1);
    all.place->store.verbs = &place_verbs;
    tlslife_cache_options options = tlslife_cache_defaults();
    options.store = &all.place->store;
    options.keyring = all.keyring;
    options.timeout_seconds = timeout_seconds;
    all.cache = tlslife_cache_new(&options, NULL);
    CHECK(all.cache != NULL);
    return all;
}

static void end(scene all) {
    tlslife_cache_free(all.cache);
    tlslife_store_free(&all.place->store);
    tlslife_keyring_free(all.keyring);
}

static tlslife_cache_stats stats_of(const tlslife_cache *cache) {
    tlslife_cache_stats stats;
    tlslife_cache_get_stats(cache, &stats);
    return stats;
}

/* A session as libssl would make it, each byte of whose id is `id`. */
static SSL_SESSION *session_of(unsigned char id, unsigned id_len, int version) {
    static const unsigned char suites[2][2] = {{0xc0, 0x2f}, {0x13, 0x01}};
    unsigned char id_bytes[32], master[48];
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    SSL *ssl = SSL_new(ctx);
    SSL_SESSION *session = SSL_SESSION_new();
    memset(id_bytes, id, sizeof id_bytes);
    RAND_bytes(master, sizeof master);
    bool good =
        SSL_SESSION_set_protocol_version(session, version) == 1 &&
        SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, suites[version == TLS1_3_VERSION])) ==
            1 &&
        SSL_SESSION_set1_master_key(session, master, version == TLS1_3_VERSION ? 32 : 48) == 1 &&
        SSL_SESSION_set1_id(session, id_bytes, id_len) == 1;
    CHECK(good);
    SSL_SESSION_set_timeout(session, 7200);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    return session;
}

static tlsl_cache_key key_of(unsigned char id, unsigned id_len, bool client) {
    tlsl_cache_key key = {.client = client};
    memset(key.bytes, id, id_len);
    return key;
}

static bool same_session(SSL_SESSION *a, SSL_SESSION *b) {
    return tlslife_session_equal((const tlslife_session *)(void *)a,
                                 (const tlslife_session *)(void *)b);
}

static const unsigned char policy_bytes[32] = "the policy that it was made by";
static const tlslife_bytes policy = {policy_bytes, sizeof policy_bytes};

static bool returns(const scene *all, const tlsl_cache_key *key, SSL_SESSION *wanted) {
    SSL_SESSION *got = tlsl_external_open(all->cache, key, all->place->bytes, all->place->bytes_len,
                                          policy, &(bool){false});
    bool same = got != NULL && same_session(got, wanted);
    SSL_SESSION_free(got);
    return same;
}

/* ------------------------------------------------------------------------------- there and back */

static void test_round_trip(unsigned id_len, int version, bool client) {
    scene all = begin(0);
    SSL_SESSION *session = session_of('a', id_len, version);
    tlsl_cache_key key = key_of(client ? 'k' : 'a', client ? 32 : id_len, client);
    unsigned char far_key[32], master[48];
    size_t master_len = SSL_SESSION_get_master_key(session, master, sizeof master);
    tlsl_external_put(all.cache, &key, session, policy, NULL);
    CHECK(all.place->puts == 1 && all.place->lifetime > 7190 && all.place->lifetime <= 7200);
    tlsl_external_key(&key, far_key);
    CHECK(memcmp(all.place->key, far_key, 32) == 0 && memcmp(far_key, key.bytes, 32) != 0);
    CHECK(memmem(all.place->bytes, all.place->bytes_len, master, master_len) == NULL);
    CHECK(memmem(all.place->bytes, all.place->bytes_len, "aaaaaaaa", 8) == NULL);
    CHECK(returns(&all, &key, session) && returns(&all, &key, session));
    tlslife_cache_stats stats = stats_of(all.cache);
    CHECK(stats.not_opened == 0 && stats.store_errors == 0 && stats.expired == 0 &&
          stats.too_big == 0);
    SSL_SESSION_free(session);
    end(all);
}

static void test_external_keys_differ(void) {
    unsigned char server[32], client[32], other[32];
    tlsl_cache_key key = key_of('a', 32, false);
    tlsl_external_key(&key, server);
    key.client = true;
    tlsl_external_key(&key, client);
    key.bytes[31] ^= 1;
    tlsl_external_key(&key, other);
    CHECK(memcmp(server, client, 32) != 0 && memcmp(client, other, 32) != 0);
}

static void test_lifetimes(void) {
    scene all = begin(100);
    tlsl_cache_key key = key_of('a', 32, false);
    SSL_SESSION *session = session_of('a', 32, TLS1_2_VERSION);
    long now = (long)time(NULL);
    tlsl_external_put(all.cache, &key, session, policy, NULL);
    CHECK(all.place->lifetime > 95 && all.place->lifetime <= 100);
    SSL_SESSION_set_time(session, now - 50);
    tlsl_external_put(all.cache, &key, session, policy, NULL);
    CHECK(all.place->lifetime > 45 && all.place->lifetime <= 50);
    SSL_SESSION_set_time(session, now + 100000); /* the clock went back since */
    tlsl_external_put(all.cache, &key, session, policy, NULL);
    CHECK(all.place->lifetime == 100);
    CHECK(all.place->puts == 3);
    SSL_SESSION_set_time(session, now - 200);
    tlsl_external_put(all.cache, &key, session, policy, NULL);
    SSL_SESSION_set_time(session, now);
    SSL_SESSION_set_timeout(session, 0);
    tlsl_external_put(all.cache, &key, session, policy, NULL);
    CHECK(all.place->puts == 3); /* there was nothing worth telling */
    SSL_SESSION_free(session);
    end(all);
}

static void test_told_in_vain(void) {
    scene all = begin(0);
    tlsl_cache_key key = key_of('a', 32, false);
    SSL_SESSION *session = session_of('a', 32, TLS1_2_VERSION);
    const unsigned char head[TLSL_STORE_HEAD] = {0};
    tlsl_external_remove_if(all.cache, &key, head);
    CHECK(stats_of(all.cache).store_errors == 0);
    all.place->refuses = true;
    tlsl_external_put(all.cache, &key, session, policy, NULL);
    CHECK(stats_of(all.cache).store_errors == 1);
    tlsl_external_remove_if(all.cache, &key, head);
    CHECK(stats_of(all.cache).store_errors == 2);
    unsigned char *large = calloc(1, TLSL_STORE_BYTES_MAX);
    CHECK(SSL_SESSION_set1_ticket_appdata(session, large, TLSL_STORE_BYTES_MAX) == 1);
    tlsl_external_put(all.cache, &key, session, policy, NULL);
    CHECK(stats_of(all.cache).too_big == 1 && all.place->puts == 1);
    free(large);
    SSL_SESSION_free(session);
    end(all);
}

/* The largest that goes also comes back. */
static void test_just_fits(void) {
    scene all = begin(0);
    tlsl_cache_key key = key_of('a', 32, false);
    SSL_SESSION *session = session_of('a', 32, TLS1_2_VERSION);
    unsigned char *large = calloc(1, TLSL_STORE_BYTES_MAX);
    size_t len = TLSL_STORE_BYTES_MAX;
    while (all.place->puts == 0 && len > TLSL_STORE_BYTES_MAX - 400) {
        CHECK(SSL_SESSION_set1_ticket_appdata(session, large, --len) == 1);
        tlsl_external_put(all.cache, &key, session, policy, NULL);
    }
    CHECK(all.place->puts == 1 && all.place->bytes_len == TLSL_STORE_BYTES_MAX);
    CHECK(returns(&all, &key, session));
    free(large);
    SSL_SESSION_free(session);
    end(all);
}

static void test_notes(void) {
    scene all = begin(0);
    tlsl_cache_key key = key_of('k', 32, true);
    SSL_SESSION *session = session_of('a', 32, TLS1_3_VERSION);
    tlsl_external_put(all.cache, &key, session, policy, NULL);
    SSL_SESSION *got = tlsl_external_open(all.cache, &key, all.place->bytes, all.place->bytes_len,
                                          policy, &(bool){false});
    CHECK(got != NULL && !tlsl_session_has_mark(got, TLSL_MARK_CERTIFICATE));
    SSL_SESSION_free(got);
    (void)tlsl_session_set_mark(session, TLSL_MARK_CERTIFICATE);
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    CHECK(tlsl_session_has_mark(session, TLSL_MARK_CERTIFICATE) &&
          tlsl_session_has_mark(copy, TLSL_MARK_CERTIFICATE));
    tlsl_external_put(all.cache, &key, copy, policy, NULL);
    got = tlsl_external_open(all.cache, &key, all.place->bytes, all.place->bytes_len, policy,
                             &(bool){false});
    CHECK(got != NULL && tlsl_session_has_mark(got, TLSL_MARK_CERTIFICATE));
    SSL_SESSION_free(got);
    SSL_SESSION_free(copy);
    SSL_SESSION_free(session);
    end(all);
}

/* ---------------------------------------------------------------------------------- a bad store */

static uint64_t failed_opens(const scene *all, const tlsl_cache_key *key,
                             const unsigned char *bytes, size_t bytes_len, tlslife_bytes sid_ctx) {
    uint64_t before = stats_of(all->cache).not_opened;
    SSL_SESSION *got =
        tlsl_external_open(all->cache, key, bytes, bytes_len, sid_ctx, &(bool){false});
    CHECK(got == NULL);
    SSL_SESSION_free(got);
    return stats_of(all->cache).not_opened - before;
}

static void test_mixed_up(void) {
    scene all = begin(0);
    tlsl_cache_key key = key_of('a', 32, false), other = key_of('b', 32, false),
                   client = key_of('a', 32, true);
    SSL_SESSION *session = session_of('a', 32, TLS1_2_VERSION);
    tlsl_external_put(all.cache, &key, session, policy, NULL);
    const unsigned char *bytes = all.place->bytes;
    size_t len = all.place->bytes_len;
    unsigned char other_policy[32] = "another policy";
    CHECK(failed_opens(&all, &other, bytes, len, policy) == 1);
    CHECK(failed_opens(&all, &client, bytes, len, policy) == 1);
    CHECK(failed_opens(&all, &key, bytes, len, (tlslife_bytes){other_policy, 32}) == 1);
    CHECK(failed_opens(&all, &key, bytes, len, (tlslife_bytes){policy_bytes, 31}) == 1);
    CHECK(failed_opens(&all, &key, bytes, len, (tlslife_bytes){NULL, 0}) == 1);
    CHECK(stats_of(all.cache).store_errors == 0);
    CHECK(returns(&all, &key, session));
    SSL_SESSION_free(session);
    end(all);
}

static void test_damaged(void) {
    scene all = begin(0);
    tlsl_cache_key key = key_of('a', 32, false);
    SSL_SESSION *session = session_of('a', 32, TLS1_2_VERSION);
    tlsl_external_put(all.cache, &key, session, policy, NULL);
    uint64_t failed = 0;
    size_t len = all.place->bytes_len;
    for (size_t i = 0; i < len; i++) {
        all.place->bytes[i] ^= 0x10;
        failed += failed_opens(&all, &key, all.place->bytes, len, policy);
        all.place->bytes[i] ^= 0x10;
        failed += failed_opens(&all, &key, all.place->bytes, i, policy);
    }
    CHECK(failed == 2 * len);
    const size_t mebibyte = (size_t)1024 * 1024;
    unsigned char *large = calloc(1, mebibyte);
    memcpy(large, all.place->bytes, len);
    CHECK(failed_opens(&all, &key, large, mebibyte, policy) == 1);
    CHECK(failed_opens(&all, &key, large, len + 1, policy) == 1);
    CHECK(failed_opens(&all, &key, NULL, 0, policy) == 1);
    free(large);
    CHECK(returns(&all, &key, session));
    SSL_SESSION_free(session);
    end(all);
}

/* Seals bytes that are no session under the right key, which takes the keyring. */
static tlsl_count count_of(const scene *all, const tlsl_cache_key *key, const unsigned char *plain,
                           size_t plain_len) {
    unsigned char bound[65], *sealed = NULL;
    size_t sealed_len = 0;
    tlslife_cache_stats before = stats_of(all->cache);
    memcpy(bound, key->bytes, 32);
    bound[32] = key->client;
    memcpy(bound + 33, policy_bytes, 32);
    CHECK(tlsl_seal(all->keyring, (tlslife_bytes){plain, plain_len},
                    (tlslife_bytes){bound, sizeof bound}, &sealed, &sealed_len));
    SSL_SESSION *got =
        tlsl_external_open(all->cache, key, sealed, sealed_len, policy, &(bool){false});
    tlslife_cache_stats after = stats_of(all->cache);
    free(sealed);
    if (got != NULL) {
        SSL_SESSION_free(got);
        return TLSL_COUNT_STORE_HIT;
    }
    CHECK(after.not_opened + after.store_errors + after.expired ==
          before.not_opened + before.store_errors + before.expired + 1);
    return after.store_errors > before.store_errors ? TLSL_COUNT_STORE_ERROR
           : after.expired > before.expired         ? TLSL_COUNT_EXPIRED
                                                    : TLSL_COUNT_NOT_OPENED;
}

static size_t plain_of(SSL_SESSION *session, unsigned char plain[1000]) {
    unsigned char *at = plain + 1;
    plain[0] = 0;
    return 1 + (size_t)i2d_SSL_SESSION(session, &at);
}

static void test_no_session_of_that_key(void) {
    scene all = begin(0);
    tlsl_cache_key key = key_of('a', 32, false), shorter = key_of('a', 31, false),
                   client = key_of('k', 32, true);
    SSL_SESSION *session = session_of('a', 32, TLS1_2_VERSION),
                *other = session_of('b', 32, TLS1_2_VERSION),
                *nameless = session_of('a', 0, TLS1_2_VERSION);
    unsigned char plain[1000];
    size_t len = plain_of(session, plain);
    CHECK(count_of(&all, &key, plain, len) == TLSL_COUNT_STORE_HIT);
    CHECK(count_of(&all, &client, plain, len) == TLSL_COUNT_STORE_HIT);
    CHECK(count_of(&all, &shorter, plain, len) == TLSL_COUNT_STORE_ERROR);
    CHECK(count_of(&all, &key, plain, len - 1) == TLSL_COUNT_STORE_ERROR);
    CHECK(count_of(&all, &key, plain, len + 1) == TLSL_COUNT_STORE_ERROR);
    CHECK(count_of(&all, &key, plain, 1) == TLSL_COUNT_STORE_ERROR);
    CHECK(count_of(&all, &key, plain, 0) == TLSL_COUNT_STORE_ERROR);
    CHECK(count_of(&all, &key, (const unsigned char *)"garbage", 7) == TLSL_COUNT_STORE_ERROR);
    CHECK(count_of(&all, &key, plain, plain_of(other, plain)) == TLSL_COUNT_STORE_ERROR);
    len = plain_of(nameless, plain);
    CHECK(count_of(&all, &key, plain, len) == TLSL_COUNT_STORE_ERROR);
    CHECK(count_of(&all, &client, plain, len) == TLSL_COUNT_STORE_ERROR);
    CHECK(ERR_peek_error() == 0);
    SSL_SESSION_free(session);
    SSL_SESSION_free(other);
    SSL_SESSION_free(nameless);
    end(all);
}

static void test_expired(void) {
    scene all = begin(100);
    tlsl_cache_key key = key_of('a', 32, false);
    SSL_SESSION *session = session_of('a', 32, TLS1_2_VERSION);
    unsigned char plain[1000];
    long now = (long)time(NULL);
    SSL_SESSION_set_time(session, now - 7300);
    CHECK(count_of(&all, &key, plain, plain_of(session, plain)) == TLSL_COUNT_EXPIRED);
    SSL_SESSION_set_time(session, now - 110); /* by its own word it lives, by the cache's not */
    CHECK(count_of(&all, &key, plain, plain_of(session, plain)) == TLSL_COUNT_EXPIRED);
    SSL_SESSION_set_time(session, now - 50);
    CHECK(count_of(&all, &key, plain, plain_of(session, plain)) == TLSL_COUNT_STORE_HIT);
    SSL_SESSION_free(session);
    end(all);
}

/* ---------------------------------------------------------------------------- export and import */

static tlslife_cache *empty_cache(void) {
    tlslife_cache_options options = tlslife_cache_defaults();
    tlslife_cache *cache = tlslife_cache_new(&options, NULL);
    CHECK(cache != NULL);
    return cache;
}

/* A client's session of that peer, with a session id context as contexts make them. */
static SSL_SESSION *keep_client(tlslife_cache *cache, unsigned char peer, unsigned char id,
                                int version) {
    tlsl_client_id owner = {.number = 7};
    tlsl_cache_key key = key_of(peer, 32, true);
    char name[] = "x.example:443";
    name[0] = (char)peer;
    memset(owner.policy, 'p', sizeof owner.policy);
    memset(owner.host, peer, sizeof owner.host);
    SSL_SESSION *session = session_of(id, 32, version);
    CHECK(SSL_SESSION_set1_id_context(session, (const unsigned char *)&owner, sizeof owner) == 1);
    CHECK(tlsl_cache_keep(cache, &key, session, name));
    return session;
}

/* The id (its first byte) of the session that comes next for that peer; 0: none. */
static unsigned char next_of(tlslife_cache *cache, unsigned char peer, bool *certificate) {
    tlslife_outcome why;
    unsigned len = 0;
    tlsl_client_id owner;
    tlsl_cache_key key = key_of(peer, 32, true);
    SSL_SESSION *session = tlsl_cache_find(cache, &key, true, false, &why);
    if (session == NULL) {
        return 0;
    }
    const unsigned char *id_context = SSL_SESSION_get0_id_context(session, &len);
    CHECK(len == sizeof owner);
    memcpy(&owner, id_context, sizeof owner);
    CHECK(owner.number == 0 && owner.policy[11] == 'p' && owner.host[11] == peer);
    *certificate = tlsl_session_has_mark(session, TLSL_MARK_CERTIFICATE);
    unsigned char first = SSL_SESSION_get_id(session, &len)[0];
    SSL_SESSION_free(session);
    return first;
}

typedef struct block {
    unsigned char *bytes;
    size_t len;
} block;

static block export_of(tlslife_cache *cache, tlslife_keyring *keyring, bool with_certificates) {
    block out = {NULL, 0};
    tlslife_error err;
    if (!CHECK(tlslife_cache_export(cache, keyring, with_certificates, &out.bytes, &out.len,
                                    &err) == TLSLIFE_OK)) {
        fprintf(stderr, "%s\n", err.message);
    }
    return out;
}

/* How many sessions it brought, or -1. */
static long import_of(tlslife_cache *cache, tlslife_keyring *keyring, block from) {
    size_t sessions = 0;
    tlslife_error err;
    if (tlslife_cache_import(cache, keyring, from.bytes, from.len, &sessions, &err) != TLSLIFE_OK) {
        CHECK(err.kind == TLSLIFE_ERR_INPUT && err.message[0] != '\0');
        return -1;
    }
    return (long)sessions;
}

/*
 * Fills a cache for two peers. A has three sessions of TLS 1.3, the second with a certificate, and
 * B has one of TLS 1.2.
 */
static tlslife_cache *full_cache(void) {
    tlslife_cache *cache = empty_cache();
    SSL_SESSION *sessions[] = {
        keep_client(cache, 'A', '1', TLS1_3_VERSION), keep_client(cache, 'A', '2', TLS1_3_VERSION),
        keep_client(cache, 'A', '3', TLS1_3_VERSION), keep_client(cache, 'B', '4', TLS1_2_VERSION)};
    tlsl_cache_key id = key_of('5', 32, false);
    SSL_SESSION *servers = session_of('5', 32, TLS1_2_VERSION);
    (void)tlsl_session_set_mark(sessions[1], TLSL_MARK_CERTIFICATE);
    CHECK(tlsl_cache_keep(cache, &id, servers, NULL));
    for (size_t i = 0; i < 4; i++) {
        SSL_SESSION_free(sessions[i]);
    }
    SSL_SESSION_free(servers);
    return cache;
}

static void test_export_all(tlslife_keyring *keyring) {
    tlslife_cache *before = full_cache(), *after = empty_cache();
    block file = export_of(before, keyring, true);
    bool certificate = false;
    CHECK(stats_of(before).entries == 5);
    CHECK(import_of(after, keyring, file) == 4 && stats_of(after).entries == 4);
    CHECK(next_of(after, 'A', &certificate) == '3' && !certificate);
    CHECK(next_of(after, 'A', &certificate) == '2' && certificate);
    CHECK(next_of(after, 'A', &certificate) == '1' && !certificate);
    CHECK(next_of(after, 'A', &certificate) == 0);
    CHECK(next_of(after, 'B', &certificate) == '4' && !certificate);
    tlslife_session_bytes_free(file.bytes, file.len);
    tlslife_cache_free(before);
    tlslife_cache_free(after);
}

static void test_export_without_certificates(tlslife_keyring *keyring) {
    tlslife_cache *before = full_cache(), *after = empty_cache();
    block file = export_of(before, keyring, false);
    tlslife_cache_entry entries[4];
    uint64_t cursor = 0;
    bool certificate = false;
    CHECK(import_of(after, keyring, file) == 3);
    size_t shown = tlslife_cache_entries(after, &cursor, entries, 4), named = 0;
    CHECK(shown == 3);
    for (size_t i = 0; i < shown; i++) {
        named += entries[i].client && (strcmp(entries[i].peer, "A.example:443") == 0 ||
                                       strcmp(entries[i].peer, "B.example:443") == 0);
    }
    CHECK(named == 3);
    CHECK(next_of(after, 'A', &certificate) == '3');
    CHECK(next_of(after, 'A', &certificate) == '1');
    tlslife_session_bytes_free(file.bytes, file.len);
    tlslife_cache_free(before);
    tlslife_cache_free(after);
}

static void test_export_of_nothing(tlslife_keyring *keyring) {
    tlslife_cache *cache = empty_cache();
    block file = export_of(cache, keyring, true);
    CHECK(import_of(cache, keyring, file) == 0);
    CHECK(tlslife_cache_import(cache, keyring, file.bytes, file.len, NULL, NULL) == TLSLIFE_OK);
    tlslife_session_bytes_free(file.bytes, file.len);
    tlslife_cache_free(cache);
}

static void test_import_expired(tlslife_keyring *keyring) {
    tlslife_cache *before = empty_cache();
    tlslife_cache_options options = tlslife_cache_defaults();
    options.timeout_seconds = 50;
    tlslife_cache *after = tlslife_cache_new(&options, NULL);
    SSL_SESSION *session = keep_client(before, 'A', '1', TLS1_3_VERSION);
    SSL_SESSION_set_time(session, (long)time(NULL) - 100);
    block file = export_of(before, keyring, true);
    CHECK(import_of(after, keyring, file) == 0 && stats_of(after).entries == 0);
    CHECK(import_of(before, keyring, file) == 1);
    SSL_SESSION_free(session);
    tlslife_session_bytes_free(file.bytes, file.len);
    tlslife_cache_free(before);
    tlslife_cache_free(after);
}

/* One that has expired since it was kept is not exported, and the others are. */
static void test_export_expired(tlslife_keyring *keyring) {
    tlslife_cache *before = empty_cache(), *after = empty_cache();
    SSL_SESSION *old = keep_client(before, 'A', '1', TLS1_3_VERSION),
                *young = keep_client(before, 'B', '2', TLS1_3_VERSION);
    SSL_SESSION_set_time(old, (long)time(NULL) - 7201);
    block file = export_of(before, keyring, true);
    SSL_SESSION_set_time(old, (long)time(NULL));
    block both = export_of(before, keyring, true);
    CHECK(import_of(after, keyring, file) == 1 && stats_of(after).entries == 1);
    CHECK(import_of(after, keyring, both) == 2 && file.len < both.len);
    SSL_SESSION_free(old);
    SSL_SESSION_free(young);
    tlslife_session_bytes_free(file.bytes, file.len);
    tlslife_session_bytes_free(both.bytes, both.len);
    tlslife_cache_free(before);
    tlslife_cache_free(after);
}

static void test_import_damaged(tlslife_keyring *keyring) {
    tlslife_cache *before = full_cache(), *after = empty_cache();
    tlslife_keyring *other = tlslife_keyring_new(secret(2), 32, NULL);
    block file = export_of(before, keyring, true);
    size_t refused = 0;
    for (size_t i = 0; i < file.len; i += 7) {
        file.bytes[i] ^= 1;
        refused += import_of(after, keyring, file) == -1;
        file.bytes[i] ^= 1;
        refused += import_of(after, keyring, (block){file.bytes, i}) == -1;
    }
    CHECK(refused == 2 * ((file.len + 6) / 7));
    CHECK(import_of(after, other, file) == -1);
    CHECK(import_of(after, keyring, (block){NULL, 0}) == -1);
    CHECK(stats_of(after).entries == 0);
    CHECK(import_of(after, keyring, file) == 4);
    tlslife_keyring_free(other);
    tlslife_session_bytes_free(file.bytes, file.len);
    tlslife_cache_free(before);
    tlslife_cache_free(after);
}

/*
 * Imports a block that opens, but whose content was cut, lengthened or changed. It must be read to
 * its end before a session is added.
 */
static void test_import_of_nonsense(tlslife_keyring *keyring) {
    static const unsigned char purpose[] = "tlslife cache file";
    tlslife_cache *before = full_cache(), *after = empty_cache();
    block file = export_of(before, keyring, true);
    unsigned char *plain = NULL;
    size_t plain_len = 0, refused = 0, tried = 0;
    CHECK(tlsl_open(keyring, (tlslife_bytes){file.bytes, file.len},
                    (tlslife_bytes){purpose, sizeof purpose}, &plain, &plain_len));
    unsigned char *spoilt = malloc(plain_len + 1);
    for (size_t len = 0; len <= plain_len + 1; len++) {
        block sealed = {NULL, 0};
        memcpy(spoilt, plain, len < plain_len ? len : plain_len);
        spoilt[plain_len] = 0;
        CHECK(tlsl_seal(keyring, (tlslife_bytes){spoilt, len},
                        (tlslife_bytes){purpose, sizeof purpose}, &sealed.bytes, &sealed.len));
        if (len != plain_len) {
            tried++;
            refused += import_of(after, keyring, sealed) == -1;
        }
        free(sealed.bytes);
    }
    CHECK(refused == tried && stats_of(after).entries == 0);
    for (size_t i = 0; i < 18; i++) { /* magic, version, count */
        block sealed = {NULL, 0};
        memcpy(spoilt, plain, plain_len);
        spoilt[i] ^= 0x81;
        CHECK(tlsl_seal(keyring, (tlslife_bytes){spoilt, plain_len},
                        (tlslife_bytes){purpose, sizeof purpose}, &sealed.bytes, &sealed.len));
        CHECK(import_of(after, keyring, sealed) == -1);
        free(sealed.bytes);
    }
    CHECK(stats_of(after).entries == 0);
    free(spoilt);
    free(plain);
    tlslife_session_bytes_free(file.bytes, file.len);
    tlslife_cache_free(before);
    tlslife_cache_free(after);
}

/* One session whose DER is said to be a byte longer, with the byte there. */
static void test_import_of_too_much(tlslife_keyring *keyring) {
    enum { LENGTH_AT = 18 + 1 + 32 + 2 + sizeof "A.example:443" - 1 };
    static const unsigned char purpose[] = "tlslife cache file";
    tlslife_cache *cache = empty_cache();
    SSL_SESSION_free(keep_client(cache, 'A', '1', TLS1_3_VERSION));
    block file = export_of(cache, keyring, true), sealed = {NULL, 0};
    unsigned char *plain = NULL;
    size_t plain_len = 0;
    CHECK(tlsl_open(keyring, (tlslife_bytes){file.bytes, file.len},
                    (tlslife_bytes){purpose, sizeof purpose}, &plain, &plain_len));
    plain = realloc(plain, plain_len + 1);
    plain[plain_len] = 0;
    CHECK(plain_len == LENGTH_AT + 4 + (size_t)plain[LENGTH_AT + 3]);
    plain[LENGTH_AT + 3]++;
    CHECK(tlsl_seal(keyring, (tlslife_bytes){plain, plain_len + 1},
                    (tlslife_bytes){purpose, sizeof purpose}, &sealed.bytes, &sealed.len));
    CHECK(import_of(cache, keyring, sealed) == -1);
    free(sealed.bytes);
    free(plain);
    tlslife_session_bytes_free(file.bytes, file.len);
    tlslife_cache_free(cache);
}

/* A session that no client's connection of ours has made: it has no session id context. */
static void test_import_of_a_strangers(tlslife_keyring *keyring) {
    tlslife_cache *before = empty_cache(), *after = empty_cache();
    tlsl_cache_key key = key_of('A', 32, true);
    SSL_SESSION *session = session_of('1', 32, TLS1_2_VERSION);
    CHECK(tlsl_cache_keep(before, &key, session, "A.example:443"));
    block file = export_of(before, keyring, true);
    CHECK(import_of(after, keyring, file) == -1 && stats_of(after).entries == 0);
    tlslife_session_bytes_free(file.bytes, file.len);
    SSL_SESSION_free(session);
    tlslife_cache_free(before);
    tlslife_cache_free(after);
}

/* Bytes that were sealed for a store cannot be imported, and an export is no entry of a store. */
static void test_purposes(void) {
    scene all = begin(0);
    tlsl_cache_key key = key_of('a', 32, true);
    SSL_SESSION *session = session_of('a', 32, TLS1_2_VERSION);
    tlsl_external_put(all.cache, &key, session, policy, NULL);
    CHECK(import_of(all.cache, all.keyring, (block){all.place->bytes, all.place->bytes_len}) == -1);
    block file = export_of(all.cache, all.keyring, true);
    CHECK(failed_opens(&all, &key, file.bytes, file.len, policy) == 1);
    tlslife_session_bytes_free(file.bytes, file.len);
    SSL_SESSION_free(session);
    end(all);
}

static void test_files(void) {
    tlslife_keyring *keyring = tlslife_keyring_new(secret(1), 32, NULL);
    test_export_all(keyring);
    test_export_without_certificates(keyring);
    test_export_of_nothing(keyring);
    test_import_expired(keyring);
    test_export_expired(keyring);
    test_import_damaged(keyring);
    test_import_of_nonsense(keyring);
    test_import_of_too_much(keyring);
    test_import_of_a_strangers(keyring);
    tlslife_keyring_free(keyring);
}

int main(void) {
    test_round_trip(32, TLS1_2_VERSION, false);
    test_round_trip(16, TLS1_2_VERSION, false);
    test_round_trip(32, TLS1_3_VERSION, false);
    test_round_trip(32, TLS1_3_VERSION, true);
    test_external_keys_differ();
    test_lifetimes();
    test_told_in_vain();
    test_just_fits();
    test_notes();
    test_mixed_up();
    test_damaged();
    test_no_session_of_that_key();
    test_expired();
    test_files();
    test_purposes();
    return checks_end();
}
