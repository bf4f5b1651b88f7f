/*
 * counters.c: counts what connections do, in memory that the workers of a server may share.
 *
 * A process counts in a block of atomic numbers of its own. Where processes share their counters,
 * the blocks lie side by side in one piece of memory, and each process can read them all. So no
 * process has to be asked, and what a process that was killed has counted is not lost. The next
 * process that takes its place goes on with the same numbers, so that none of them ever goes back.
 *
 * A number is only added to, without an order between numbers: a reader sees each as it was at some
 * moment of its call. That is one instruction in a callback of OpenSSL, and takes no lock.
 *
 * What an attacker sends chooses which number is added to, among those that are here from the
 * start. So he cannot make this grow. The memory has no name that others could open, and its size
 * is sealed: a process that can write to it can change what is reported, and nothing else.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "metrics/counters.h"
#include "tlslife.h"

#define SLOTS_MAX 4096
#define GROUPS_MAX 16 /* each is at least twice as long as the one before, and one was joined */
#define MICRO 1000000u
#define LINE 64

/* The blocks of two processes are in different cache lines. */
typedef struct block {
    _Alignas(LINE) _Atomic uint64_t numbers[TLSL_NUMBERS];
} block;

/* Blocks side by side. They are never unmapped, because other threads may be adding to them. */
typedef struct group {
    unsigned len;
    block *blocks;
} group;

static block alone;
static const group only_alone = {1, &alone};
static _Atomic(const group *) all = &only_alone;
static _Atomic(block *) mine = &alone;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static group groups[GROUPS_MAX]; /* only the last one is in use */
static unsigned groups_len;
static int shared_fd = -1;
static bool joined;

static const uint32_t bounds_us[TLSL_BUCKETS - 1] = {100,    250,    500,     1000,    2500,
                                                     5000,   10000,  25000,   50000,   100000,
                                                     250000, 500000, 1000000, 2500000, 10000000};

/* ------------------------------------------------------------------------------------- counting */

static void add(block *to, unsigned at, uint64_t more) {
    atomic_fetch_add_explicit(&to->numbers[at], more, memory_order_relaxed);
}

static uint64_t value(const block *of, unsigned at) {
    return atomic_load_explicit(&of->numbers[at], memory_order_relaxed);
}

static void set(block *to, unsigned at, uint64_t number) {
    atomic_store_explicit(&to->numbers[at], number, memory_order_relaxed);
}

static block *own(void) {
    return atomic_load_explicit(&mine, memory_order_acquire);
}

void tlsl_count_one(unsigned at) {
    add(own(), at, 1);
}

uint64_t tlsl_count_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * MICRO + (uint64_t)now.tv_nsec / 1000;
}

void tlsl_count_time(unsigned at, uint64_t took_us) {
    unsigned bucket = 0;
    while (bucket < TLSL_BUCKETS - 1 && took_us > bounds_us[bucket]) {
        bucket++;
    }
    add(own(), at + bucket, 1);
    add(own(), at + TLSL_BUCKETS, took_us);
}

uint32_t tlsl_count_bound(unsigned bucket) {
    return bucket < TLSL_BUCKETS - 1 ? bounds_us[bucket] : 0;
}

void tlslife_metrics_count(tlslife_metrics_event event) {
    if (event <= TLSLIFE_METRICS_WORKER_ENDED) {
        tlsl_count_one(TLSL_COUNTED + (unsigned)event);
    }
}

/* -------------------------------------------------------------------------------------- reading */

void tlsl_counters_set_cache(const uint64_t values[TLSL_CACHED]) {
    static uint64_t added[TLSL_CACHED]; /* under the lock: what our block has already */
    (void)pthread_mutex_lock(&lock);
    block *to = own();
    for (unsigned i = 0; i < TLSL_CACHED; i++) {
        if (i <= TLSL_CACHED_BYTES) {
            set(to, TLSL_CACHE + i, values[i]);
        } else if (values[i] > added[i]) { /* else another thread has added newer values already */
            add(to, TLSL_CACHE + i, values[i] - added[i]);
            added[i] = values[i];
        }
    }
    (void)pthread_mutex_unlock(&lock);
}

void tlsl_counters_read(uint64_t out[TLSL_NUMBERS]) {
    const group *of = atomic_load_explicit(&all, memory_order_acquire);
    for (unsigned at = 0; at < TLSL_NUMBERS; at++) {
        out[at] = 0;
        for (unsigned i = 0; i < of->len; i++) {
            out[at] += value(&of->blocks[i], at);
        }
    }
}

/* -------------------------------------------------------------------------------------- sharing */

/* The process that counted here has ended: its connections and its caches are gone. */
static void settle(block *one) {
    for (unsigned side = 0; side < TLSL_SIDES; side++) {
        set(one, TLSL_ENDED + side, value(one, TLSL_BEGUN + side));
    }
    set(one, TLSL_CACHE + TLSL_CACHED_ENTRIES, 0);
    set(one, TLSL_CACHE + TLSL_CACHED_BYTES, 0);
}

/* Maps the blocks behind fd. */
static tlslife_status map(int fd, group *out, tlslife_error *err) {
    struct stat about;
    if (fstat(fd, &about) != 0) {
        return tlsl_fail_system(err, errno, "cannot examine the memory that metrics are shared in");
    }
    size_t len = about.st_size < 0 ? 0 : (size_t)about.st_size;
    if (len == 0 || len % sizeof(block) != 0 || len / sizeof(block) > SLOTS_MAX ||
        groups_len == GROUPS_MAX) {
        return tlsl_fail(err, TLSLIFE_ERR_INPUT,
                         "descriptor %d is not one of tlslife_metrics_share", fd);
    }
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        return tlsl_fail_system(err, errno, "cannot map the memory that metrics are shared in");
    }
    *out = (group){(unsigned)(len / sizeof(block)), memory};
    return TLSLIFE_OK;
}

/*
 * Under the lock: from now on this process counts in this block, to which these numbers are added,
 * and reads the whole group.
 */
static void move(group to, unsigned slot, const uint64_t numbers[TLSL_NUMBERS]) {
    for (unsigned at = 0; at < TLSL_NUMBERS; at++) {
        add(&to.blocks[slot], at, numbers[at]);
    }
    groups[groups_len] = to;
    atomic_store_explicit(&mine, &to.blocks[slot], memory_order_release);
    atomic_store_explicit(&all, &groups[groups_len], memory_order_release);
    groups_len++;
}

/* A descriptor of memory without a name, whose size cannot change. -1: errno says why. */
static int make_memory(unsigned slots) {
    int fd = memfd_create("tlslife-metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && (ftruncate(fd, (off_t)(slots * sizeof(block))) != 0 ||
                    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)) {
        int failure = errno;
        (void)close(fd);
        errno = failure;
        return -1;
    }
    return fd;
}

/* Under the lock. */
static tlslife_status share(unsigned slots, tlslife_error *err) {
    unsigned len = 2;
    if (shared_fd >= 0 && atomic_load(&all)->len >= slots) {
        return TLSLIFE_OK;
    }
    while (len < slots) {
        len *= 2;
    }
    int fd = make_memory(len);
    if (fd < 0) {
        return tlsl_fail_system(err, errno, "cannot make memory for metrics");
    }
    group made = {0, NULL};
    if (map(fd, &made, err) != TLSLIFE_OK) {
        (void)close(fd);
        return TLSLIFE_ERROR;
    }
    if (shared_fd >= 0) {
        (void)close(shared_fd);
    }
    shared_fd = fd;
    uint64_t before[TLSL_NUMBERS];
    tlsl_counters_read(before);
    move(made, 0, before);
    return TLSLIFE_OK;
}

tlslife_status tlslife_metrics_share(unsigned workers, int *out_fd, tlslife_error *err) {
    if (workers < 1 || workers >= SLOTS_MAX) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE, "metrics are shared by 1 to %d workers, not %u",
                         SLOTS_MAX - 1, workers);
    }
    (void)pthread_mutex_lock(&lock);
    tlslife_status status = share(workers + 1, err);
    int fd = shared_fd;
    (void)pthread_mutex_unlock(&lock);
    if (status == TLSLIFE_OK) {
        *out_fd = fd;
    }
    return status;
}

/*
 * Under the lock. A child of fork() has counted in its parent's block until now. What is there is
 * its parent's, and stays.
 */
static tlslife_status join(int fd, unsigned worker, tlslife_error *err) {
    if (joined) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE, "this process counts as a worker already");
    }
    group made = {0, NULL};
    if (map(fd, &made, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (worker < 1 || worker >= made.len) {
        (void)munmap(made.blocks, made.len * sizeof(block));
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "metrics are shared by workers 1 to %u, and there is no worker %u",
                         made.len - 1, worker);
    }
    uint64_t before[TLSL_NUMBERS] = {0};
    if (own() == &alone) {
        tlsl_counters_read(before);
    }
    settle(&made.blocks[worker]);
    move(made, worker, before);
    joined = true;
    return TLSLIFE_OK;
}

tlslife_status tlslife_metrics_join(int fd, unsigned worker, tlslife_error *err) {
    (void)pthread_mutex_lock(&lock);
    tlslife_status status = join(fd, worker, err);
    (void)pthread_mutex_unlock(&lock);
    return status;
}

void tlslife_metrics_leave(unsigned worker) {
    const group *of = atomic_load_explicit(&all, memory_order_acquire);
    if (worker >= 1 && worker < of->len) {
        settle(&of->blocks[worker]);
    }
}
