/*
 * memory.c: the memory home: live sessions by reference, never serialized, put and found by any
 * thread.
 *
 * A session is under exactly one lock at a time, that of its shard, and only for as long as it takes to find
 * it and to move it to the front: no session is freed, encoded or copied under a lock. Two locks are never
 * held at once.
 *
 * What an attacker would try: resume a session whose connection did not end well, or one that was to be used
 * once. What is not resumable by libssl's own word is dropped where it is found; what is taken leaves under
 * the same lock under which it was found, so that of any number of takers one gets it.
 */
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/session_value.h"
#include "cache/cache.h"
#include "cache/far.h"
#include "cache/memory.h"
#include "cache/peers.h"
#include "cache/store/store.h"
#include "cache/table.h"
#include "tlslife.h"

#define ROOM_TRIES 4
#define SECRET_MAX 512 /* OpenSSL keeps no longer one */

/* ------------------------------------------------------------------------------------------------- hash */

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

/* Of a key of 32 bytes. The low half is the table's, the high half chooses the shard. */
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

/* ------------------------------------------------------------------------------------------- whose it is */

/*
 * Where client and server live in one process, a session of TLS 1.2 has the same id for both: a client's is
 * marked, and its dups are. The mark is what is asked when it has become bad.
 */
static int client_index = -1;
static pthread_once_t client_index_once = PTHREAD_ONCE_INIT;

static void make_client_index(void) {
    client_index = SSL_SESSION_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static bool mark_client(SSL_SESSION *session) {
    pthread_once(&client_index_once, make_client_index);
    return SSL_SESSION_get_ex_data(session, client_index) != NULL ||
           SSL_SESSION_set_ex_data(session, client_index, &client_index) == 1;
}

static bool is_client(const SSL_SESSION *session) {
    pthread_once(&client_index_once, make_client_index);
    return SSL_SESSION_get_ex_data(session, client_index) != NULL;
}

/* The object itself, or a dup of it: a stranger's server may have given out the same id. */
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

/* ---------------------------------------------------------------------------------------------- putting */

typedef struct newcomer {
    SSL_SESSION *session;
    unsigned char id[TLSL_STORE_KEY];
    uint64_t hash; /* of id */
    uint32_t left; /* seconds */
    uint32_t weight;
} newcomer;

/* Whether session may be kept at all, and what there is to know of it. */
static bool admit(tlslife_cache *cache, SSL_SESSION *session, newcomer *out) {
    out->session = session;
    if (cache->capacity == 0 || !tlsl_session_key(session, out->id) || !SSL_SESSION_is_resumable(session)) {
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

/* Into a place that was made. TLSL_NIL: out of memory. */
static uint32_t enter(tlslife_cache *cache, tlsl_shard *shard, const newcomer *one) {
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

static void replace(tlslife_cache *cache, tlsl_shard *shard, uint32_t index, const newcomer *one,
                    tlsl_gone *gone) {
    if (cache->capacity_bytes > 0) {
        atomic_fetch_add_explicit(&cache->bytes, one->weight, memory_order_relaxed);
        atomic_fetch_sub_explicit(&cache->bytes, tlsl_table_weight(&shard->table, index),
                                  memory_order_relaxed);
    }
    SSL_SESSION_up_ref(one->session);
    shard->puts++;
    tlsl_gone_add(
        gone, tlsl_table_swap(&shard->table, index, one->session, shard->table.now + one->left, one->weight));
}

typedef enum landing { LANDED, NO_MEMORY, NO_ROOM } landing;

static landing put_server(tlslife_cache *cache, tlsl_shard *shard, const newcomer *one, tlsl_gone *gone) {
    uint32_t index = tlsl_table_find(&shard->table, (uint32_t)one->hash, one->id);
    if (index != TLSL_NIL) {
        replace(cache, shard, index, one, gone);
        return LANDED;
    }
    if (!tlsl_room_make(cache, shard, gone)) {
        return NO_ROOM;
    }
    return enter(cache, shard, one) == TLSL_NIL ? NO_MEMORY : LANDED;
}

/* What of the peer's has to go for one more: all if either is not of TLS 1.3, the same id, the oldest. */
static void make_way(tlslife_cache *cache, tlsl_shard *shard, const tlsl_peer *peer, const newcomer *one,
                     tlsl_gone *gone) {
    bool queues = SSL_SESSION_get_protocol_version(one->session) >= TLS1_3_VERSION;
    uint32_t next;
    for (uint32_t index = peer->newest; index != TLSL_NIL; index = next) {
        const SSL_SESSION *there = tlsl_table_session(&shard->table, index);
        unsigned char id[TLSL_STORE_KEY];
        next = tlsl_peers_link(&cache->peers, index)->older;
        if (!queues || SSL_SESSION_get_protocol_version(there) < TLS1_3_VERSION ||
            (tlsl_session_key(there, id) && memcmp(id, one->id, sizeof id) == 0)) {
            tlsl_gone_add(gone, tlsl_shard_leave(cache, shard, index, TLSLIFE_OUTCOME_NOT_CACHED));
        }
    }
    if (peer->len >= cache->sessions_per_peer) {
        shard->evicted++;
        tlsl_gone_add(gone, tlsl_shard_leave(cache, shard, peer->oldest, TLSLIFE_OUTCOME_NOT_CACHED));
    }
}

static landing put_client(tlslife_cache *cache, tlsl_shard *shard, const unsigned char *key,
                          const char *peer_name, const newcomer *one, tlsl_gone *gone) {
    uint64_t hash = hash_of(cache, key);
    tlsl_peer *peer = tlsl_peers_find(&cache->peers, hash, key);
    if (peer != NULL) {
        make_way(cache, shard, peer, one, gone);
    }
    if (!tlsl_room_make(cache, shard, gone)) { /* it may forget the peer */
        return NO_ROOM;
    }
    uint32_t index = enter(cache, shard, one);
    if (index == TLSL_NIL) {
        return NO_MEMORY;
    }
    peer = tlsl_peers_get(&cache->peers, hash, key, peer_name, index);
    if (peer == NULL) {
        shard->puts--;
        atomic_fetch_sub_explicit(&cache->entries, 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&cache->bytes, one->weight, memory_order_relaxed);
        tlsl_gone_add(gone, tlsl_table_remove(&shard->table, index));
        return NO_MEMORY;
    }
    tlsl_peers_join(&cache->peers, peer, index);
    return LANDED;
}

/* client: the peer's key, or NULL: it is a server's. */
static bool keep(tlslife_cache *cache, SSL_SESSION *session, const unsigned char *client, const char *peer) {
    newcomer one;
    landing end = NO_ROOM;
    if (!admit(cache, session, &one)) {
        return false;
    }
    tlsl_shard *shard = client == NULL ? shard_of(cache, one.hash) : tlsl_cache_clients(cache);
    for (int i = 0; i < ROOM_TRIES && end == NO_ROOM; i++) {
        tlsl_gone gone;
        gone.len = 0; /* the rest is written before it is read */
        pthread_mutex_lock(&shard->lock);
        tlsl_table_tick(&shard->table, time(NULL));
        end = client == NULL ? put_server(cache, shard, &one, &gone)
                             : put_client(cache, shard, client, peer, &one, &gone);
        pthread_mutex_unlock(&shard->lock);
        tlsl_gone_free(&gone);
        if (end == NO_ROOM) {
            (void)tlsl_room_elsewhere(cache, shard);
        }
    }
    tlsl_room_trim(cache, shard);
    return end == LANDED;
}

bool tlsl_cache_keep(tlslife_cache *cache, const tlsl_cache_key *key, SSL_SESSION *session,
                     const char *peer) {
    if (!key->client) {
        return keep(cache, session, NULL, NULL);
    }
    if (cache->capacity == 0 || !mark_client(session)) {
        return false;
    }
    atomic_store_explicit(&cache->has_clients, true, memory_order_relaxed);
    return keep(cache, session, key->bytes, peer);
}

/* ---------------------------------------------------------------------------------------------- finding */

/*
 * Says whether the entry may still be given: RESUMED, or the reason, which is counted. The session is asked
 * too, because its timeout may have been changed since it was put.
 */
static tlslife_outcome judge(tlsl_shard *shard, uint32_t index) {
    const tlsl_table *table = &shard->table;
    const SSL_SESSION *session = tlsl_table_session(table, index);
    if (!SSL_SESSION_is_resumable(session)) {
        shard->bad++;
        return TLSLIFE_OUTCOME_NOT_CLOSED;
    }
    int64_t wall = table->epoch + (int64_t)table->now;
    if (tlsl_table_expires(table, index) <= table->now || tlsl_session_left(session, 0, wall) == 0) {
        shard->expired++;
        return TLSLIFE_OUTCOME_EXPIRED;
    }
    return TLSLIFE_OUTCOME_RESUMED;
}

static SSL_SESSION *give(tlslife_cache *cache, tlsl_shard *shard, uint32_t index, bool take) {
    if (take) {
        return tlsl_shard_leave(cache, shard, index, TLSLIFE_OUTCOME_SPENT);
    }
    SSL_SESSION *session = tlsl_table_session(&shard->table, index);
    tlsl_table_touch(&shard->table, index);
    SSL_SESSION_up_ref(session);
    return session;
}

static SSL_SESSION *find_server(tlslife_cache *cache, tlsl_shard *shard, uint64_t hash,
                                const unsigned char *id, bool take, tlslife_outcome *why, tlsl_gone *gone) {
    uint32_t index = tlsl_table_find(&shard->table, (uint32_t)hash, id);
    *why = index == TLSL_NIL ? TLSLIFE_OUTCOME_NOT_CACHED : judge(shard, index);
    if (*why == TLSLIFE_OUTCOME_RESUMED) {
        return give(cache, shard, index, take);
    }
    if (index != TLSL_NIL) {
        tlsl_gone_add(gone, tlsl_shard_leave(cache, shard, index, *why));
    }
    return NULL;
}

static SSL_SESSION *find_client(tlslife_cache *cache, tlsl_shard *shard, uint64_t hash,
                                const unsigned char *key, bool take, tlslife_outcome *why, tlsl_gone *gone) {
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
        tlsl_gone_add(gone, tlsl_shard_leave(cache, shard, index, *why));
    }
    if (peer != NULL) {
        *why = (tlslife_outcome)peer->why;
    }
    return NULL;
}

SSL_SESSION *tlsl_cache_find(tlslife_cache *cache, const tlsl_cache_key *key, bool take, bool count,
                             tlslife_outcome *why) {
    tlsl_gone gone;
    gone.len = 0; /* the rest is written before it is read */
    uint64_t hash = hash_of(cache, key->bytes);
    tlsl_shard *shard = key->client ? tlsl_cache_clients(cache) : shard_of(cache, hash);
    tlslife_outcome outcome;
    pthread_mutex_lock(&shard->lock);
    tlsl_table_tick(&shard->table, time(NULL));
    SSL_SESSION *session = key->client ? find_client(cache, shard, hash, key->bytes, take, &outcome, &gone)
                                       : find_server(cache, shard, hash, key->bytes, take, &outcome, &gone);
    shard->hits += count && session != NULL;
    shard->misses += count && session == NULL;
    pthread_mutex_unlock(&shard->lock);
    tlsl_gone_free(&gone);
    if (session == NULL && why != NULL) {
        *why = outcome;
    }
    return session;
}

/* --------------------------------------------------------------------------------------------- dropping */

static void tell_store(tlslife_cache *cache, const tlsl_cache_key *key) {
    unsigned char far[TLSL_STORE_KEY];
    if (cache->store == NULL) {
        return;
    }
    tlsl_far_key(key, far);
    if (!cache->store->verbs->remove(cache->store, far)) {
        tlsl_cache_count(cache, TLSL_COUNT_STORE_ERROR);
    }
}

static bool drop_server(tlslife_cache *cache, const unsigned char *id, bool bad) {
    uint64_t hash = hash_of(cache, id);
    tlsl_shard *shard = shard_of(cache, hash);
    SSL_SESSION *session = NULL;
    pthread_mutex_lock(&shard->lock);
    uint32_t index = tlsl_table_find(&shard->table, (uint32_t)hash, id);
    if (index != TLSL_NIL) {
        session = tlsl_shard_leave(cache, shard, index, TLSLIFE_OUTCOME_NOT_CACHED);
    }
    shard->bad += bad && (session != NULL || cache->store != NULL);
    pthread_mutex_unlock(&shard->lock);
    SSL_SESSION_free(session);
    return session != NULL;
}

/* A client's of that id, and the same as session (NULL: any). *out_key is its peer's. */
static bool drop_client(tlslife_cache *cache, const unsigned char *id, const SSL_SESSION *session,
                        tlslife_outcome why, tlsl_cache_key *out_key) {
    uint32_t hash = (uint32_t)hash_of(cache, id);
    tlsl_shard *shard = tlsl_cache_clients(cache);
    SSL_SESSION *gone = NULL;
    pthread_mutex_lock(&shard->lock);
    uint32_t index = tlsl_table_find(&shard->table, hash, id);
    while (index != TLSL_NIL && session != NULL &&
           !same_session(session, tlsl_table_session(&shard->table, index))) {
        index = tlsl_table_find_next(&shard->table, index, hash, id);
    }
    if (index != TLSL_NIL) {
        out_key->client = true;
        memcpy(out_key->bytes, tlsl_peers_link(&cache->peers, index)->peer->key, sizeof out_key->bytes);
        shard->bad += why == TLSLIFE_OUTCOME_NOT_CLOSED;
        gone = tlsl_shard_leave(cache, shard, index, why);
    }
    pthread_mutex_unlock(&shard->lock);
    SSL_SESSION_free(gone);
    return gone != NULL;
}

void tlsl_cache_drop(tlslife_cache *cache, SSL_SESSION *session, bool bad) {
    tlsl_cache_key key = {.client = is_client(session)};
    if (!tlsl_session_key(session, key.bytes)) {
        return;
    }
    if (!key.client) {
        (void)drop_server(cache, key.bytes, bad);
        tell_store(cache, &key);
        return;
    }
    tlslife_outcome why = bad ? TLSLIFE_OUTCOME_NOT_CLOSED : TLSLIFE_OUTCOME_NOT_CACHED;
    unsigned char id[TLSL_STORE_KEY];
    memcpy(id, key.bytes, sizeof id);
    if (drop_client(cache, id, session, why, &key)) {
        tell_store(cache, &key);
    }
}

/* -------------------------------------------------------------------------------------------- the verbs */

static SSL_SESSION *raw(tlslife_session *session) {
    return (SSL_SESSION *)(void *)session;
}

bool tlslife_cache_put(tlslife_cache *cache, tlslife_session *session) {
    return keep(cache, raw(session), NULL, NULL);
}

static tlslife_session *find(tlslife_cache *cache, const unsigned char *id, size_t id_len, bool take) {
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
    if (!tlsl_id_key(id, id_len, key.bytes)) {
        return false;
    }
    bool had = drop_server(cache, key.bytes, false);
    tell_store(cache, &key);
    while (atomic_load_explicit(&cache->has_clients, memory_order_relaxed) &&
           drop_client(cache, key.bytes, NULL, TLSLIFE_OUTCOME_NOT_CACHED, &client_key)) {
        had = true;
        tell_store(cache, &client_key);
    }
    return had;
}
