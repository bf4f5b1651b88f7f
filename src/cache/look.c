/*
 * look.c: statistics, entries and flush of a cache's memory.
 *
 * All of it goes shard by shard and a few entries at a time, so that no handshake waits while a
 * cache of a million sessions is listed or emptied.
 *
 * What an attacker would try is to read secrets out of what a program logs of its cache. An entry
 * that is shown has an id, a name and times, and nothing that decrypts.
 */
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "cache/cache.h"
#include "cache/memory.h"
#include "cache/peers.h"
#include "cache/table.h"
#include "tlslife.h"
#include "tlslife_openssl.h"
#include "values/session_value.h"

/* ---------------------------------------------------------------------------------------- stats */

static uint64_t counted(const tlslife_cache *cache, tlsl_count what) {
    return atomic_load_explicit(&cache->counts[what], memory_order_relaxed);
}

void tlslife_cache_get_stats(const tlslife_cache *cache, tlslife_cache_stats *out) {
    *out = (tlslife_cache_stats){
        .entries = atomic_load_explicit(&cache->entries, memory_order_relaxed),
        .bytes = atomic_load_explicit(&cache->bytes, memory_order_relaxed),
        .hits = counted(cache, TLSL_COUNT_HIT) + counted(cache, TLSL_COUNT_STORE_HIT),
        .misses = counted(cache, TLSL_COUNT_MISS),
        .store_hits = counted(cache, TLSL_COUNT_STORE_HIT),
        .expired = counted(cache, TLSL_COUNT_EXPIRED),
        .bad = counted(cache, TLSL_COUNT_BAD),
        .too_big = counted(cache, TLSL_COUNT_TOO_BIG),
        .store_errors = counted(cache, TLSL_COUNT_STORE_ERROR),
        .not_opened = counted(cache, TLSL_COUNT_NOT_OPENED),
    };
    for (uint32_t i = 0; i <= cache->shards_len; i++) {
        tlsl_shard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        out->puts += shard->puts;
        out->hits += shard->hits;
        out->misses += shard->misses;
        out->expired += shard->expired;
        out->evicted += shard->evicted;
        out->bad += shard->bad;
        pthread_mutex_unlock(&shard->lock);
    }
}

/* -------------------------------------------------------------------------------------- entries */

/* In seconds of the wall clock. */
static int64_t expires_at(const tlsl_table *table, uint32_t index) {
    return table->epoch + (int64_t)tlsl_table_expires(table, index);
}

static void show(const tlslife_cache *cache, const tlsl_shard *shard, uint32_t index,
                 tlslife_cache_entry *out) {
    SSL_SESSION *session = tlsl_table_session(&shard->table, index);
    unsigned len = 0;
    const unsigned char *id = SSL_SESSION_get_id(session, &len);
    memset(out, 0, sizeof *out);
    memcpy(out->id, id, len);
    out->id_len = len;
    out->client = shard == tlsl_cache_clients(cache);
    const char *protocol = tlslife_session_protocol(tlslife_session_from_ssl_session(session));
    memcpy(out->protocol, protocol, strlen(protocol));
    if (out->client) {
        const char *name = tlsl_peers_link(&cache->peers, index)->peer->name;
        memcpy(out->peer, name, strlen(name));
    }
    out->time = SSL_SESSION_get_time(session);
    out->expires = expires_at(&shard->table, index);
}

/* Shows entries from *index on, and advances it; at the table's end there are no more. */
static size_t show_shard(const tlslife_cache *cache, tlsl_shard *shard, uint32_t *index,
                         tlslife_cache_entry *entries, size_t entries_len) {
    size_t shown = 0;
    pthread_mutex_lock(&shard->lock);
    tlsl_table_tick(&shard->table, time(NULL));
    for (; shown < entries_len && *index < shard->table.used; ++*index) {
        const SSL_SESSION *session = tlsl_table_session(&shard->table, *index);
        if (session != NULL && !tlsl_session_has_mark(session, TLSL_MARK_PERMIT)) {
            show(cache, shard, *index, &entries[shown++]);
        }
    }
    pthread_mutex_unlock(&shard->lock);
    return shown;
}

size_t tlslife_cache_entries(const tlslife_cache *cache, uint64_t *cursor,
                             tlslife_cache_entry *entries, size_t entries_len) {
    uint64_t number = *cursor >> 32;
    uint32_t index = (uint32_t)*cursor;
    size_t shown = 0;
    while (shown < entries_len && number <= cache->shards_len) {
        shown +=
            show_shard(cache, &cache->shards[number], &index, entries + shown, entries_len - shown);
        if (shown < entries_len) {
            number++;
            index = 0;
        }
    }
    *cursor = number << 32 | index;
    return shown;
}

void tlsl_cache_each_client(tlslife_cache *cache, tlsl_cache_visitor visit, void *user) {
    tlsl_shard *shard = tlsl_cache_clients(cache);
    pthread_mutex_lock(&shard->lock);
    for (size_t i = 0; i < cache->peers.buckets_len; i++) {
        for (const tlsl_peer *peer = cache->peers.buckets[i]; peer != NULL; peer = peer->next) {
            tlsl_cache_key key = {.client = true};
            memcpy(key.bytes, peer->key, sizeof key.bytes);
            for (uint32_t index = peer->oldest; index != TLSL_NIL;
                 index = tlsl_peers_link(&cache->peers, index)->newer) {
                visit(user, &key, tlsl_table_session(&shard->table, index), peer->name);
            }
        }
    }
    pthread_mutex_unlock(&shard->lock);
}

/* ---------------------------------------------------------------------------------------- flush */

/* Removes as many sessions as one hold of the lock may take. */
static unsigned flush_some(tlslife_cache *cache, tlsl_shard *shard, bool all) {
    tlsl_removed removed;
    removed.len = 0; /* the array needs no zeros */
    pthread_mutex_lock(&shard->lock);
    tlsl_table_tick(&shard->table, time(NULL));
    tlsl_room_expire(cache, shard, TLSL_REMOVED_MAX, &removed);
    while (all && removed.len < TLSL_REMOVED_MAX && shard->table.len > 0) {
        tlsl_removed_add(&removed,
                         tlsl_room_remove(cache, shard, tlsl_table_oldest(&shard->table),
                                          TLSLIFE_OUTCOME_NOT_CACHED),
                         TLSLIFE_OUTCOME_NOT_CACHED);
    }
    pthread_mutex_unlock(&shard->lock);
    unsigned flushed = removed.len;
    tlsl_removed_free(&removed);
    return flushed;
}

size_t tlslife_cache_flush(tlslife_cache *cache, bool all) {
    size_t flushed = 0;
    for (uint32_t i = 0; i <= cache->shards_len; i++) {
        unsigned some;
        do {
            some = flush_some(cache, &cache->shards[i], all);
            flushed += some;
        } while (some == TLSL_REMOVED_MAX);
    }
    return flushed;
}
