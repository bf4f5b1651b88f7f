/*
 * room.c: how sessions leave memory to make room for others, and how many places there are.
 *
 * All shards draw from one number of places. A shard that finds none left gives one of its own: what has
 * expired, then what was used longest ago; so that in a full cache no two shards write to the same line.
 * Only one that has nothing to give asks others, and lets go of its own lock before.
 *
 * What an attacker would try: fill memory with sessions that nobody comes back for. They go first in, first
 * out; and each put clears away more of what has expired than it brings.
 */
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "cache/memory.h"
#include "cache/peers.h"
#include "cache/table.h"
#include "tlslife.h"

#define EXPIRED_A_PUT 2

void tlsl_gone_free(tlsl_gone *gone) {
    for (unsigned i = 0; i < gone->len; i++) {
        SSL_SESSION_free(gone->sessions[i]);
    }
    gone->len = 0;
}

void tlsl_gone_add(tlsl_gone *gone, SSL_SESSION *session) {
    gone->sessions[gone->len++] = session;
}

/* The entry leaves, and its place is the caller's to fill. */
static SSL_SESSION *vacate(tlslife_cache *cache, tlsl_shard *shard, uint32_t index, tlslife_outcome why) {
    if (cache->capacity_bytes > 0) {
        atomic_fetch_sub_explicit(&cache->bytes, tlsl_table_weight(&shard->table, index),
                                  memory_order_relaxed);
    }
    if (shard == tlsl_cache_clients(cache)) {
        tlsl_peers_leave(&cache->peers, index, why);
    }
    return tlsl_table_remove(&shard->table, index);
}

SSL_SESSION *tlsl_shard_leave(tlslife_cache *cache, tlsl_shard *shard, uint32_t index, tlslife_outcome why) {
    atomic_fetch_sub_explicit(&cache->entries, 1, memory_order_relaxed);
    return vacate(cache, shard, index, why);
}

void tlsl_shard_expire(tlslife_cache *cache, tlsl_shard *shard, unsigned most, tlsl_gone *gone) {
    uint32_t index;
    while (most-- > 0 && gone->len < TLSL_GONE_MAX &&
           (index = tlsl_table_expired(&shard->table)) != TLSL_NIL) {
        shard->expired++;
        tlsl_gone_add(gone, tlsl_shard_leave(cache, shard, index, TLSLIFE_OUTCOME_EXPIRED));
    }
}

/* What must go first: counted. The shard is not empty. */
static uint32_t victim(tlsl_shard *shard, tlslife_outcome *why) {
    uint32_t index = tlsl_table_expired(&shard->table);
    *why = index == TLSL_NIL ? TLSLIFE_OUTCOME_NOT_CACHED : TLSLIFE_OUTCOME_EXPIRED;
    if (index != TLSL_NIL) {
        shard->expired++;
        return index;
    }
    shard->evicted++;
    return tlsl_table_oldest(&shard->table);
}

/* ------------------------------------------------------------------------------------------------- room */

/* One place of the capacity. */
static bool reserve(tlslife_cache *cache) {
    if (atomic_load_explicit(&cache->entries, memory_order_relaxed) >= cache->capacity) {
        return false;
    }
    if (atomic_fetch_add_explicit(&cache->entries, 1, memory_order_relaxed) < cache->capacity) {
        return true;
    }
    atomic_fetch_sub_explicit(&cache->entries, 1, memory_order_relaxed);
    return false;
}

bool tlsl_room_make(tlslife_cache *cache, tlsl_shard *shard, tlsl_gone *gone) {
    tlsl_shard_expire(cache, shard, EXPIRED_A_PUT, gone);
    if (reserve(cache)) {
        return true;
    }
    if (shard->table.len == 0) {
        return false;
    }
    tlslife_outcome why;
    uint32_t index = victim(shard, &why);
    tlsl_gone_add(gone, vacate(cache, shard, index, why));
    return true;
}

/* One leaves shard, unless it has no more than `spared`. */
static bool evict(tlslife_cache *cache, tlsl_shard *shard, uint32_t spared) {
    SSL_SESSION *session = NULL;
    pthread_mutex_lock(&shard->lock);
    if (shard->table.len > spared) {
        tlslife_outcome why;
        tlsl_table_tick(&shard->table, time(NULL));
        uint32_t index = victim(shard, &why);
        session = tlsl_shard_leave(cache, shard, index, why);
    }
    pthread_mutex_unlock(&shard->lock);
    SSL_SESSION_free(session);
    return session != NULL;
}

bool tlsl_room_elsewhere(tlslife_cache *cache, const tlsl_shard *home) {
    uint32_t all = cache->shards_len + 1;
    uint32_t first = (uint32_t)(home - cache->shards);
    for (uint32_t i = 0; i < all; i++) {
        if (evict(cache, &cache->shards[(first + i) % all], i == 0 ? 1 : 0)) {
            return true;
        }
    }
    return false;
}

void tlsl_room_trim(tlslife_cache *cache, const tlsl_shard *home) {
    while (cache->capacity_bytes > 0 &&
           atomic_load_explicit(&cache->bytes, memory_order_relaxed) > cache->capacity_bytes &&
           tlsl_room_elsewhere(cache, home)) {}
}
