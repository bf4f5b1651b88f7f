/*
 * memory.c: the memory home beside OpenSSL's own cache, in one thread and in turns.
 */
#include "benches.h"
#include "side.h"

#include <stdio.h>
#include <string.h>

#define BATCH_SLOW 40 /* operations of OpenSSL's, where each takes long */

static const char *const timeouts_names[] = {"equal", "mixed", "shortened"};

static double puts_ns(side *one) {
    double before = cpu();
    for (size_t i = 0; i < one->batch_len; i++) {
        put(one, one->batch[i]);
    }
    return (cpu() - before) * 1e9 / (double)one->batch_len;
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
    return (cpu() - before) * 1e9 / (double)gets;
}

static double drops_ns(side *one) {
    double before = cpu();
    for (size_t i = 0; i < one->batch_len; i++) {
        drop(one, one->batch[i]);
    }
    return (cpu() - before) * 1e9 / (double)one->batch_len;
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

static const char *size_name(size_t entries) {
    return entries >= 1000000 ? "1 M" : entries >= 20000 ? "20 k" : "1 k";
}

static void print_bytes(size_t entries, const size_t bytes[2]) {
    char name[64];
    series ours = {.len = 0}, theirs = {.len = 0};
    add(&ours, (double)bytes[0] / (double)entries);
    add(&theirs, (double)bytes[1] / (double)entries);
    (void)snprintf(name, sizeof name, "bytes of %s", size_name(entries));
    print_row(name, &ours, &theirs);
}

static void bench_filled(size_t entries, timeouts which, int rounds) {
    static side sides[2];
    series results[2][VERBS] = {0};
    size_t bytes[2];
    size_t slow =
        which != EQUAL && entries >= 20000 ? (entries >= 1000000 ? 4 : BATCH_SLOW) : BATCH;
    for (int i = 0; i < 2; i++) {
        side_init(&sides[i], i == 0, entries + BATCH);
        bytes[i] = side_fill(&sides[i], entries, which);
    }
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
    for (int verb = 0; verb < VERBS; verb++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s at %s, %s timeouts", verbs_names[verb],
                       size_name(entries), timeouts_names[which]);
        print_row(name, &results[0][verb], &results[1][verb]);
    }
    if (which == EQUAL) {
        print_bytes(entries, bytes);
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
            bench_filled(1000000, (timeouts)which, 5);
        }
    }
}
