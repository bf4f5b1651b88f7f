/*
 * cache.c: creates and frees a cache, and checks its settings.
 *
 * One cache serves any number of contexts, Lua states and threads. It has a memory tier (memory.c),
 * which the process shares, and may have an external store (store.h) behind it, which external.c
 * serves.
 *
 * The capacity decides how many shards there are. A cache of a hundred sessions is one shard, which
 * evicts exactly the least recently used session. A large cache has many shards, each with its own
 * lock, and evicts the least recently used session of the shard that needs room. The capacity is
 * not divided between them, so a cache for a thousand sessions holds a thousand, whatever their ids
 * are.
 *
 * What an attacker would try is to fill one shard or one chain with ids of his choosing. The hash
 * is keyed with random numbers of this cache.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <openssl/err.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "cache/cache.h"
#include "cache/census.h"
#include "cache/memory.h"
#include "cache/peers.h"
#include "cache/table.h"
#include "tlslife.h"

#define SESSIONS_PER_PEER_MAX 16

tlslife_cache_options tlslife_cache_defaults(void) {
    return (tlslife_cache_options){.capacity = 20480, .sessions_per_peer = 4, .in_memory = true};
}

static uint32_t shards_for(size_t capacity) {
    uint32_t shards = 1;
    while (shards < TLSL_SHARDS_MAX && capacity / TLSL_SHARD_LEAST >= (size_t)shards * 2) {
        shards *= 2;
    }
    return shards;
}

/*
 * A thread that finds a lock taken tries again before it sleeps, since it is held for less than
 * that takes.
 */
static bool init_shards(tlslife_cache *cache) {
    pthread_mutexattr_t kind;
    int64_t now = time(NULL);
    if (pthread_mutexattr_init(&kind) != 0) {
        return false;
    }
#ifdef __GLIBC__
    (void)pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    for (uint32_t i = 0; i <= cache->shards_len; i++) {
        (void)pthread_mutex_init(&cache->shards[i].lock, &kind);
        tlsl_table_init(&cache->shards[i].table, cache->capacity_bytes > 0, now);
    }
    (void)pthread_mutexattr_destroy(&kind);
    return true;
}

static void *alloc_lines(size_t len) {
    void *memory = aligned_alloc(TLSL_CACHE_LINE, len);
    if (memory != NULL) {
        memset(memory, 0, len);
    }
    return memory;
}

static bool fill(tlslife_cache *cache, const tlslife_cache_options *options) {
    atomic_init(&cache->refs, 1);
    cache->in_memory = options->in_memory || options->store == NULL;
    cache->capacity = cache->in_memory ? options->capacity : 0;
    cache->capacity_bytes = options->capacity_bytes;
    cache->timeout_seconds = options->timeout_seconds;
    cache->sessions_per_peer = options->sessions_per_peer;
    cache->shards_len = shards_for(cache->capacity);
    cache->shards = alloc_lines((cache->shards_len + 1) * sizeof *cache->shards);
    if (cache->shards == NULL ||
        RAND_bytes((unsigned char *)cache->hash_keys, (int)sizeof cache->hash_keys) != 1 ||
        !init_shards(cache)) {
        free(cache->shards);
        return false;
    }
    cache->store = options->store == NULL ? NULL : tlslife_store_up_ref(options->store);
    cache->keyring = options->keyring == NULL ? NULL : tlslife_keyring_up_ref(options->keyring);
    return true;
}

static tlslife_status check(const tlslife_cache_options *options, tlslife_error *err) {
    if (options->timeout_seconds < 0) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "a cache's timeout is 0 (none) or seconds, not %ld",
                         options->timeout_seconds);
    }
    if (options->sessions_per_peer < 1 || options->sessions_per_peer > SESSIONS_PER_PEER_MAX) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "a cache keeps 1 to %d sessions for a peer, not %zu",
                         SESSIONS_PER_PEER_MAX, options->sessions_per_peer);
    }
    if (options->store != NULL && options->keyring == NULL) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "a cache with a store needs a keyring: sessions leave the process sealed");
    }
    return TLSLIFE_OK;
}

tlslife_cache *tlslife_cache_new(const tlslife_cache_options *options, tlslife_error *err) {
    ERR_clear_error();
    if (check(options, err) != TLSLIFE_OK) {
        return NULL;
    }
    tlslife_cache *cache = alloc_lines(sizeof *cache);
    if (cache == NULL || !fill(cache, options)) {
        free(cache);
        tlsl_fail_openssl(err, TLSLIFE_ERR_MEMORY, "out of memory for a cache");
        return NULL;
    }
    tlsl_census_enter(cache);
    return cache;
}

tlslife_cache *tlslife_cache_up_ref(tlslife_cache *cache) {
    atomic_fetch_add_explicit(&cache->refs, 1, memory_order_relaxed);
    return cache;
}

void tlslife_cache_free(tlslife_cache *cache) {
    if (cache == NULL || atomic_fetch_sub_explicit(&cache->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    tlslife_cache_flush(cache, true);
    tlsl_census_leave(cache);
    tlsl_peers_clear(&cache->peers);
    for (uint32_t i = 0; i <= cache->shards_len; i++) {
        tlsl_table_clear(&cache->shards[i].table);
        pthread_mutex_destroy(&cache->shards[i].lock);
    }
    tlslife_store_free(cache->store);
    tlslife_keyring_free(cache->keyring);
    free(cache->shards);
    free(cache);
}

tlslife_store *tlsl_cache_store(const tlslife_cache *cache) {
    return cache->store;
}

tlslife_keyring *tlsl_cache_keyring(const tlslife_cache *cache) {
    return cache->keyring;
}

bool tlsl_cache_in_memory(const tlslife_cache *cache) {
    return cache->in_memory;
}

long tlsl_cache_timeout(const tlslife_cache *cache) {
    return cache->timeout_seconds;
}

void tlsl_cache_count(tlslife_cache *cache, tlsl_count what) {
    atomic_fetch_add_explicit(&cache->counts[what], 1, memory_order_relaxed);
}
