/*
 * cache_threads.c: uses one cache from several threads at once, under ThreadSanitizer. At the end
 * every counter must be the sum of what the threads counted for themselves.
 *
 * The threads put, get, take, remove, drop, flush and list the same few hundred ids, and keep and
 * find sessions of the same few peers, in a cache that is too small for all of them. A session that
 * one thread takes must be given to no other thread. So each thread notes in a session's record
 * that it was taken, or that it was found as a client's, and that may happen once.
 *
 *     cache_threads [threads [rounds]]
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "cache/memory.h"
#include "check.h"
#include "tlslife.h"
#include "tlslife_openssl.h"

#include <dlfcn.h>
#include <stdlib.h>

/*
 * OpenSSL is not instrumented. ThreadSanitizer must ignore the memory that OpenSSL alone uses, and
 * cannot see OpenSSL's atomics.
 */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifdef UNDER_TSAN
__attribute__((visibility("default"))) const char *
__tsan_default_options(void); /* the sanitizer's library asks */
const char *__tsan_default_options(void) {
    return "ignore_noninstrumented_modules=1:second_deadlock_stack=1";
}

/*
 * Tells ThreadSanitizer what a reference count means: what a thread did before it gave up its
 * reference comes before the last reference is freed.
 */
void __tsan_acquire(void *address);
void __tsan_release(void *address);
void SSL_SESSION_free(SSL_SESSION *session) {
    static _Atomic(void (*)(SSL_SESSION *)) real;
    void (*libssl_free)(SSL_SESSION *) = real;
    if (libssl_free == NULL) {
        void *found = dlsym(RTLD_NEXT, "SSL_SESSION_free");
        memcpy(&libssl_free, &found, sizeof libssl_free);
        real = libssl_free;
    }
    if (session != NULL) {
        __tsan_release(session);
        __tsan_acquire(session);
    }
    libssl_free(session);
}
#endif

enum { IDS = 600, PEERS = 40, THREADS_MAX = 64 };

typedef struct counts {
    uint64_t puts, hits, misses, flushed, removed;
} counts;

typedef struct record { /* of a session, in its ex_data; it outlives it */
    struct stage *stage;
    atomic_uint taken;
} record;

typedef struct stage {
    tlslife_cache *cache;
    pthread_barrier_t start;
    int rounds;
    record *records;
    atomic_uint made, freed; /* sessions */
    atomic_uint taken_twice;
    atomic_uint wrong; /* another's session was given */
} stage;

typedef struct worker {
    stage *scene;
    unsigned seed;
    counts counts;
} worker;

static const SSL_CIPHER *cipher; /* any: what has none has no bytes */
static int record_index;

static void on_free(void *parent, void *of, CRYPTO_EX_DATA *data, int index, long argl,
                    void *argp) {
    (void)parent, (void)data, (void)index, (void)argl, (void)argp;
    if (of != NULL) {
        atomic_fetch_add(&((record *)of)->stage->freed, 1);
    }
}

static void make_id(unsigned n, unsigned char id[32]) {
    memset(id, (int)(n & 0xff), 32);
    memcpy(id, &n, sizeof n);
}

static unsigned pick(worker *self, unsigned below) {
    return (unsigned)rand_r(&self->seed) % below;
}

static SSL_SESSION *make_session(worker *self, unsigned n, int version) {
    unsigned char id[32], secret[32] = {1};
    record *own = &self->scene->records[atomic_fetch_add(&self->scene->made, 1)];
    own->stage = self->scene;
    make_id(n, id);
    SSL_SESSION *session = SSL_SESSION_new();
    if (session == NULL || SSL_SESSION_set1_id(session, id, sizeof id) != 1 ||
        SSL_SESSION_set_protocol_version(session, version) != 1 ||
        SSL_SESSION_set_cipher(session, cipher) != 1 ||
        SSL_SESSION_set1_master_key(session, secret, sizeof secret) != 1 ||
        SSL_SESSION_set_ex_data(session, record_index, own) != 1) {
        abort();
    }
    SSL_SESSION_set_timeout(session, 1000 + (long)pick(self, 1000));
    return session;
}

/* ---------------------------------------------------------------------------------------- verbs */

static void note_taken(stage *scene, const SSL_SESSION *session) {
    record *own = SSL_SESSION_get_ex_data(session, record_index);
    if (atomic_fetch_add(&own->taken, 1) != 0) {
        atomic_fetch_add(&scene->taken_twice, 1);
    }
}

static void put(worker *self, const unsigned char *id) {
    unsigned n;
    memcpy(&n, id, sizeof n);
    SSL_SESSION *session = make_session(self, n, TLS1_2_VERSION);
    self->counts.puts +=
        tlslife_cache_put(self->scene->cache, tlslife_session_from_ssl_session(session));
    SSL_SESSION_free(session);
}

static void get(worker *self, const unsigned char *id, bool take) {
    tlslife_cache *cache = self->scene->cache;
    tlslife_session *got =
        take ? tlslife_cache_take(cache, id, 32) : tlslife_cache_get(cache, id, 32);
    self->counts.hits += got != NULL;
    self->counts.misses += got == NULL;
    if (got == NULL) {
        return;
    }
    tlslife_bytes own = tlslife_session_id(got);
    if (own.len != 32 || memcmp(own.data, id, 32) != 0) {
        atomic_fetch_add(&self->scene->wrong, 1);
    }
    if (take) {
        note_taken(self->scene, tlslife_session_ssl_session(got));
    }
    tlslife_session_free(got);
}

/* A session that is in the cache becomes bad, while this thread uses it. */
static void drop(worker *self, const unsigned char *id) {
    tlslife_session *got = tlslife_cache_get(self->scene->cache, id, 32);
    self->counts.hits += got != NULL;
    self->counts.misses += got == NULL;
    if (got != NULL) {
        tlsl_cache_drop(self->scene->cache, tlslife_session_ssl_session(got), true);
        tlslife_session_free(got);
    }
}

static tlsl_cache_key peer_key(unsigned peer) {
    tlsl_cache_key key = {.client = true};
    make_id(peer + 1000000, key.bytes);
    return key;
}

static void keep(worker *self, unsigned peer) {
    tlsl_cache_key key = peer_key(peer);
    SSL_SESSION *session = make_session(self, IDS + peer * 1000 + pick(self, 20), TLS1_3_VERSION);
    self->counts.puts += tlsl_cache_keep(self->scene->cache, &key, session, "peer:1");
    SSL_SESSION_free(session);
}

static void find(worker *self, unsigned peer) {
    tlsl_cache_key key = peer_key(peer);
    tlslife_outcome why;
    SSL_SESSION *session = tlsl_cache_find(self->scene->cache, &key, false, true, &why);
    self->counts.hits += session != NULL;
    self->counts.misses += session == NULL;
    if (session != NULL) {
        note_taken(self->scene, session);
        if (pick(self, 4) == 0) {
            tlsl_cache_drop(self->scene->cache, session, true); /* not there any more */
        }
        SSL_SESSION_free(session);
    }
}

static void look(worker *self) {
    tlslife_cache_entry entries[16];
    tlslife_cache_stats stats;
    uint64_t cursor = 0;
    size_t some;
    while ((some = tlslife_cache_entries(self->scene->cache, &cursor, entries, 16)) > 0) {
        for (size_t i = 0; i < some; i++) {
            if (entries[i].id_len != 32 || entries[i].expires < entries[i].time) {
                atomic_fetch_add(&self->scene->wrong, 1);
            }
        }
    }
    tlslife_cache_get_stats(self->scene->cache, &stats);
    if (stats.entries > self->scene->cache->capacity) {
        atomic_fetch_add(&self->scene->wrong, 1);
    }
}

static void visit(void *user, const tlsl_cache_key *key, SSL_SESSION *session, const char *peer) {
    worker *self = user;
    unsigned len = 0;
    (void)SSL_SESSION_get_id(session, &len);
    if (!key->client || len != 32 || strcmp(peer, "peer:1") != 0) {
        atomic_fetch_add(&self->scene->wrong, 1);
    }
}

static void act(worker *self) {
    unsigned op = pick(self, 1000);
    unsigned peer = pick(self, PEERS);
    unsigned char id[32];
    make_id(pick(self, IDS), id);
    if (op < 300) {
        put(self, id);
    } else if (op < 600) {
        get(self, id, op >= 500);
    } else if (op < 650) {
        self->counts.removed += tlslife_cache_remove(self->scene->cache, id, sizeof id);
    } else if (op < 700) {
        drop(self, id);
    } else if (op < 850) {
        keep(self, peer);
    } else if (op < 985) {
        find(self, peer);
    } else if (op < 990) {
        look(self);
    } else if (op < 995) {
        tlsl_cache_each_client(self->scene->cache, visit, self);
    } else {
        self->counts.flushed += tlslife_cache_flush(self->scene->cache, op >= 998);
    }
}

static void *run_thread(void *argument) {
    worker *self = argument;
    (void)tlslife_cache_up_ref(self->scene->cache);
    (void)pthread_barrier_wait(&self->scene->start);
    for (int i = 0; i < self->scene->rounds; i++) {
        act(self);
    }
    tlslife_cache_free(self->scene->cache);
    OPENSSL_thread_stop();
    return NULL;
}

/* --------------------------------------------------------------------------------------- scenes */

/*
 * Each session that was put is there, or has left in one of the ways that are counted. The rest
 * were replaced.
 */
static void check_counts(const stage *scene, const counts *sum) {
    tlslife_cache_stats stats;
    tlslife_cache_get_stats(scene->cache, &stats);
    CHECK(stats.puts == sum->puts && stats.hits == sum->hits && stats.misses == sum->misses);
    CHECK(stats.entries <= scene->cache->capacity && stats.too_big == 0 && stats.store_errors == 0);
    CHECK(scene->taken_twice == 0 && scene->wrong == 0);
    CHECK(scene->made - scene->freed == stats.entries);
    size_t entries = 0;
    for (uint32_t i = 0; i <= scene->cache->shards_len; i++) {
        entries += scene->cache->shards[i].table.len;
    }
    CHECK(entries == stats.entries);
    CHECK(stats.puts >= stats.entries + stats.evicted + stats.bad + sum->flushed + sum->removed);
    CHECK(stats.hits > 0 && stats.misses > 0 && stats.evicted > 0 && sum->flushed > 0);
    CHECK(stats.bad > 0 || scene->cache->capacity == 1);
    printf("capacity %zu: %llu puts, %llu hits, %llu misses, %llu evicted, %llu bad, %zu there\n",
           scene->cache->capacity, (unsigned long long)stats.puts, (unsigned long long)stats.hits,
           (unsigned long long)stats.misses, (unsigned long long)stats.evicted,
           (unsigned long long)stats.bad, stats.entries);
}

static void play(size_t capacity, size_t capacity_bytes, unsigned threads, int rounds) {
    pthread_t ids[THREADS_MAX];
    static worker workers[THREADS_MAX];
    tlslife_cache_options options = tlslife_cache_defaults();
    options.capacity = capacity;
    options.capacity_bytes = capacity_bytes;
    stage here = {.cache = tlslife_cache_new(&options, NULL), .rounds = rounds};
    here.records = calloc((size_t)rounds * threads, sizeof *here.records);
    counts sum = {0};
    (void)pthread_barrier_init(&here.start, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (worker){.scene = &here, .seed = i + 1};
        CHECK(pthread_create(&ids[i], NULL, run_thread, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(ids[i], NULL);
        sum.puts += workers[i].counts.puts;
        sum.hits += workers[i].counts.hits;
        sum.misses += workers[i].counts.misses;
        sum.flushed += workers[i].counts.flushed;
        sum.removed += workers[i].counts.removed;
    }
    check_counts(&here, &sum);
    tlslife_cache_free(here.cache);
    CHECK(here.made == here.freed);
    (void)pthread_barrier_destroy(&here.start);
    free(here.records);
}

int main(int argc, char **argv) {
    long threads = argc > 1 ? strtol(argv[1], NULL, 10) : 4;
    int rounds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 5000;
    if (threads < 1 || threads > THREADS_MAX || rounds < 1) {
        fprintf(stderr, "usage: cache_threads [1..64 [rounds]]\n");
        return 2;
    }
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    cipher = sk_SSL_CIPHER_value(SSL_CTX_get_ciphers(ctx), 0);
    record_index = SSL_SESSION_get_ex_new_index(0, NULL, NULL, NULL, on_free);
    play(50, 0, (unsigned)threads, rounds);
    play(300, 0, (unsigned)threads, rounds);
    play(300, 10000, (unsigned)threads, rounds);
    play(1, 0, (unsigned)threads, rounds);
    SSL_CTX_free(ctx);
    return checks_end();
}
