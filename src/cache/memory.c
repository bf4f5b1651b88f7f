/*
 * memory.c: the memory tier of a cache. It holds live sessions by reference, and any thread may
 * put, find and remove them.
 *
 * Each shard has a lock, which is held only while a session is looked up and the table is changed.
 * No session is freed, encoded or copied under a lock, and no thread holds two locks.
 *
 * What an attacker would try is to resume a session whose connection did not end well, or to use a
 * session twice that may be used once. A session that libssl says is not resumable is removed when
 * it is found. A session that is taken is removed under the lock under which it was found, so that
 * only one thread gets it.
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
#include "cache/external.h"
#include "cache/key.h"
#include "cache/memory.h"
#include "cache/peers.h"
#include "cache/store/store.h"
#include "cache/table.h"
#include "tlslife.h"
#include "values/session_value.h"

#define ROOM_TRIES 4
#define SECRET_MAX 512 /* OpenSSL's are not longer */

/* ----------------------------------------------------------------------------------------- hash */

static uint64_t fold(uint64_t a, uint64_t b) {
#ifdef __SIZEOF_INT128__
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
#else
    uint64_t low = (a ^ (b >> 32)) * (b | 1);
    uint64_t high = (b ^ (low >> 29)) * (a | 1);
    return high ^ (high >> 32);
#endif
}

/* The low half of the hash is for the table, the high half chooses the shard. */
static uint64_t hash_of(const tlslife_cache *cache, const unsigned char key[TLSL_STORE_KEY]) {
    uint64_t word[TLSL_STORE_KEY / sizeof(uint64_t)];
    memcpy(word, key, sizeof word);
    uint64_t first = fold(word[0] ^ cache->hash_keys[0], word[1] ^ cache->hash_keys[1]);
    uint64_t second = fold(word[2] ^ cache->hash_keys[2], word[3] ^ cache->hash_keys[3]);
    return fold(first ^ cache->hash_keys[4], second ^ cache->hash_keys[0]);
}

static tlsl_shard *shard_of(const tlslife_cache *cache, uint64_t hash) {
    return &cache->shards[(hash >> 32) & (cache->shards_len - 1)];
}

/*
 * Whether b is a or a dup of a. The id alone does not say so, since another server may use the same
 * id.
 */
static bool same_session(const SSL_SESSION *a, const SSL_SESSION *b) {
    unsigned char key_a[SECRET_MAX], key_b[SECRET_MAX];
    if (a == b) {
        return true;
    }
    size_t len = SSL_SESSION_get_master_key(a, key_a, sizeof key_a);
    bool same = len == SSL_SESSION_get_master_key(b, key_b, sizeof key_b) && len > 0 &&
                CRYPTO_memcmp(key_a, key_b, len) == 0;
    OPENSSL_cleanse(key_a, sizeof key_a);
    OPENSSL_cleanse(key_b, sizeof key_b);
    return same;
}

/* -------------------------------------------------------------------------------------- putting */

/* A session that is to be put. */
typedef struct candidate {
    SSL_SESSION *session;
    unsigned char id[TLSL_STORE_KEY];
    uint64_t hash; /* of id */
    uint32_t left; /* seconds */
    uint32_t weight;
} candidate;

/* Whether session may be kept. Fills *out if so. */
static bool admit(tlslife_cache *cache, SSL_SESSION *session, candidate *out) {
    out->session = session;
    if (cache->capacity == 0 || !tlsl_session_key(session, out->id) ||
        !SSL_SESSION_is_resumable(session)) {
        return false;
    }
    int64_t left = tlsl_lifetime_left(cache, session);
    if (left <= 0) {
        tlsl_cache_count(cache, TLSL_COUNT_EXPIRED);
        return false;
    }
    out->left = (uint32_t)(left < TLSL_SECONDS_MAX ? left : TLSL_SECONDS_MAX);
    out->hash = hash_of(cache, out->id);
    out->weight = 0;
    if (cache->capacity_bytes > 0) {
        int len = i2d_SSL_SESSION(session, NULL);
        if (len > 0 && (size_t)len > cache->capacity_bytes) {
            tlsl_cache_count(cache, TLSL_COUNT_TOO_BIG);
        }
        out->weight = len > 0 ? (uint32_t)len : 0;
        return len > 0 && (size_t)len <= cache->capacity_bytes;
    }
    return true;
}

/* Adds an entry for which tlsl_room_make has made room. TLSL_NIL: out of memory. */
static uint32_t enter(tlslife_cache *cache, tlsl_shard *shard, const candidate *one) {
    uint32_t index = tlsl_table_add(&shard->table, (uint32_t)one->hash, one->session,
                                    shard->table.now + one->left, one->weight);
    if (index == TLSL_NIL) {
        atomic_fetch_sub_explicit(&cache->entries, 1, memory_order_relaxed);
        return TLSL_NIL;
    }
    SSL_SESSION_up_ref(one->session);
    shard->puts++;
    if (cache->capacity_bytes > 0) {
        atomic_fetch_add_explicit(&cache->bytes, one->weight, memory_order_relaxed);
    }
    return index;
}

static void replace(tlslife_cache *cache, tlsl_shard *shard, uint32_t index, const candidate *one,
                    tlsl_removed *removed) {
    if (cache->capacity_bytes > 0) {
        atomic_fetch_add_explicit(&cache->bytes, one->weight, memory_order_relaxed);
        atomic_fetch_sub_explicit(&cache->bytes, tlsl_table_weight(&shard->table, index),
                                  memory_order_relaxed);
    }
    SSL_SESSION_up_ref(one->session);
    shard->puts++;
    tlsl_removed_add(removed,
                     tlsl_table_swap(&shard->table, index, one->session,
                                     shard->table.now + one->left, one->weight),
                     TLSLIFE_OUTCOME_NOT_CACHED);
}

typedef enum put_result { PUT_DONE, PUT_NO_MEMORY, PUT_NO_ROOM } put_result;

static put_result put_server(tlslife_cache *cache, tlsl_shard *shard, const candidate *one,
                             tlsl_removed *removed) {
    uint32_t index = tlsl_table_find(&shard->table, (uint32_t)one->hash, one->id);
    if (index != TLSL_NIL) {
        replace(cache, shard, index, one, removed);
        return PUT_DONE;
    }
    if (!tlsl_room_make(cache, shard, removed)) {
        return PUT_NO_ROOM;
    }
    return enter(cache, shard, one) == TLSL_NIL ? PUT_NO_MEMORY : PUT_DONE;
}

/*
 * Removes what one more session of the peer replaces: all of its sessions before TLS 1.3, all of
 * them if the new one is older than TLS 1.3, the one with the same id, and the oldest if the peer
 * has the most allowed.
 */
static void make_way(tlslife_cache *cache, tlsl_shard *shard, const tlsl_peer *peer,
                     const candidate *one, tlsl_removed *removed) {
    bool queues = SSL_SESSION_get_protocol_version(one->session) >= TLS1_3_VERSION;
    uint32_t next;
    for (uint32_t index = peer->newest; index != TLSL_NIL; index = next) {
        const SSL_SESSION *there = tlsl_table_session(&shard->table, index);
        unsigned char id[TLSL_STORE_KEY];
        next = tlsl_peers_link(&cache->peers, index)->older;
        if (!queues || SSL_SESSION_get_protocol_version(there) < TLS1_3_VERSION ||
            (tlsl_session_key(there, id) && memcmp(id, one->id, sizeof id) == 0)) {
            tlsl_removed_add(removed,
                             tlsl_room_remove(cache, shard, index, TLSLIFE_OUTCOME_NOT_CACHED),
                             TLSLIFE_OUTCOME_NOT_CACHED);
        }
    }
    if (peer->len >= cache->sessions_per_peer) {
        shard->evicted++;
        tlsl_removed_add(removed,
                         tlsl_room_remove(cache, shard, peer->oldest, TLSLIFE_OUTCOME_NOT_CACHED),
                         TLSLIFE_OUTCOME_NOT_CACHED);
    }
}

static put_result put_client(tlslife_cache *cache, tlsl_shard *shard, const unsigned char *key,
                             const char *peer_name, const candidate *one, tlsl_removed *removed) {
    uint64_t hash = hash_of(cache, key);
    tlsl_peer *peer = tlsl_peers_find(&cache->peers, hash, key);
    if (peer != NULL) {
        make_way(cache, shard, peer, one, removed);
    }
    if (!tlsl_room_make(cache, shard, removed)) { /* this may free the peer */
        return PUT_NO_ROOM;
    }
    uint32_t index = enter(cache, shard, one);
    if (index == TLSL_NIL) {
        return PUT_NO_MEMORY;
    }
    peer = tlsl_peers_get(&cache->peers, hash, key, peer_name, index);
    if (peer == NULL) {
        shard->puts--;
        atomic_fetch_sub_explicit(&cache->entries, 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&cache->bytes, one->weight, memory_order_relaxed);
        tlsl_removed_add(removed, tlsl_table_remove(&shard->table, index),
                         TLSLIFE_OUTCOME_NOT_CACHED);
        return PUT_NO_MEMORY;
    }
    tlsl_peers_join(&cache->peers, peer, index);
    return PUT_DONE;
}

/* client is the peer's key, or NULL for a server's session. */
static bool keep(tlslife_cache *cache, SSL_SESSION *session, const unsigned char *client,
                 const char *peer, const tlsl_removal *removal) {
    candidate one;
    put_result result = PUT_NO_ROOM;
    if (!admit(cache, session, &one)) {
        return false;
    }
    tlsl_shard *shard = client == NULL ? shard_of(cache, one.hash) : tlsl_cache_clients(cache);
    for (int i = 0; i < ROOM_TRIES && result == PUT_NO_ROOM; i++) {
        tlsl_removed removed;
        removed.len = 0; /* the array needs no zeros */
        pthread_mutex_lock(&shard->lock);
        tlsl_table_tick(&shard->table, time(NULL));
        result = client == NULL ? put_server(cache, shard, &one, &removed)
                                : put_client(cache, shard, client, peer, &one, &removed);
        pthread_mutex_unlock(&shard->lock);
        tlsl_removed_tell(&removed, removal);
        tlsl_removed_free(&removed);
        if (result == PUT_NO_ROOM) {
            (void)tlsl_room_elsewhere(cache, shard, removal);
        }
    }
    tlsl_room_trim(cache, shard, removal);
    return result == PUT_DONE;
}

bool tlsl_cache_keep(tlslife_cache *cache, const tlsl_cache_key *key, SSL_SESSION *session,
                     const char *peer) {
    return tlsl_cache_keep_told(cache, key, session, peer, NULL, NULL);
}

bool tlsl_cache_keep_told(tlslife_cache *cache, const tlsl_cache_key *key, SSL_SESSION *session,
                          const char *peer, tlsl_cache_removal tell, void *user) {
    const tlsl_removal removal = {tell, user};
    if (!key->client) {
        return keep(cache, session, NULL, NULL, &removal);
    }
    if (cache->capacity == 0 || !tlsl_session_set_mark(session, TLSL_MARK_CLIENT)) {
        return false;
    }
    atomic_store_explicit(&cache->has_clients, true, memory_order_relaxed);
    return keep(cache, session, key->bytes, peer, &removal);
}

/* -------------------------------------------------------------------------------------- finding */

/*
 * Says whether the entry may still be given: RESUMED, or the reason, which is counted. The session
 * is asked too, because its timeout may have been changed since it was put.
 */
static tlslife_outcome judge(tlsl_shard *shard, uint32_t index) {
    const tlsl_table *table = &shard->table;
    const SSL_SESSION *session = tlsl_table_session(table, index);
    if (!SSL_SESSION_is_resumable(session)) {
        shard->bad++;
        return TLSLIFE_OUTCOME_NOT_CLOSED;
    }
    int64_t wall = table->epoch + (int64_t)table->now;
    if (tlsl_table_expires(table, index) <= table->now ||
        tlsl_session_left(session, 0, wall) == 0) {
        shard->expired++;
        return TLSLIFE_OUTCOME_EXPIRED;
    }
    return TLSLIFE_OUTCOME_RESUMED;
}

static SSL_SESSION *give(tlslife_cache *cache, tlsl_shard *shard, uint32_t index, bool take) {
    if (take) {
        return tlsl_room_remove(cache, shard, index, TLSLIFE_OUTCOME_SPENT);
    }
    SSL_SESSION *session = tlsl_table_session(&shard->table, index);
    tlsl_table_touch(&shard->table, index);
    SSL_SESSION_up_ref(session);
    return session;
}

static SSL_SESSION *find_server(tlslife_cache *cache, tlsl_shard *shard, uint64_t hash,
                                const unsigned char *id, bool take, tlslife_outcome *why,
                                tlsl_removed *removed) {
    uint32_t index = tlsl_table_find(&shard->table, (uint32_t)hash, id);
    *why = index == TLSL_NIL ? TLSLIFE_OUTCOME_NOT_CACHED : judge(shard, index);
    if (*why == TLSLIFE_OUTCOME_RESUMED) {
        return give(cache, shard, index, take);
    }
    if (index != TLSL_NIL) {
        tlsl_removed_add(removed, tlsl_room_remove(cache, shard, index, *why), *why);
    }
    return NULL;
}

static SSL_SESSION *find_client(tlslife_cache *cache, tlsl_shard *shard, uint64_t hash,
                                const unsigned char *key, bool take, tlslife_outcome *why,
                                tlsl_removed *removed) {
    const tlsl_peer *peer = tlsl_peers_find(&cache->peers, hash, key);
    *why = TLSLIFE_OUTCOME_NOT_CACHED;
    while (peer != NULL && peer->len > 0) {
        uint32_t index = peer->newest;
        const SSL_SESSION *session = tlsl_table_session(&shard->table, index);
        bool once = SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
        *why = judge(shard, index);
        if (*why == TLSLIFE_OUTCOME_RESUMED) {
            return give(cache, shard, index, take || once);
        }
        tlsl_removed_add(removed, tlsl_room_remove(cache, shard, index, *why), *why);
    }
    if (peer != NULL) {
        *why = (tlslife_outcome)peer->why;
    }
    return NULL;
}

SSL_SESSION *tlsl_cache_find(tlslife_cache *cache, const tlsl_cache_key *key, bool take, bool count,
                             tlslife_outcome *why) {
    tlsl_removed removed;
    removed.len = 0; /* the array needs no zeros */
    uint64_t hash = hash_of(cache, key->bytes);
    tlsl_shard *shard = key->client ? tlsl_cache_clients(cache) : shard_of(cache, hash);
    tlslife_outcome outcome;
    pthread_mutex_lock(&shard->lock);
    tlsl_table_tick(&shard->table, time(NULL));
    SSL_SESSION *session =
        key->client ? find_client(cache, shard, hash, key->bytes, take, &outcome, &removed)
                    : find_server(cache, shard, hash, key->bytes, take, &outcome, &removed);
    shard->hits += count && session != NULL;
    shard->misses += count && session == NULL;
    pthread_mutex_unlock(&shard->lock);
    tlsl_removed_free(&removed);
    if (session == NULL && why != NULL) {
        *why = outcome;
    }
    return session;
}

/* ------------------------------------------------------------------------------------- dropping */

static bool drop_server(tlslife_cache *cache, const unsigned char *id, bool bad) {
    uint64_t hash = hash_of(cache, id);
    tlsl_shard *shard = shard_of(cache, hash);
    SSL_SESSION *session = NULL;
    pthread_mutex_lock(&shard->lock);
    uint32_t index = tlsl_table_find(&shard->table, (uint32_t)hash, id);
    if (index != TLSL_NIL) {
        session = tlsl_room_remove(cache, shard, index, TLSLIFE_OUTCOME_NOT_CACHED);
    }
    shard->bad += bad && (session != NULL || cache->store != NULL);
    pthread_mutex_unlock(&shard->lock);
    SSL_SESSION_free(session);
    return session != NULL;
}

/* Under the lock: the client's session that has this id and is the same as session (NULL: any). */
static uint32_t index_client(const tlslife_cache *cache, const unsigned char *id,
                             const SSL_SESSION *session) {
    uint32_t hash = (uint32_t)hash_of(cache, id);
    const tlsl_table *table = &tlsl_cache_clients(cache)->table;
    uint32_t index = tlsl_table_find(table, hash, id);
    while (index != TLSL_NIL && session != NULL &&
           !same_session(session, tlsl_table_session(table, index))) {
        index = tlsl_table_find_next(table, index, hash, id);
    }
    return index;
}

void tlsl_cache_note_stored(tlslife_cache *cache, const SSL_SESSION *session,
                            const unsigned char head[TLSL_STORE_HEAD]) {
    unsigned char id[TLSL_STORE_KEY];
    if (!cache->in_memory || !tlsl_session_key(session, id)) {
        return;
    }
    tlsl_shard *shard = tlsl_cache_clients(cache);
    pthread_mutex_lock(&shard->lock);
    uint32_t index = index_client(cache, id, session);
    if (index != TLSL_NIL) {
        memcpy(tlsl_peers_link(&cache->peers, index)->head, head, TLSL_STORE_HEAD);
    }
    pthread_mutex_unlock(&shard->lock);
}

/* Removes such a session. Writes its peer's key, and what the store's entry of it begins with. */
static bool drop_client(tlslife_cache *cache, const unsigned char *id, const SSL_SESSION *session,
                        tlslife_outcome why, tlsl_cache_key *out_key,
                        unsigned char out_head[TLSL_STORE_HEAD]) {
    tlsl_shard *shard = tlsl_cache_clients(cache);
    SSL_SESSION *removed = NULL;
    pthread_mutex_lock(&shard->lock);
    uint32_t index = index_client(cache, id, session);
    if (index != TLSL_NIL) {
        const tlsl_link *link = tlsl_peers_link(&cache->peers, index);
        out_key->client = true;
        memcpy(out_key->bytes, link->peer->key, sizeof out_key->bytes);
        memcpy(out_head, link->head, TLSL_STORE_HEAD);
        shard->bad += why == TLSLIFE_OUTCOME_NOT_CLOSED;
        removed = tlsl_room_remove(cache, shard, index, why);
    }
    pthread_mutex_unlock(&shard->lock);
    SSL_SESSION_free(removed);
    return removed != NULL;
}

void tlsl_cache_drop(tlslife_cache *cache, SSL_SESSION *session, bool bad) {
    tlsl_cache_key key = {.client = tlsl_session_has_mark(session, TLSL_MARK_CLIENT)};
    if (!tlsl_session_key(session, key.bytes)) {
        return;
    }
    if (!key.client) {
        (void)drop_server(cache, key.bytes, bad);
        tlsl_external_remove(cache, &key);
        return;
    }
    tlslife_outcome why = bad ? TLSLIFE_OUTCOME_NOT_CLOSED : TLSLIFE_OUTCOME_EXPIRED;
    unsigned char id[TLSL_STORE_KEY], head[TLSL_STORE_HEAD];
    memcpy(id, key.bytes, sizeof id);
    /* One of TLS 1.3 is in one tier only. What the store has for this peer is another ticket. */
    bool both = SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION;
    if (drop_client(cache, id, session, why, &key, head) && both) {
        tlsl_external_remove_if(cache, &key, head);
    }
}

/* ------------------------------------------------------------------------------------ the verbs */

static SSL_SESSION *raw(tlslife_session *session) {
    return (SSL_SESSION *)(void *)session;
}

bool tlslife_cache_put(tlslife_cache *cache, tlslife_session *session) {
    return keep(cache, raw(session), NULL, NULL, &(tlsl_removal){NULL, NULL});
}

static tlslife_session *find(tlslife_cache *cache, const unsigned char *id, size_t id_len,
                             bool take) {
    tlsl_cache_key key = {.client = false};
    if (!tlsl_id_key(id, id_len, key.bytes)) {
        tlsl_cache_count(cache, TLSL_COUNT_MISS);
        return NULL;
    }
    return (tlslife_session *)(void *)tlsl_cache_find(cache, &key, take, true, NULL);
}

tlslife_session *tlslife_cache_get(tlslife_cache *cache, const unsigned char *id, size_t id_len) {
    return find(cache, id, id_len, false);
}

tlslife_session *tlslife_cache_take(tlslife_cache *cache, const unsigned char *id, size_t id_len) {
    return find(cache, id, id_len, true);
}

bool tlslife_cache_remove(tlslife_cache *cache, const unsigned char *id, size_t id_len) {
    tlsl_cache_key key = {.client = false}, client_key;
    unsigned char head[TLSL_STORE_HEAD];
    if (!tlsl_id_key(id, id_len, key.bytes)) {
        return false;
    }
    bool had = drop_server(cache, key.bytes, false);
    tlsl_external_remove(cache, &key);
    while (atomic_load_explicit(&cache->has_clients, memory_order_relaxed) &&
           drop_client(cache, key.bytes, NULL, TLSLIFE_OUTCOME_NOT_CACHED, &client_key, head)) {
        had = true;
        tlsl_external_remove(cache, &client_key);
    }
    return had;
}
