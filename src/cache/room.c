/*
 * room.c: removes sessions from memory to make room for others.
 *
 * All shards count towards one capacity. In a full cache a shard removes one of its own sessions,
 * an expired one if there is one, else the least recently used, and the common count stays
 * untouched. Only an empty shard has another one remove a session, after it has released its own
 * lock.
 *
 * What an attacker would try is to fill memory with sessions that nobody resumes. These are the
 * least recently used, so they are removed first. Each put also removes up to two expired sessions,
 * which is more than it adds.
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

void tlsl_removed_free(tlsl_removed *removed) {
    for (unsigned i = 0; i < removed->len; i++) {
        SSL_SESSION_free(removed->sessions[i]);
    }
    removed->len = 0;
}

void tlsl_removed_add(tlsl_removed *removed, SSL_SESSION *session, tlslife_outcome why) {
    removed->why[removed->len] = (uint8_t)why;
    removed->sessions[removed->len++] = session;
}

void tlsl_removed_tell(const tlsl_removed *removed, const tlsl_removal *removal) {
    for (unsigned i = 0; i < removed->len && removal->tell != NULL; i++) {
        removal->tell(removal->user, removed->sessions[i], (tlslife_outcome)removed->why[i]);
    }
}

/*
 * Removes the entry but leaves it in the count of entries, so that the caller may add one in its
 * place.
 */
static SSL_SESSION *vacate(tlslife_cache *cache, tlsl_shard *shard, uint32_t index,
                           tlslife_outcome why) {
    if (cache->capacity_bytes > 0) {
        atomic_fetch_sub_explicit(&cache->bytes, tlsl_table_weight(&shard->table, index),
                                  memory_order_relaxed);
    }
    if (shard == tlsl_cache_clients(cache)) {
        tlsl_peers_leave(&cache->peers, index, why);
    }
    return tlsl_table_remove(&shard->table, index);
}

SSL_SESSION *tlsl_room_remove(tlslife_cache *cache, tlsl_shard *shard, uint32_t index,
                              tlslife_outcome why) {
    atomic_fetch_sub_explicit(&cache->entries, 1, memory_order_relaxed);
    return vacate(cache, shard, index, why);
}

void tlsl_room_expire(tlslife_cache *cache, tlsl_shard *shard, unsigned most,
                      tlsl_removed *removed) {
    uint32_t index;
    while (most-- > 0 && removed->len < TLSL_REMOVED_MAX &&
           (index = tlsl_table_expired(&shard->table)) != TLSL_NIL) {
        shard->expired++;
        tlsl_removed_add(removed, tlsl_room_remove(cache, shard, index, TLSLIFE_OUTCOME_EXPIRED),
                         TLSLIFE_OUTCOME_EXPIRED);
    }
}

/* The entry to remove first, which is counted. The shard is not empty. */
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

/* ----------------------------------------------------------------------------------------- room */

/* Counts one more entry. false: the cache is full. */
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

bool tlsl_room_make(tlslife_cache *cache, tlsl_shard *shard, tlsl_removed *removed) {
    tlsl_room_expire(cache, shard, EXPIRED_A_PUT, removed);
    if (reserve(cache)) {
        return true;
    }
    if (shard->table.len == 0) {
        return false;
    }
    tlslife_outcome why;
    uint32_t index = victim(shard, &why);
    tlsl_removed_add(removed, vacate(cache, shard, index, why), why);
    return true;
}

/* Removes one session of shard, unless it has no more than `spared`. */
static bool evict(tlslife_cache *cache, tlsl_shard *shard, uint32_t spared,
                  const tlsl_removal *removal) {
    tlsl_removed removed;
    removed.len = 0; /* the array needs no zeros */
    pthread_mutex_lock(&shard->lock);
    if (shard->table.len > spared) {
        tlslife_outcome why;
        tlsl_table_tick(&shard->table, time(NULL));
        uint32_t index = victim(shard, &why);
        tlsl_removed_add(&removed, tlsl_room_remove(cache, shard, index, why), why);
    }
    pthread_mutex_unlock(&shard->lock);
    bool evicted = removed.len > 0;
    tlsl_removed_tell(&removed, removal);
    tlsl_removed_free(&removed);
    return evicted;
}

bool tlsl_room_elsewhere(tlslife_cache *cache, const tlsl_shard *first,
                         const tlsl_removal *removal) {
    uint32_t all = cache->shards_len + 1;
    uint32_t number = (uint32_t)(first - cache->shards);
    for (uint32_t i = 0; i < all; i++) {
        if (evict(cache, &cache->shards[(number + i) % all], i == 0 ? 1 : 0, removal)) {
            return true;
        }
    }
    return false;
}

void tlsl_room_trim(tlslife_cache *cache, const tlsl_shard *first, const tlsl_removal *removal) {
    while (cache->capacity_bytes > 0 &&
           atomic_load_explicit(&cache->bytes, memory_order_relaxed) > cache->capacity_bytes &&
           tlsl_room_elsewhere(cache, first, removal)) {}
}
