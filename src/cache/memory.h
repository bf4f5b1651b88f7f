/*
 * memory.h: what a cache is made of, for the files that are its memory home (cache.c, memory.c,
 * room.c, look.c) and nobody else.
 *
 * A server's sessions lie in shards, by their ids; a client's in one shard more, the last, which also knows
 * their peers. All count towards one capacity, of entries and of bytes: where it is used up, a session takes
 * the place of one of its own shard, a client's that of a client's; only where there is none, of any other.
 */
#ifndef TLSLIFE_CACHE_MEMORY_H
#define TLSLIFE_CACHE_MEMORY_H

#include <pthread.h>
#include <stdatomic.h>

#include "cache/cache.h"
#include "cache/peers.h"
#include "cache/table.h"

#define TLSL_CACHE_LINE 64
#define TLSL_SHARDS_MAX 64
#define TLSL_SHARD_LEAST 192 /* capacity for each shard, so that the least recently used is what it says */
#define TLSL_COUNTS (TLSL_COUNT_TOO_BIG + 1)

typedef struct tlsl_shard {
    _Alignas(TLSL_CACHE_LINE) pthread_mutex_t lock;
    tlsl_table table;
    uint64_t puts, hits, misses, expired, evicted, bad; /* counted under the lock */
} tlsl_shard;

struct tlslife_cache {
    atomic_uint refs;
    bool near;
    size_t capacity; /* of memory: 0 where it is not used */
    size_t capacity_bytes;
    long timeout_seconds;
    size_t sessions_per_peer;
    tlslife_store *store;
    tlslife_keyring *keyring;
    uint64_t hash_keys[5];
    uint32_t shards_len; /* a power of two; the client's shard is one more */
    tlsl_shard *shards;
    atomic_bool has_clients; /* or had: else nobody asks their shard */
    tlsl_peers peers;        /* under the client's shard's lock */
    /* written by all: apart from what is only read */
    _Alignas(TLSL_CACHE_LINE) atomic_size_t entries;
    atomic_size_t bytes;
    _Alignas(TLSL_CACHE_LINE) atomic_uint_fast64_t counts[TLSL_COUNTS];
};

static inline tlsl_shard *tlsl_cache_clients(const tlslife_cache *cache) {
    return &cache->shards[cache->shards_len];
}

/*
 * -- room.c
 *
 * Sessions that have left under a lock, to be freed after it: freeing one with a certificate is slow.
 */
#define TLSL_GONE_MAX 32
typedef struct tlsl_gone {
    SSL_SESSION *sessions[TLSL_GONE_MAX];
    unsigned len;
} tlsl_gone;

void tlsl_gone_add(tlsl_gone *gone, SSL_SESSION *session);
void tlsl_gone_free(tlsl_gone *gone);

/* Under the shard's lock. The entry leaves, for that reason; its session, with the reference. */
SSL_SESSION *tlsl_shard_leave(tlslife_cache *cache, tlsl_shard *shard, uint32_t index, tlslife_outcome why);
/* Under the shard's lock: at most `most` that have expired leave (and are counted) while gone has room. */
void tlsl_shard_expire(tlslife_cache *cache, tlsl_shard *shard, unsigned most, tlsl_gone *gone);
/*
 * Under the shard's lock: a place for one more, a free one or one that the shard makes. false: it has none
 * to give.
 */
bool tlsl_room_make(tlslife_cache *cache, tlsl_shard *shard, tlsl_gone *gone);
/* Under no lock. One leaves: of home, but for what it has just got, or of the next shard that has any. */
bool tlsl_room_elsewhere(tlslife_cache *cache, const tlsl_shard *home);
/* Under no lock, after a put: as many leave as are too heavy. */
void tlsl_room_trim(tlslife_cache *cache, const tlsl_shard *home);

#endif
