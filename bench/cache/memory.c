/*
 * memory.c: measures the cache in memory beside OpenSSL's own, with one thread and with two.
 *
 * The comparison is fair. Both caches have their own sessions of one size, which are made and freed
 * while the clock does not run, the same ids in the same order, and a reference of their own to
 * each session. OpenSSL's lookup is the one that libssl makes (a read lock and the hash table,
 * SSL_has_matching_session_id(3)), with a reference taken and dropped. Where timeouts are mixed,
 * OpenSSL's cache is filled in the order that suits it best. In another order the filling alone
 * would take minutes.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "bench.h"
#include "tlslife.h"
#include "tlslife_openssl.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_LIVES 300 /* seconds */
#define BATCH_SLOW 40   /* operations of OpenSSL's, where each takes long */
#define THREAD_GETS 100000
#define THREAD_PUTS 20000

/* ------------------------------------------------------------------------------- the sides */

/* One of the two caches that are compared, and the sessions for it. */
typedef struct side {
    tlslife_cache *cache; /* ours; NULL: OpenSSL's, which ctx has and ssl looks up in */
    SSL_CTX *ctx;
    SSL *ssl;
    SSL_SESSION **resident; /* a reference to each beside the cache's */
    size_t resident_len;
    SSL_SESSION *batch[BATCH];
    size_t batch_len;
    uint32_t made;
} side;

/* The timeouts of the sessions that are put, beside those that are there. */
typedef enum timeouts { EQUAL, MIXED, SHORTENED } timeouts;
static const char *const timeouts_names[] = {"equal", "mixed", "shortened"};

static inline void put(side *one, SSL_SESSION *session) {
    if (one->cache != NULL) {
        demand(tlslife_cache_put(one->cache, tlslife_session_from_ssl_session(session)), "not put");
    } else {
        demand(SSL_CTX_add_session(one->ctx, session) == 1, "not added");
    }
}

static inline void get(side *one, const unsigned char *id, SSL_SESSION *session) {
    if (one->cache != NULL) {
        tlslife_session *found = tlslife_cache_get(one->cache, id, 32);
        demand(found != NULL, "not found");
        tlslife_session_free(found);
    } else {
        demand(SSL_has_matching_session_id(one->ssl, id, 32) == 1 &&
                   SSL_SESSION_up_ref(session) == 1,
               "not there");
        SSL_SESSION_free(session);
    }
}

static inline void drop(side *one, SSL_SESSION *session) {
    unsigned id_len = 0;
    if (one->cache != NULL) {
        const unsigned char *id = SSL_SESSION_get_id(session, &id_len);
        demand(tlslife_cache_remove(one->cache, id, id_len), "not removed");
    } else {
        demand(SSL_CTX_remove_session(one->ctx, session) == 1, "not removed");
    }
}

static void side_init(side *one, bool ours, size_t capacity) {
    memset(one, 0, sizeof *one);
    if (ours) {
        tlslife_cache_options options = tlslife_cache_defaults();
        options.capacity = capacity;
        one->cache = tlslife_cache_new(&options, NULL);
        demand(one->cache != NULL, "no cache");
        return;
    }
    one->ctx = SSL_CTX_new(TLS_method());
    demand(one->ctx != NULL, "no context");
    SSL_CTX_set_session_cache_mode(one->ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_AUTO_CLEAR);
    SSL_CTX_sess_set_cache_size(one->ctx, (long)capacity + 1); /* a cache of n holds n - 1 */
    one->ssl = SSL_new(one->ctx);
    demand(one->ssl != NULL, "no SSL");
}

/* share: how far the filling has come, from 0 to 1. */
static long filling_lives(timeouts which, double share) {
    return which == MIXED ? SHORT_LIVES + (long)((LIVES - SHORT_LIVES) * share) : LIVES;
}

static long batch_lives(timeouts which, uint64_t *state) {
    if (which == MIXED) {
        return SHORT_LIVES + (long)(next_random(state) % (LIVES - SHORT_LIVES));
    }
    return which == SHORTENED ? SHORT_LIVES : LIVES;
}

static size_t bytes_in_use(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* The bytes that it took beside the sessions themselves. */
static size_t side_fill(side *one, size_t entries, timeouts which) {
    one->resident = malloc(entries * sizeof(SSL_SESSION *));
    demand(one->resident != NULL, "out of memory");
    for (size_t i = 0; i < entries; i++) {
        one->resident[i] = make_session(one->made++, newest_version(),
                                        filling_lives(which, (double)i / (double)entries));
    }
    size_t before = bytes_in_use();
    for (size_t i = 0; i < entries; i++) {
        put(one, one->resident[i]);
    }
    one->resident_len = entries;
    return bytes_in_use() - before;
}

static void batch_make(side *one, size_t len, timeouts which) {
    uint64_t state = 7;
    for (size_t i = 0; i < len; i++) {
        one->batch[i] = make_session(one->made++, newest_version(), batch_lives(which, &state));
    }
    one->batch_len = len;
}

static void batch_free(side *one) {
    for (size_t i = 0; i < one->batch_len; i++) {
        SSL_SESSION_free(one->batch[i]);
    }
    one->batch_len = 0;
}

static void side_clear(side *one) {
    tlslife_cache_free(one->cache);
    SSL_free(one->ssl);
    SSL_CTX_free(one->ctx);
    for (size_t i = 0; i < one->resident_len; i++) {
        SSL_SESSION_free(one->resident[i]);
    }
    free(one->resident);
}

/* ------------------------------------------------------------------------------ one thread */

static double puts_ns(side *one) {
    double before = cpu();
    for (size_t i = 0; i < one->batch_len; i++) {
        put(one, one->batch[i]);
    }
    return ns_each(before, one->batch_len);
}

static double gets_ns(side *one, size_t gets, uint64_t seed) {
    static _Thread_local unsigned char ids[BATCH][32];
    static _Thread_local SSL_SESSION *sessions[BATCH];
    for (size_t i = 0; i < gets; i++) {
        unsigned id_len = 0;
        sessions[i] = one->resident[next_random(&seed) % one->resident_len];
        memcpy(ids[i], SSL_SESSION_get_id(sessions[i], &id_len), 32);
    }
    double before = cpu();
    for (size_t i = 0; i < gets; i++) {
        get(one, ids[i], sessions[i]);
    }
    return ns_each(before, gets);
}

static double drops_ns(side *one) {
    double before = cpu();
    for (size_t i = 0; i < one->batch_len; i++) {
        drop(one, one->batch[i]);
    }
    return ns_each(before, one->batch_len);
}

enum { PUT, GET, REMOVE, EVICT, VERBS };
static const char *const verbs_names[] = {"put", "get", "remove", "evict"};

static void measure_round(side *one, size_t batch, timeouts which, int round, series out[VERBS]) {
    batch_make(one, batch, which);
    add(&out[PUT], puts_ns(one));
    add(&out[GET], gets_ns(one, BATCH, (uint64_t)round));
    add(&out[REMOVE], drops_ns(one));
    batch_free(one);
}

static void measure_evict(side *one, size_t batch, timeouts which, series out[VERBS]) {
    batch_make(one, batch, which);
    add(&out[EVICT], puts_ns(one));
    batch_free(one);
}

/* Until nothing fits any more. */
static void make_full(side *one, size_t capacity, timeouts which) {
    for (size_t i = one->resident_len; i <= capacity; i++) {
        SSL_SESSION *session = make_session(one->made++, newest_version(),
                                            filling_lives(which == SHORTENED ? EQUAL : which, 1));
        put(one, session);
        SSL_SESSION_free(session);
    }
}

/* verb: PUT to EVICT, or VERBS for the row of bytes. */
static void name_row(char out[64], int verb, size_t entries, timeouts which) {
    const char *size = entries >= 1000000 ? "1 M" : entries >= 20000 ? "20 k" : "1 k";
    if (verb == VERBS) {
        (void)snprintf(out, 64, "bytes of %s", size);
    } else {
        (void)snprintf(out, 64, "%s at %s, %s timeouts", verbs_names[verb], size,
                       timeouts_names[which]);
    }
}

static void print_bytes(const char *name, size_t entries, const size_t bytes[2]) {
    series results[2] = {0};
    for (int i = 0; i < 2; i++) {
        add(&results[i], (double)bytes[i] / (double)entries);
    }
    print_row(name, &results[0], &results[1]);
}

/* The two sides in turns. Where OpenSSL is slow, its batches are smaller. */
static void measure(side sides[2], size_t entries, timeouts which, int rounds,
                    series results[2][VERBS]) {
    size_t slow =
        which != EQUAL && entries >= 20000 ? (entries >= 1000000 ? 4 : BATCH_SLOW) : BATCH;
    for (int round = 0; round < rounds; round++) {
        measure_round(&sides[0], BATCH, which, round, results[0]);
        measure_round(&sides[1], slow, which, round, results[1]);
    }
    make_full(&sides[0], entries + BATCH, which);
    make_full(&sides[1], entries + BATCH, which);
    for (int round = 0; round < rounds; round++) {
        measure_evict(&sides[0], BATCH, which, results[0]);
        measure_evict(&sides[1], slow, which, results[1]);
    }
}

static void bench_filled(size_t entries, timeouts which, int rounds) {
    static side sides[2];
    char names[VERBS + 1][64];
    series results[2][VERBS] = {0};
    size_t bytes[2];
    bool wanted = false;
    for (int i = 0; i <= VERBS; i++) {
        name_row(names[i], i, entries, which);
        wanted = wanted || (is_wanted(names[i]) && (i < VERBS || which == EQUAL));
    }
    if (!wanted) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        side_init(&sides[i], i == 0, entries + BATCH);
        bytes[i] = side_fill(&sides[i], entries, which);
    }
    measure(sides, entries, which, rounds_of(rounds), results);
    for (int verb = 0; verb < VERBS; verb++) {
        print_row(names[verb], &results[0][verb], &results[1][verb]);
    }
    if (which == EQUAL) {
        print_bytes(names[VERBS], entries, bytes);
    }
    side_clear(&sides[0]);
    side_clear(&sides[1]);
}

void bench_memory(bool full) {
    for (int which = EQUAL; which <= SHORTENED; which++) {
        int rounds = which == EQUAL ? ROUNDS_MAX : ROUNDS;
        bench_filled(1000, (timeouts)which, rounds);
        bench_filled(20000, (timeouts)which, rounds);
        if (full) {
            bench_filled(1000000, (timeouts)which, ROUNDS_LARGE);
        }
    }
}

/* ----------------------------------------------------------------------------- two threads */

typedef struct worker {
    side *on;
    pthread_barrier_t *start;
    SSL_SESSION **own; /* what it puts and removes. NULL: it gets */
    unsigned number;
    double began, ended;
} worker;

static void work_gets(worker *me) {
    unsigned char id[32];
    uint64_t state = me->number + 1;
    for (int i = 0; i < THREAD_GETS; i++) {
        unsigned id_len = 0;
        SSL_SESSION *session = me->on->resident[next_random(&state) % me->on->resident_len];
        memcpy(id, SSL_SESSION_get_id(session, &id_len), sizeof id);
        get(me->on, id, session);
    }
}

static void work_puts(worker *me) {
    for (int i = 0; i < THREAD_PUTS; i++) {
        put(me->on, me->own[i]);
    }
    for (int i = 0; i < THREAD_PUTS; i++) {
        drop(me->on, me->own[i]);
    }
}

static void *work(void *argument) {
    worker *me = argument;
    (void)pthread_barrier_wait(me->start);
    me->began = wall();
    if (me->own != NULL) {
        work_puts(me);
    } else {
        work_gets(me);
    }
    me->ended = wall();
    return NULL;
}

static SSL_SESSION **own_sessions(side *one) {
    SSL_SESSION **all = malloc(THREAD_PUTS * sizeof *all);
    demand(all != NULL, "out of memory");
    for (int i = 0; i < THREAD_PUTS; i++) {
        all[i] = make_session(one->made++, newest_version(), LIVES);
    }
    return all;
}

static void own_sessions_free(SSL_SESSION **all) {
    for (int i = 0; all != NULL && i < THREAD_PUTS; i++) {
        SSL_SESSION_free(all[i]);
    }
    free(all);
}

/* Seconds until all threads have done their part. */
static double run_threads(side *on, unsigned threads, bool puts) {
    worker workers[2];
    pthread_t ids[2];
    pthread_barrier_t start;
    double began = 0, ended = 0;
    (void)pthread_barrier_init(&start, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] =
            (worker){.on = on, .start = &start, .number = i, .own = puts ? own_sessions(on) : NULL};
    }
    for (unsigned i = 0; i < threads; i++) {
        demand(pthread_create(&ids[i], NULL, work, &workers[i]) == 0, "no thread");
    }
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(ids[i], NULL);
        began = i == 0 || workers[i].began < began ? workers[i].began : began;
        ended = workers[i].ended > ended ? workers[i].ended : ended;
        own_sessions_free(workers[i].own);
    }
    (void)pthread_barrier_destroy(&start);
    return ended - began;
}

/* Measures what the second thread adds. With a gain of 2 it does as much again in the same time. */
static void bench_gain(const char *name, bool puts) {
    static side sides[2];
    series gains[2] = {0};
    if (!is_wanted(name)) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        side_init(&sides[i], i == 0, 100000);
        (void)side_fill(&sides[i], 20000, EQUAL);
    }
    for (int round = 0; round < rounds_of(ROUNDS_MAX); round++) {
        for (int i = 0; i < 2; i++) {
            double alone = run_threads(&sides[i], 1, puts);
            add(&gains[i], 2 * alone / run_threads(&sides[i], 2, puts));
        }
    }
    print_row(name, &gains[0], &gains[1]);
    side_clear(&sides[0]);
    side_clear(&sides[1]);
}

void bench_threads(void) {
    bench_gain("second thread, get", false);
    bench_gain("second thread, put and remove", true);
}
