/*
 * threads.c: what a second thread adds to the memory home.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "benches.h"
#include "side.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define THREAD_GETS 100000
#define THREAD_PUTS 20000

typedef struct worker {
    side *on;
    pthread_barrier_t *start;
    SSL_SESSION **own; /* what it puts and removes; NULL: it gets */
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

/* Seconds until all of the threads have done their part. */
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

/* What the second thread adds: twice the work, in how much of the time. */
static void bench_gain(bool puts, int rounds) {
    static side sides[2];
    series gains[2] = {0};
    for (int i = 0; i < 2; i++) {
        side_init(&sides[i], i == 0, 100000);
        (void)side_fill(&sides[i], 20000, EQUAL);
    }
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < 2; i++) {
            double alone = run_threads(&sides[i], 1, puts);
            add(&gains[i], 2 * alone / run_threads(&sides[i], 2, puts));
        }
    }
    print_row(puts ? "second thread, put and remove" : "second thread, get", &gains[0], &gains[1]);
    side_clear(&sides[0]);
    side_clear(&sides[1]);
}

void bench_threads(void) {
    bench_gain(false, ROUNDS_MAX);
    bench_gain(true, ROUNDS_MAX);
}
