/*
 * external.c: measures the external stores.
 *
 * These are the slab in shared memory, whose seal is measured apart, and Redis, with one lookup at
 * a time and with many at once.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "bench.h"
#include "cache/cache.h"
#include "cache/external.h"
#include "cache/seal.h"
#include "cache/store/store.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLAB_ENTRIES 20000
#define IN_FLIGHT 64

/* ------------------------------------------------------- what both kinds of store work with */

/* A cache with an external store alone, and a session sealed for it. */
typedef struct external {
    tlslife_store *store;
    tlslife_keyring *keyring;
    tlslife_cache *cache;
    SSL_SESSION *session;
    unsigned char plain[512], *sealed;
    size_t plain_len, sealed_len;
} external;

static const tlslife_bytes policy = {(const unsigned char *)"bench", 5};

static tlsl_cache_key external_entry(uint32_t n) {
    tlsl_cache_key key = {.client = false};
    nth_id(n, key.bytes);
    return key;
}

static void external_key(uint32_t n, unsigned char out[TLSL_STORE_KEY]) {
    tlsl_cache_key key = external_entry(n);
    tlsl_external_key(&key, out);
}

/* Takes over the caller's reference to the store. */
static void external_init(external *one, tlslife_store *store) {
    static const unsigned char secret[32] = {1};
    tlslife_cache_options options = tlslife_cache_defaults();
    memset(one, 0, sizeof *one);
    one->store = store;
    one->keyring = tlslife_keyring_new(secret, sizeof secret, NULL);
    options.store = store;
    options.keyring = one->keyring;
    options.in_memory = false;
    one->cache = tlslife_cache_new(&options, NULL);
    demand(one->store != NULL && one->cache != NULL, "no external store");
    one->session = make_session(1, TLS1_2_VERSION, LIVES);
    unsigned char *at = one->plain + 1;
    one->plain_len = 1 + (size_t)i2d_SSL_SESSION(one->session, &at);
    demand(tlsl_seal(one->keyring, (tlslife_bytes){one->plain, one->plain_len}, policy,
                     &one->sealed, &one->sealed_len),
           "not sealed");
}

static void external_clear(external *one) {
    free(one->sealed);
    SSL_SESSION_free(one->session);
    tlslife_cache_free(one->cache);
    tlslife_keyring_free(one->keyring);
    tlslife_store_free(one->store);
}

/* -------------------------------------------------------------------------------- the slab */

static double slab_put(external *one) {
    static unsigned char keys[BATCH][TLSL_STORE_KEY];
    static uint32_t next;
    for (size_t i = 0; i < BATCH; i++) {
        external_key(next++ % SLAB_ENTRIES, keys[i]);
    }
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        demand(one->store->verbs->put(one->store, keys[i], one->sealed, one->sealed_len, LIVES),
               "not put");
    }
    return ns_each(before, BATCH);
}

static double slab_get(external *one, uint64_t seed) {
    static tlsl_inquiry all[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        all[i] = (tlsl_inquiry){.found = TLSL_FOUND_MISS};
        external_key(next_random(&seed) % SLAB_ENTRIES, all[i].key);
    }
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        one->store->verbs->ask(one->store, &all[i]);
    }
    double took = ns_each(before, BATCH);
    for (size_t i = 0; i < BATCH; i++) {
        demand(all[i].found == TLSL_FOUND_HIT, "the slab has lost something");
        free(all[i].bytes);
    }
    return took;
}

static double unseal(external *one) {
    unsigned char *plain = NULL;
    size_t plain_len = 0;
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        demand(tlsl_open(one->keyring, (tlslife_bytes){one->sealed, one->sealed_len}, policy,
                         &plain, &plain_len),
               "does not open");
        free(plain);
    }
    return ns_each(before, BATCH);
}

static double seal(external *one) {
    unsigned char *sealed = NULL;
    size_t sealed_len = 0;
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        demand(tlsl_seal(one->keyring, (tlslife_bytes){one->plain, one->plain_len}, policy, &sealed,
                         &sealed_len),
               "not sealed");
        free(sealed);
    }
    return ns_each(before, BATCH);
}

static double whole_put(external *one) {
    tlsl_cache_key key = external_entry(1);
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        tlsl_external_put(one->cache, &key, one->session, policy, NULL);
    }
    return ns_each(before, BATCH);
}

/* From the slab to a live session. */
static double whole_get(external *one) {
    tlsl_cache_key key = external_entry(1);
    double before = cpu();
    for (size_t i = 0; i < BATCH; i++) {
        tlsl_inquiry inquiry = {.found = TLSL_FOUND_MISS};
        tlsl_external_key(&key, inquiry.key);
        one->store->verbs->ask(one->store, &inquiry);
        bool expired = false;
        demand(inquiry.found == TLSL_FOUND_HIT, "the slab has lost something");
        SSL_SESSION *session = tlsl_external_open(one->cache, &key, inquiry.bytes,
                                                  inquiry.bytes_len, policy, &expired);
        demand(session != NULL, "the slab's session does not open");
        SSL_SESSION_free(session);
        free(inquiry.bytes);
    }
    return ns_each(before, BATCH);
}

/* The name is unlinked at once, so that no other process opens the slab. */
static tlslife_store *slab_open(const char *name) {
    char path[96];
    (void)snprintf(path, sizeof path, "shm:bench-%ld-%s", (long)getpid(), name);
    tlslife_store *store = tlslife_store_shared(path, (size_t)64 << 20, true, NULL);
    (void)snprintf(path, sizeof path, "/dev/shm/tlslife-bench-%ld-%s", (long)getpid(), name);
    (void)unlink(path);
    return store;
}

void bench_shared(void) {
    enum { RAW_GET, RAW_PUT, OPEN, SEAL, ALL_GET, ALL_PUT, KINDS };
    static const char *const names[] = {
        "shared get, sealed bytes",   "shared put, sealed bytes",  "unsealing", "sealing",
        "shared get, a live session", "shared put, a live session"};
    /* Two slabs, because an entry that is always written pushes the others out of its shard. */
    external entries, live;
    series results[KINDS] = {0};
    if (!any_wanted(names, KINDS)) {
        return;
    }
    external_init(&entries, slab_open("entries"));
    external_init(&live, slab_open("live"));
    for (int i = 0; i < SLAB_ENTRIES / BATCH; i++) {
        (void)slab_put(&entries);
    }
    for (int round = 0; round < rounds_of(ROUNDS); round++) {
        add(&results[RAW_GET], slab_get(&entries, (uint64_t)round));
        add(&results[RAW_PUT], slab_put(&entries));
        add(&results[OPEN], unseal(&entries));
        add(&results[SEAL], seal(&entries));
        add(&results[ALL_PUT], whole_put(&live));
        add(&results[ALL_GET], whole_get(&live));
    }
    for (int i = 0; i < KINDS; i++) {
        print_row(names[i], &results[i], NULL);
    }
    external_clear(&entries);
    external_clear(&live);
}

/* ----------------------------------------------------------------------------------- Redis */

static void wait_for_store(tlslife_store *store) {
    bool writing = false;
    int timeout_ms = -1;
    int fd = tlslife_store_fd(store, &writing, &timeout_ms);
    struct pollfd one = {.fd = fd, .events = (short)(POLLIN | (writing ? POLLOUT : 0))};
    (void)poll(&one, fd >= 0 ? 1 : 0, timeout_ms >= 0 && timeout_ms < 1000 ? timeout_ms : 1000);
    tlslife_store_pump(store);
}

/* Does `len` lookups at once, until all are answered. The number of hits. */
static size_t look_up(tlslife_store *store, size_t len, uint32_t first) {
    static tlsl_inquiry all[IN_FLIGHT];
    size_t pending = 0, hits = 0;
    double deadline = wall() + 3;
    for (size_t i = 0; i < len; i++) {
        all[i] = (tlsl_inquiry){.found = TLSL_FOUND_MISS};
        external_key((first + (uint32_t)i) % IN_FLIGHT, all[i].key);
        store->verbs->ask(store, &all[i]);
        pending += all[i].found == TLSL_FOUND_PENDING;
    }
    while (pending > 0 && wall() < deadline) {
        wait_for_store(store);
        pending = 0;
        for (size_t i = 0; i < len; i++) {
            if (all[i].found == TLSL_FOUND_PENDING) {
                store->verbs->ask(store, &all[i]);
                pending += all[i].found == TLSL_FOUND_PENDING;
            }
        }
    }
    for (size_t i = 0; i < len; i++) {
        if (all[i].found == TLSL_FOUND_PENDING) {
            store->verbs->cancel(store, &all[i]);
        }
        hits += all[i].found == TLSL_FOUND_HIT;
        free(all[i].bytes);
    }
    return hits;
}

static void measure_lookups(tlslife_store *store, size_t at_once, series *latency,
                            series *work_of) {
    enum { LOOKUPS = 16 * IN_FLIGHT };
    double before = wall(), cpu_before = cpu();
    size_t hits = 0;
    for (uint32_t i = 0; i < LOOKUPS; i += (uint32_t)at_once) {
        hits += look_up(store, at_once, i);
    }
    demand(hits == LOOKUPS, "Redis has lost something");
    add(latency, (wall() - before) * 1e9 / (double)LOOKUPS);
    add(work_of, (cpu() - cpu_before) * 1e9 / (double)LOOKUPS);
}

static bool redis_fill(external *one) {
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        unsigned char key[TLSL_STORE_KEY];
        external_key(i, key);
        demand(one->store->verbs->put(one->store, key, one->sealed, one->sealed_len, LIVES),
               "not put");
    }
    for (int i = 0; i < 5; i++) {
        if (look_up(one->store, IN_FLIGHT, 0) == IN_FLIGHT) {
            return true;
        }
        (void)usleep(10000);
    }
    return false;
}

static void measure_redis(tlslife_store *store, const char *const names[2]) {
    external entries;
    series alone = {.len = 0}, alone_cpu = {.len = 0}, many = {.len = 0}, many_cpu = {.len = 0};
    external_init(&entries, store);
    demand(redis_fill(&entries), "Redis does not answer");
    for (int round = 0; round < rounds_of(ROUNDS); round++) {
        measure_lookups(store, 1, &alone, &alone_cpu);
        measure_lookups(store, IN_FLIGHT, &many, &many_cpu);
    }
    print_row(names[0], &many, &alone);
    print_row(names[1], &many_cpu, &alone_cpu);
    external_clear(&entries);
}

void bench_redis(const char *path) {
    static const char *const names[] = {"Redis, time a lookup", "Redis, our CPU a lookup"};
    tlslife_redis_options options = {.unix_path = path, .timeout_ms = 2000};
    if (!any_wanted(names, 2)) {
        return;
    }
    tlslife_store *store = tlslife_store_redis(&options, NULL);
    if (store == NULL) {
        printf("note\tthis build has no Redis\n");
    } else {
        measure_redis(store, names);
    }
}
