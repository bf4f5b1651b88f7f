/*
 * metrics_threads.c: tests that no count is lost or goes back among threads, among processes that
 * share their counters, and when one of these processes is killed.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "metrics/counters.h"
#include "tlslife.h"

#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define ROUNDS 20000
#define CHILDS 1000

static atomic_bool over;

static uint64_t value_of(unsigned at) {
    uint64_t all[TLSL_NUMBERS];
    tlsl_counters_read(all);
    return all[at];
}

/* ------------------------------------------------------------------------------------- threads */

static void *count(void *unused) {
    for (unsigned i = 0; i < ROUNDS; i++) {
        tlsl_count_one(TLSL_ALERTS);
        tlsl_count_time(TLSL_SHUTDOWN_TIME, i);
        tlslife_metrics_count(TLSLIFE_METRICS_HANDLER_FAILED);
        if (i % 1000 == 0) {
            tlslife_metrics_publish();
        }
    }
    return unused;
}

/* Returns how often a number has gone back. */
static void *watch(void *unused) {
    static uint64_t before[TLSL_NUMBERS], now[TLSL_NUMBERS];
    uintptr_t back = 0;
    (void)unused;
    while (!atomic_load(&over)) {
        tlsl_counters_read(now);
        for (unsigned at = 0; at < TLSL_CACHE; at++) {
            back += now[at] < before[at];
            before[at] = now[at];
        }
        char *text = tlslife_metrics_text(TLSLIFE_METRICS_OPENMETRICS, NULL);
        back += text == NULL;
        tlslife_string_free(text);
    }
    return (void *)back;
}

static void test_threads(void) {
    pthread_t threads[THREADS], watcher;
    void *back = NULL;
    check_that(pthread_create(&watcher, NULL, watch, NULL) == 0, "a thread", __FILE__, __LINE__);
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_create(&threads[i], NULL, count, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    atomic_store(&over, true);
    (void)pthread_join(watcher, &back);
    check_that(back == NULL, "no number goes back", __FILE__, __LINE__);
    uint64_t times = 0;
    for (unsigned i = 0; i < TLSL_BUCKETS; i++) {
        times += value_of(TLSL_SHUTDOWN_TIME + i);
    }
    const uint64_t all = (uint64_t)THREADS * ROUNDS;
    check_that(value_of(TLSL_ALERTS) == all, "all counts", __FILE__, __LINE__);
    check_that(times == all, "all times", __FILE__, __LINE__);
    check_that(value_of(TLSL_SHUTDOWN_TIME + TLSL_BUCKETS) == all * (ROUNDS - 1) / 2,
               "the sum of the times", __FILE__, __LINE__);
    check_that(value_of(TLSL_SHUTDOWN_TIME) == (uint64_t)THREADS * 101,
               "0 to 100 us are in the first bucket", __FILE__, __LINE__);
    check_that(value_of(TLSL_COUNTED) == all, "all events", __FILE__, __LINE__);
}

/* ----------------------------------------------------------------------------------- processes */

static int share(unsigned workers) {
    int fd = -1;
    tlslife_error err;
    tlslife_status status = tlslife_metrics_share(workers, &fd, &err);
    check_that(status == TLSLIFE_OK && fd >= 0, "shared memory", __FILE__, __LINE__);
    return fd;
}

/* A child that has counted, and waits to be killed. */
static pid_t start_child(int fd, unsigned worker) {
    int ends[2];
    char byte = 0;
    if (pipe(ends) != 0) {
        abort();
    }
    pid_t child = fork();
    if (child == 0) {
        bool joined = tlslife_metrics_join(fd, worker, NULL) == TLSLIFE_OK;
        for (int i = 0; joined && i < CHILDS; i++) {
            tlsl_count_one(TLSL_ALERTS);
            tlsl_count_one(TLSL_BEGUN);
        }
        byte = joined ? '+' : '-';
        (void)!write(ends[1], &byte, 1);
        (void)pause();
        _exit(0);
    }
    check_that(read(ends[0], &byte, 1) == 1 && byte == '+', "a child joins", __FILE__, __LINE__);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return child;
}

static void end(pid_t child) {
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
}

static uint64_t open_now(void) {
    return value_of(TLSL_BEGUN) - value_of(TLSL_ENDED);
}

static void test_processes(void) {
    tlsl_count_one(TLSL_ALERTS);
    int fd = share(2);
    pid_t one = start_child(fd, 1), two = start_child(fd, 2);
    check_that(value_of(TLSL_ALERTS) == 1 + 2 * CHILDS, "both are summed", __FILE__, __LINE__);
    check_that(open_now() == 2 * CHILDS, "both have connections", __FILE__, __LINE__);
    end(one);
    check_that(value_of(TLSL_ALERTS) == 1 + 2 * CHILDS, "the dead one's stay", __FILE__, __LINE__);
    tlslife_metrics_leave(1);
    tlslife_metrics_leave(77);
    tlslife_metrics_leave(0);
    check_that(value_of(TLSL_ALERTS) == 1 + 2 * CHILDS, "also when it has left", __FILE__,
               __LINE__);
    check_that(open_now() == CHILDS, "its connections do not", __FILE__, __LINE__);
    end(two);
    check_that(open_now() == CHILDS, "it was not said to have left", __FILE__, __LINE__);
}

static void test_more_workers(void) {
    int before = share(1), same = share(2);
    check_that(before == same, "the same memory for no more workers", __FILE__, __LINE__);
    uint64_t counted = value_of(TLSL_ALERTS);
    int more = share(40);
    check_that(value_of(TLSL_ALERTS) == counted && counted == 1 + 2 * CHILDS, "it is moved",
               __FILE__, __LINE__);
    check_that(ftruncate(more, 0) != 0, "the size cannot change", __FILE__, __LINE__);
    check_that(fcntl(more, F_GETFD) == FD_CLOEXEC, "it is closed on exec", __FILE__, __LINE__);
}

static void fails(tlslife_error_kind kind, tlslife_status status, const tlslife_error *err,
                  int line) {
    check_that(status == TLSLIFE_ERROR && err->kind == kind, err->message, __FILE__, line);
}

static void test_mistakes(void) {
    int fd = -1, ends[2];
    tlslife_error err;
    fails(TLSLIFE_ERR_USAGE, tlslife_metrics_share(0, &fd, &err), &err, __LINE__);
    fails(TLSLIFE_ERR_USAGE, tlslife_metrics_share(4096, &fd, &err), &err, __LINE__);
    check_that(fd == -1 && pipe(ends) == 0, "nothing is written", __FILE__, __LINE__);
    fails(TLSLIFE_ERR_INPUT, tlslife_metrics_join(ends[0], 1, &err), &err, __LINE__);
    fails(TLSLIFE_ERR_SYSTEM, tlslife_metrics_join(-1, 1, &err), &err, __LINE__);
    (void)close(ends[0]);
    (void)close(ends[1]);
    fd = share(1);
    fails(TLSLIFE_ERR_USAGE, tlslife_metrics_join(fd, 0, &err), &err, __LINE__);
    fails(TLSLIFE_ERR_USAGE, tlslife_metrics_join(fd, 4000, &err), &err, __LINE__);
    uint64_t counted = value_of(TLSL_ALERTS);
    check_that(tlslife_metrics_join(fd, 3, &err) == TLSLIFE_OK, "joins", __FILE__, __LINE__);
    check_that(value_of(TLSL_ALERTS) >= counted, "with all numbers", __FILE__, __LINE__);
    fails(TLSLIFE_ERR_USAGE, tlslife_metrics_join(fd, 3, &err), &err, __LINE__);
    tlslife_metrics_count((tlslife_metrics_event)99);
    check_that(tlslife_metrics_share(40, &fd, NULL) == TLSLIFE_OK, "again", __FILE__, __LINE__);
}

/* Threads of a process of their own, since a process that has joined counts elsewhere. */
static void test_threads_apart(void) {
    pid_t child = fork();
    int status = -1;
    if (child == 0) {
        test_threads();
        _exit(checks_failed == 0 ? 0 : 1);
    }
    (void)waitpid(child, &status, 0);
    check_that(status == 0, "threads", __FILE__, __LINE__);
}

int main(void) {
    test_threads_apart();
    test_processes();
    test_more_workers();
    test_mistakes();
    return checks_end();
}
