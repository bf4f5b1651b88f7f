/*
 * memory.h: what a cache is made of. Only the files of its memory tier include it (cache.c,
 * memory.c, room.c, look.c).
 *
 * A server's sessions are in shards, by id. A client's sessions are in one more shard, the last
 * one, and peers.h says to which peer they belong. All shards share one capacity, in entries and in
 * bytes. In a full cache a new session replaces one of its own shard, or one of another shard if
 * its own is empty.
 */
#ifndef TLSLIFE_CACHE_MEMORY_H
#define TLSLIFE_CACHE_MEMORY_H

#include <pthread.h>
#include <stdatomic.h>

#include "cache/cache.h"
#include "cache/census.h"
#include "cache/peers.h"
#include "cache/table.h"

#define TLSL_CACHE_LINE 64
#define TLSL_SHARDS_MAX 64
#define TLSL_SHARD_LEAST 192 /* of the capacity, so that a shard evicts what is among the oldest */
#define TLSL_COUNTS (TLSL_COUNT_TOO_BIG + 1)

typedef struct tlsl_shard {
    _Alignas(TLSL_CACHE_LINE) pthread_mutex_t lock;
    tlsl_table table;
    uint64_t puts, hits, misses, expired, evicted, bad; /* under the lock */
} tlsl_shard;

struct tlslife_cache {
    atomic_uint refs;
    bool in_memory;
    size_t capacity; /* of memory, 0 if it is not used */
    size_t capacity_bytes;
    long timeout_seconds;
    size_t sessions_per_peer;
    tlsl_census_place place; /* under the lock of census.c */
    tlslife_store *store;
    tlslife_keyring *keyring;
    uint64_t hash_keys[5];
    uint32_t shards_len; /* a power of two; the clients' shard follows */
    tlsl_shard *shards;
    atomic_bool has_clients; /* true once a client's session was kept */
    tlsl_peers peers;        /* under the lock of the clients' shard */
    /* Every thread writes to these, so they have cache lines of their own. */
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
 * Sessions that were removed under a lock. The caller frees them after unlocking, because freeing a
 * session that has a certificate is slow.
 */
#define TLSL_REMOVED_MAX 32
typedef struct tlsl_removed {
    SSL_SESSION *sessions[TLSL_REMOVED_MAX];
    uint8_t why[TLSL_REMOVED_MAX]; /* tlslife_outcome */
    unsigned len;
} tlsl_removed;

void tlsl_removed_add(tlsl_removed *removed, SSL_SESSION *session, tlslife_outcome why);
void tlsl_removed_free(tlsl_removed *removed);

/* The function to call for each session that is removed, or NULL, and its first argument. */
typedef struct tlsl_removal {
    tlsl_cache_removal tell;
    void *user;
} tlsl_removal;

void tlsl_removed_tell(const tlsl_removed *removed, const tlsl_removal *removal);

/*
 * Under the shard's lock: removes the entry for this reason. Returns its session, with the
 * reference.
 */
SSL_SESSION *tlsl_room_remove(tlslife_cache *cache, tlsl_shard *shard, uint32_t index,
                              tlslife_outcome why);
/*
 * Under the shard's lock: removes and counts at most `most` expired sessions, as far as `removed`
 * has room.
 */
void tlsl_room_expire(tlslife_cache *cache, tlsl_shard *shard, unsigned most,
                      tlsl_removed *removed);
/*
 * Under the shard's lock: makes room for one more entry. false: the cache is full and the shard is
 * empty.
 */
bool tlsl_room_make(tlslife_cache *cache, tlsl_shard *shard, tlsl_removed *removed);
/*
 * Under no lock: removes one session, from `first` if it has more than one, else from the next
 * shard that has any.
 */
bool tlsl_room_elsewhere(tlslife_cache *cache, const tlsl_shard *first,
                         const tlsl_removal *removal);
/*
 * Under no lock, after a put into `first`: removes sessions until the rest fits the capacity in
 * bytes.
 */
void tlsl_room_trim(tlslife_cache *cache, const tlsl_shard *first, const tlsl_removal *removal);

#endif
