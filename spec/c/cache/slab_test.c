/*
 * slab_test.c: tests the slab, the store in memory that processes share, from inside.
 *
 * It covers what the slab keeps and what it drops, several processes and threads at once, a process
 * that dies at any instruction, files that are not what they should be, and bytes that were
 * overwritten. Every value names its key, and says whether it is whole. So a wrong value that the
 * slab gives out, which must never happen, is noticed.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "cache/store/slab.h"
#include "tlslife.h"

#include "check.h"
#include "random.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (KIB * KIB)
#define LONG_ENOUGH 7200

static char directory[] = "/tmp/slab_test.XXXXXX";

static const char *path_of(const char *name) {
    static char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static double seconds_of(clockid_t clock) {
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds(void) {
    return seconds_of(CLOCK_MONOTONIC);
}

static double cpu_seconds(void) {
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

static void nap(double duration) {
    struct timespec time = {(time_t)duration, (long)((duration - (double)(time_t)duration) * 1e9)};
    (void)nanosleep(&time, NULL);
}

/* --------------------------------------------------------------------------------------- values */

#define VALUE_MAX (64 * KIB)

/* Serves as a hash, whose bits the store takes for random. */
static void key_of(uint32_t id, unsigned char key[TLSL_STORE_KEY]) {
    for (size_t i = 0; i < TLSL_STORE_KEY / 8; i++) {
        uint64_t part = tlsl_slab_sum(&id, sizeof id, i + 1);
        part = tlsl_slab_sum(&part, sizeof part, i + 1);
        memcpy(key + i * 8, &part, sizeof part);
    }
}

/* id, salt, and bytes that follow from both. */
static void value_make(uint32_t id, uint32_t salt, size_t len, unsigned char *out) {
    uint64_t state = (uint64_t)id << 32 | salt;
    unsigned char head[8];
    memcpy(head, &id, 4);
    memcpy(head + 4, &salt, 4);
    for (size_t i = 0; i < len; i++) {
        out[i] = i < sizeof head ? head[i] : (unsigned char)next_random(&state);
    }
}

static bool value_is_of(uint32_t id, const unsigned char *bytes, size_t len) {
    static _Thread_local unsigned char wanted[VALUE_MAX];
    uint32_t salt = 0;
    if (len < 8 || len > VALUE_MAX) {
        return false;
    }
    memcpy(&salt, bytes + 4, sizeof salt);
    value_make(id, salt, len, wanted);
    return memcmp(bytes, wanted, len) == 0;
}

static bool put(tlslife_store *store, uint32_t id, uint32_t salt, size_t len, long lifetime) {
    static _Thread_local unsigned char bytes[VALUE_MAX + 1];
    unsigned char key[TLSL_STORE_KEY];
    key_of(id, key);
    value_make(id, salt, len, bytes);
    return store->verbs->put(store, key, bytes, len, lifetime);
}

static bool remove_id(tlslife_store *store, uint32_t id) {
    unsigned char key[TLSL_STORE_KEY];
    key_of(id, key);
    return store->verbs->remove(store, key);
}

/* Whether the store took the order. What the head is does not matter to the callers. */
static bool remove_id_if(tlslife_store *store, uint32_t id) {
    const unsigned char head[TLSL_STORE_HEAD] = {0};
    unsigned char key[TLSL_STORE_KEY];
    key_of(id, key);
    return store->verbs->remove_if(store, key, head);
}

typedef enum answer { MISS, HIT, WRONG } answer;

static answer look(tlslife_store *store, uint32_t id, bool take) {
    tlsl_inquiry inquiry = {.take = take};
    key_of(id, inquiry.key);
    store->verbs->ask(store, &inquiry);
    answer got = MISS;
    if (inquiry.found == TLSL_FOUND_HIT) {
        got = value_is_of(id, inquiry.bytes, inquiry.bytes_len) ? HIT : WRONG;
    } else if (inquiry.found != TLSL_FOUND_MISS || inquiry.bytes != NULL) {
        got = WRONG;
    }
    free(inquiry.bytes);
    return got;
}

static answer get(tlslife_store *store, uint32_t id) {
    return look(store, id, false);
}

static answer take(tlslife_store *store, uint32_t id) {
    return look(store, id, true);
}

static tlslife_store *open_slab(const char *path, size_t bytes) {
    tlslife_error err;
    tlslife_store *store = tlslife_store_shared(path, bytes, false, &err);
    if (!CHECK(store != NULL)) {
        fprintf(stderr, "%s\n", err.message);
        exit(checks_end());
    }
    return store;
}

static bool refused(const char *path, size_t bytes, tlslife_error_kind kind, const char *part) {
    tlslife_error err = {.kind = TLSLIFE_ERR_NONE};
    tlslife_store *store = tlslife_store_shared(path, bytes, false, &err);
    bool right = store == NULL && err.kind == kind && strstr(err.message, part) != NULL;
    if (!right) {
        fprintf(stderr, "wanted \"%s\", got: %s\n", part,
                store != NULL ? "(a store)" : err.message);
    }
    tlslife_store_free(store);
    return right;
}

static void write_at(const char *path, off_t offset, const void *bytes, size_t len) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && pwrite(fd, bytes, len, offset) == (ssize_t)len);
    (void)close(fd);
}

/* Whether a child that does this ends with 0. */
static pid_t child_begin(void) {
    (void)fflush(NULL);
    return fork();
}

static bool child_ended_well(pid_t pid) {
    int status = -1;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ------------------------------------------------------------------------------------ semantics */

static void test_verbs(void) {
    tlslife_store *store = open_slab(path_of("verbs"), 256 * KIB);
    bool writing = true;
    int timeout_ms = 0;
    CHECK(get(store, 1) == MISS);
    CHECK(put(store, 1, 1, 200, LONG_ENOUGH) && get(store, 1) == HIT && get(store, 1) == HIT);
    CHECK(put(store, 1, 2, 90, LONG_ENOUGH) && get(store, 1) == HIT);
    CHECK(get(store, 2) == MISS);
    CHECK(take(store, 1) == HIT);
    CHECK(take(store, 1) == MISS && get(store, 1) == MISS);
    CHECK(put(store, 1, 3, 200, LONG_ENOUGH) && remove_id(store, 1) && get(store, 1) == MISS);
    CHECK(remove_id(store, 1));
    CHECK(put(store, 1, 3, 200, LONG_ENOUGH) && put(store, 1, 4, 200, 0) && get(store, 1) == MISS);
    CHECK(put(store, 1, 3, 200, LONG_ENOUGH) && put(store, 1, 4, 200, -1) && get(store, 1) == MISS);
    CHECK(tlslife_store_fd(store, &writing, &timeout_ms) == -1 && !writing && timeout_ms == -1);
    tlslife_store_pump(store);
    tlslife_store_free(store);
}

static void test_sizes(size_t bytes, const char *name) {
    tlslife_store *store = open_slab(path_of(name), bytes);
    size_t most = tlsl_slab_plan_of(bytes).entry_max;
    unsigned char key[TLSL_STORE_KEY];
    key_of(7, key);
    CHECK(most <= TLSL_STORE_BYTES_MAX && most >= 16 * KIB);
    CHECK(put(store, 1, 1, most, LONG_ENOUGH) && get(store, 1) == HIT);
    CHECK(put(store, 2, 1, most, LONG_ENOUGH) && get(store, 2) == HIT);
    CHECK(!put(store, 1, 1, most + 1, LONG_ENOUGH) && get(store, 1) == MISS);
    for (size_t len = 8; len < 300; len++) {
        CHECK(put(store, 1, (uint32_t)len, len, LONG_ENOUGH) && get(store, 1) == HIT);
    }
    tlsl_inquiry inquiry = {.take = true};
    memcpy(inquiry.key, key, sizeof key);
    CHECK(store->verbs->put(store, key, (const unsigned char *)"", 0, LONG_ENOUGH));
    store->verbs->ask(store, &inquiry);
    CHECK(inquiry.found == TLSL_FOUND_HIT && inquiry.bytes != NULL && inquiry.bytes_len == 0);
    free(inquiry.bytes);
    tlslife_store_free(store);
}

/* The layout of a slab of any size lies within it, and leaves little unused. */
static void test_plans(void) {
    bool right = true;
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        size_t bytes =
            64 * KIB + (size_t)next_random(&state) % ((size_t)1 << (next_random(&state) % 15 + 17));
        tlsl_slab_plan plan = tlsl_slab_plan_of(bytes);
        size_t used = sizeof(tlsl_shard_head) + plan.buckets * 128 + plan.ring_len;
        right =
            right && used <= plan.shard_len && plan.shard_len - used < 64 &&
            plan.shard_len % 64 == 0 && TLSL_SLAB_START + plan.shards * plan.shard_len <= bytes &&
            plan.ring_len % 16 == 0 &&
            bytes - plan.shards * plan.shard_len < TLSL_SLAB_START + 64 * plan.shards + plan.shards;
    }
    CHECK(right);
    CHECK(tlsl_slab_plan_of((size_t)TLSL_SLAB_BYTES_MAX).entry_max == TLSL_STORE_BYTES_MAX);
}

static void test_eviction(void) {
    tlslife_store *store = open_slab(path_of("eviction"), 256 * KIB);
    const uint32_t recent = 500;
    uint32_t kept = 0;
    uint32_t old = 0;
    bool used_stays = put(store, 1000000, 1, 200, LONG_ENOUGH);
    for (uint32_t id = 0; id < 10000; id++) {
        used_stays = used_stays && put(store, id, 1, 200, LONG_ENOUGH);
        if (id % 100 == 0) {
            used_stays = used_stays && get(store, 1000000) == HIT;
        }
    }
    CHECK(used_stays);
    for (uint32_t id = 0; id < recent; id++) {
        kept += get(store, 9999 - id) == HIT;
        old += get(store, id) == HIT;
    }
    CHECK(kept >= recent - 5); /* a bucket of the index may be full */
    CHECK(old == 0);
    tlslife_store_free(store);
}

/* --------------------------------------------------------------------------------------- expiry */

/* A shard of its own in the heap, where a sanitizer sees each byte outside of it. */
typedef struct arena {
    tlsl_slab_plan plan;
    unsigned char *map;
} arena;

static arena arena_new(size_t bytes) {
    arena made = {tlsl_slab_plan_of(bytes), aligned_alloc(64, bytes)};
    memset(made.map, 0, bytes);
    return made;
}

static tlsl_slab_shard arena_shard(const arena *self, uint32_t id, uint32_t now,
                                   unsigned char key[TLSL_STORE_KEY]) {
    key_of(id, key);
    tlsl_slab_shard shard = tlsl_shard_of(self->map, &self->plan, key);
    atomic_store(&shard.head->lease.holder, 77);
    shard.holding = 77;
    shard.now = now;
    return shard;
}

static void arena_put(const arena *self, uint32_t id, size_t len, uint32_t now, uint32_t lifetime) {
    static unsigned char bytes[VALUE_MAX];
    unsigned char key[TLSL_STORE_KEY];
    tlsl_slab_shard shard = arena_shard(self, id, now, key);
    value_make(id, 5, len, bytes);
    tlsl_shard_put(&shard, key, bytes, len, lifetime);
}

static answer arena_look(const arena *self, uint32_t id, uint32_t now, bool taking) {
    unsigned char key[TLSL_STORE_KEY];
    size_t len = 0;
    tlsl_slab_shard shard = arena_shard(self, id, now, key);
    unsigned char *bytes = tlsl_shard_get(&shard, key, taking, &len);
    answer got = bytes == NULL ? MISS : value_is_of(id, bytes, len) ? HIT : WRONG;
    free(bytes);
    return got;
}

static void test_expiry(void) {
    arena self = arena_new(64 * KIB);
    arena_put(&self, 1, 100, 1000, 50);
    CHECK(arena_look(&self, 1, 1000, false) == HIT);
    CHECK(arena_look(&self, 1, 1049, false) == HIT);
    CHECK(arena_look(&self, 1, 1050, false) == MISS);
    CHECK(arena_look(&self, 1, 5000000, false) == MISS);
    CHECK(arena_look(&self, 1, 900, false) == HIT);
    arena_put(&self, 2, 100, 50000000,
              50); /* and then the clock goes back, by more than any lifetime */
    CHECK(arena_look(&self, 2, 50000050 - TLSL_SHARD_LIFETIME_MAX, false) == HIT);
    CHECK(arena_look(&self, 2, 50000049 - TLSL_SHARD_LIFETIME_MAX, false) == MISS);
    free(self.map);
}

/* A bucket is full. The new entry replaces the one that has expired, and not the oldest. */
static void test_expired_goes_first(void) {
    arena self = arena_new(64 * KIB);
    uint32_t alike[9];
    size_t found = 0;
    uint64_t bucket = 0;
    for (uint32_t id = 1; found < 9; id++) {
        unsigned char key[TLSL_STORE_KEY];
        uint64_t part = 0;
        key_of(id, key);
        memcpy(&part, key + 8, sizeof part);
        if (found == 0 || part % self.plan.buckets == bucket) {
            bucket = part % self.plan.buckets;
            alike[found++] = id;
        }
    }
    for (size_t i = 0; i < 8; i++) {
        arena_put(&self, alike[i], 50, 1000, i == 4 ? 10 : 500);
    }
    arena_put(&self, alike[8], 50, 1100, 500);
    for (size_t i = 0; i < 9; i++) {
        CHECK(arena_look(&self, alike[i], 1100, false) == (i == 4 ? MISS : HIT));
    }
    arena_put(&self, alike[4], 50, 1100, 500);
    CHECK(arena_look(&self, alike[0], 1100, false) == MISS &&
          arena_look(&self, alike[4], 1100, false) == HIT);
    free(self.map);
}

static void test_expiry_by_the_clock(void) {
    tlslife_store *store = open_slab(path_of("clock"), 64 * KIB);
    CHECK(put(store, 1, 1, 100, 1) && put(store, 2, 1, 100, 1000000000));
    nap(1.05);
    CHECK(get(store, 1) == MISS && get(store, 2) == HIT);
    tlslife_store_free(store);
}

/* -------------------------------------------------------------------------------------- sharing */

static void test_opens(void) {
    tlslife_store *one = open_slab(path_of("opens"), 256 * KIB);
    tlslife_store *two = open_slab(path_of("opens"), 256 * KIB);
    CHECK(put(one, 1, 1, 200, LONG_ENOUGH) && get(two, 1) == HIT);
    CHECK(take(two, 1) == HIT && get(one, 1) == MISS);
    CHECK(put(two, 2, 1, 200, LONG_ENOUGH));
    tlslife_store_free(two);
    CHECK(get(one, 2) == HIT);
    tlslife_store_up_ref(one);
    tlslife_store_free(one);
    tlslife_store_free(one);
    one = open_slab(path_of("opens"), 256 * KIB);
    CHECK(get(one, 2) == HIT);
    tlslife_store_free(one);
}

static void test_fork(void) {
    tlslife_store *store = open_slab(path_of("fork"), 256 * KIB);
    CHECK(put(store, 1, 1, 200, LONG_ENOUGH));
    pid_t pid = child_begin();
    if (pid == 0) {
        _exit(take(store, 1) == HIT && put(store, 2, 1, 300, LONG_ENOUGH) ? 0 : 1);
    }
    CHECK(child_ended_well(pid));
    CHECK(get(store, 1) == MISS && get(store, 2) == HIT);
    tlslife_store_free(store);
}

static void *unlock_later(void *fd) {
    nap(0.05);
    CHECK(flock(*(const int *)fd, LOCK_UN) == 0);
    return NULL;
}

/* A process that makes a slab holds the lock of its file, for which other processes wait. */
static void test_waits_for_the_maker(void) {
    pthread_t maker;
    tlslife_store_free(open_slab(path_of("locked"), 64 * KIB));
    int fd = open(path_of("locked"), O_RDWR | O_CLOEXEC);
    CHECK(flock(fd, LOCK_EX) == 0);
    double begun = seconds();
    CHECK(pthread_create(&maker, NULL, unlock_later, &fd) == 0);
    tlslife_store *store = open_slab(path_of("locked"), 64 * KIB);
    CHECK(store != NULL && seconds() - begun >= 0.05);
    CHECK(pthread_join(maker, NULL) == 0);
    tlslife_store_free(store);
    (void)close(fd);
}

enum { STARTERS = 8, TOGETHER_BYTES = 16 * 1024 * 1024 };

static void starters_at_once(const char *name, bool wipe) {
    pid_t pids[STARTERS];
    bool right = true;
    for (uint32_t i = 0; i < STARTERS; i++) {
        pids[i] = child_begin();
        if (pids[i] == 0) {
            tlslife_store *store = tlslife_store_shared(name, TOGETHER_BYTES, wipe, NULL);
            _exit(store != NULL && put(store, i, 1, 200, LONG_ENOUGH) ? 0 : 1);
        }
    }
    for (int i = 0; i < STARTERS; i++) {
        right = child_ended_well(pids[i]) && right;
    }
    tlslife_store *store = open_slab(name, TOGETHER_BYTES);
    for (uint32_t i = 0; i < STARTERS; i++) {
        right = right && get(store, i) == HIT;
    }
    CHECK(right);
    tlslife_store_free(store);
}

/*
 * Several processes open a slab at once that does not exist, or that each of them is to wipe. They
 * must come to share one slab. It is in memory, where making one takes long enough for the others
 * to come in between.
 */
static void test_start_together(void) {
    char name[64];
    char path[128];
    (void)snprintf(name, sizeof name, "shm:slab-together-%d", (int)getpid());
    (void)snprintf(path, sizeof path, "/dev/shm/tlslife-%s", name + 4);
    for (int round = 0; round < 12; round++) {
        bool wipe = round % 2 == 1;
        (void)unlink(path);
        if (wipe) {
            write_at(path, 0, "something else", 14);
        }
        starters_at_once(name, wipe);
    }
    (void)unlink(path);
}

/* Processes die while they make a slab. The next one must make a slab of whatever they leave. */
static void test_starters_killed(void) {
    uint64_t state = 11;
    bool right = true;
    unsigned early = 0;
    for (int i = 0; i < 60 && right; i++) {
        (void)unlink(path_of("killed"));
        pid_t pid = child_begin();
        if (pid == 0) {
            _exit(tlslife_store_shared(path_of("killed"), 1 * MIB, false, NULL) != NULL ? 0 : 1);
        }
        nap((double)(next_random(&state) % 1500) / 1e6);
        (void)kill(pid, SIGKILL);
        early += !child_ended_well(pid);
        tlslife_store *store = tlslife_store_shared(path_of("killed"), 1 * MIB, false, NULL);
        right = store != NULL && put(store, 1, 1, 200, LONG_ENOUGH) && get(store, 1) == HIT;
        tlslife_store_free(store);
    }
    CHECK(right);
    CHECK(early > 0);
}

typedef struct tally { /* shared with children */
    _Atomic uint64_t calls, hits, wrong, taken;
    _Atomic uint64_t slowest_ns;
    atomic_bool stop;
} tally;

static tally *tally_new(void) {
    void *page =
        mmap(NULL, sizeof(tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    return page;
}

typedef struct worker {
    tlslife_store *store;
    tally *tally;
    uint64_t seed;
    uint32_t ids;
} worker;

static void *take_all(void *argument) {
    worker *self = argument;
    for (uint32_t id = 0; id < self->ids; id++) {
        atomic_fetch_add(&self->tally->taken, take(self->store, id) == HIT);
    }
    return NULL;
}

static void run_threads(void *(*body)(void *), worker *workers, size_t len) {
    pthread_t threads[4];
    for (size_t i = 0; i < len; i++) {
        CHECK(pthread_create(&threads[i], NULL, body, &workers[i]) == 0);
    }
    for (size_t i = 0; i < len; i++) {
        (void)pthread_join(threads[i], NULL);
    }
}

/* Two processes with two threads each take the same entries. Each entry must be given out once. */
static void test_taken_once(void) {
    enum { IDS = 5000 };
    tlslife_store *store = open_slab(path_of("once"), 8 * MIB);
    tally *counts = tally_new();
    worker workers[2] = {{store, counts, 1, IDS}, {store, counts, 2, IDS}};
    uint64_t there = 0;
    for (uint32_t id = 0; id < IDS; id++) {
        there += put(store, id, 1, 150, LONG_ENOUGH);
    }
    pid_t pid = child_begin();
    if (pid == 0) {
        run_threads(take_all, workers, 2);
        _exit(0);
    }
    run_threads(take_all, workers, 2);
    CHECK(child_ended_well(pid));
    CHECK(there == IDS && counts->taken == IDS);
    (void)munmap(counts, sizeof *counts);
    tlslife_store_free(store);
}

static void count(tally *counts, answer got) {
    atomic_fetch_add_explicit(&counts->hits, got == HIT, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->wrong, got == WRONG, memory_order_relaxed);
}

/* Anything, in any order, until told to stop. */
static void *hammer(void *argument) {
    worker *self = argument;
    while (!atomic_load(&self->tally->stop)) {
        uint32_t id = next_random(&self->seed) % self->ids;
        double begun = seconds();
        switch (next_random(&self->seed) % 8) {
        case 0: count(self->tally, take(self->store, id)); break;
        case 1: (void)remove_id(self->store, id); break;
        case 2:
        case 3:
            (void)put(self->store, id, (uint32_t)self->seed, 8 + next_random(&self->seed) % 900,
                      LONG_ENOUGH);
            break;
        default: count(self->tally, get(self->store, id)); break;
        }
        uint64_t took = (uint64_t)((seconds() - begun) * 1e9);
        if (took > atomic_load(&self->tally->slowest_ns)) {
            atomic_store(&self->tally->slowest_ns, took);
        }
        atomic_fetch_add_explicit(&self->tally->calls, 1, memory_order_relaxed);
    }
    return NULL;
}

/* The same without checking the values, so that a process holds a lease most of the time. */
static void *storm(void *argument) {
    enum { IDS = 16 };
    static unsigned char keys[IDS][TLSL_STORE_KEY], values[IDS][900];
    worker *self = argument;
    const tlsl_store_verbs *verbs = self->store->verbs;
    for (uint32_t id = 0; id < IDS; id++) {
        key_of(id, keys[id]);
        value_make(id, 9, sizeof values[id], values[id]);
    }
    while (!atomic_load(&self->tally->stop)) {
        uint32_t id = next_random(&self->seed) % IDS;
        tlsl_inquiry inquiry = {.take = id % 4 == 0};
        memcpy(inquiry.key, keys[id], TLSL_STORE_KEY);
        (void)verbs->put(self->store, keys[id], values[id], sizeof values[id], LONG_ENOUGH);
        verbs->ask(self->store, &inquiry);
        free(inquiry.bytes);
        if (id % 4 == 1) {
            (void)verbs->remove(self->store, keys[id]);
        }
    }
    return NULL;
}

static pid_t storm_in_child(tlslife_store *store, tally *counts, uint64_t seed) {
    pid_t pid = child_begin();
    if (pid == 0) {
        worker alone = {store, counts, seed, 0};
        (void)storm(&alone);
        _exit(0);
    }
    return pid;
}

static pid_t hammer_in_child(tlslife_store *store, tally *counts, uint64_t seed, uint32_t ids,
                             size_t threads) {
    pid_t pid = child_begin();
    if (pid == 0) {
        worker workers[2] = {{store, counts, seed, ids}, {store, counts, seed + 1, ids}};
        run_threads(hammer, workers, threads);
        _exit(0);
    }
    return pid;
}

static void test_processes_and_threads(void) {
    tlslife_store *store = open_slab(path_of("many"), 512 * KIB);
    tally *counts = tally_new();
    pid_t one = hammer_in_child(store, counts, 1, 400, 2);
    pid_t two = hammer_in_child(store, counts, 5, 400, 2);
    nap(0.5);
    atomic_store(&counts->stop, true);
    CHECK(child_ended_well(one) && child_ended_well(two));
    CHECK(counts->wrong == 0 && counts->hits > 100 && counts->calls > 1000);
    (void)munmap(counts, sizeof *counts);
    tlslife_store_free(store);
}

/* --------------------------------------------------------------------------------------- leases */

typedef struct exclusion { /* shared */
    tlsl_lease lease;
    uint64_t turns; /* not atomic, so that the lease alone keeps it right */
    atomic_uint given_up;
} exclusion;

enum { TURNS = 50000 };

static void *contend(void *argument) {
    exclusion *about = argument;
    for (int i = 0; i < TURNS; i++) {
        uint64_t holding = 0;
        if (tlsl_lease_take(&about->lease, &holding) != TLSL_LEASED) {
            atomic_fetch_add(&about->given_up, 1);
            continue;
        }
        about->turns++;
        tlsl_lease_give(&about->lease, holding);
    }
    return NULL;
}

static void contend_twice(exclusion *about) {
    pthread_t other;
    bool begun = pthread_create(&other, NULL, contend, about) == 0;
    (void)contend(about);
    if (begun) {
        (void)pthread_join(other, NULL);
    }
}

/* Two processes of two threads. */
static void test_lease_excludes(void) {
    exclusion *about =
        mmap(NULL, sizeof *about, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = child_begin();
    if (pid == 0) {
        contend_twice(about);
        _exit(0);
    }
    contend_twice(about);
    CHECK(child_ended_well(pid));
    CHECK(about->turns + about->given_up == (uint64_t)4 * TURNS);
    CHECK(about->given_up < TURNS); /* a busy machine may make some wait for too long */
    (void)munmap(about, sizeof *about);
}

static void test_lease_of_the_dead(bool waited_for) {
    tlsl_lease *lease = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t holding = 0;
    CHECK(tlsl_lease_take(lease, &holding) == TLSL_LEASED);
    tlsl_lease_give(lease, holding);
    pid_t pid = child_begin();
    if (pid == 0) { /* with the store that it inherited, though its process number is another now */
        _exit(tlsl_lease_take(lease, &holding) == TLSL_LEASED ? 0 : 1);
    }
    siginfo_t ended;
    CHECK(waited_for ? child_ended_well(pid)
                     : waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT) == 0);
    CHECK(tlsl_lease_take(lease, &holding) == TLSL_LEASED_BROKEN);
    tlsl_lease_give(lease, holding);
    CHECK(tlsl_lease_take(lease, &holding) == TLSL_LEASED);
    CHECK(waited_for || child_ended_well(pid));
    (void)munmap(lease, 4096);
}

/*
 * A process is stopped while it holds a lease. That costs one wait, then misses at once, then the
 * shard is taken over. It costs nothing more when the process goes on.
 */
static void test_lease_of_the_stopped(void) {
    tlslife_store *store = open_slab(path_of("stopped"), 64 * KIB);
    tlsl_slab_plan plan = tlsl_slab_plan_of(64 * KIB);
    int fd = open(path_of("stopped"), O_RDWR | O_CLOEXEC);
    unsigned char *map = mmap(NULL, plan.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    tlsl_lease *lease = (tlsl_lease *)(void *)(map + TLSL_SLAB_START);
    CHECK(put(store, 1, 1, 100, LONG_ENOUGH));
    pid_t pid = child_begin();
    if (pid == 0) {
        uint64_t holding = 0;
        bool held = tlsl_lease_take(lease, &holding) == TLSL_LEASED;
        (void)raise(SIGSTOP);
        bool broken = !tlsl_lease_held(lease, holding);
        tlsl_lease_give(lease, holding);
        _exit(held && broken ? 0 : 1);
    }
    CHECK(waitpid(pid, NULL, WUNTRACED) == pid);
    CHECK(get(store, 1) == MISS);
    double begun = seconds();
    for (int i = 0; i < 100; i++) {
        CHECK(!put(store, 2, 1, 100, LONG_ENOUGH) && !remove_id(store, 1));
        CHECK(!remove_id_if(store, 1));
    }
    CHECK(seconds() - begun < 0.9); /* if each waited, they would take 4 s */
    nap(1.1);
    CHECK(get(store, 1) == MISS && put(store, 1, 2, 100, LONG_ENOUGH) && get(store, 1) == HIT);
    CHECK(kill(pid, SIGCONT) == 0 && child_ended_well(pid));
    CHECK(get(store, 1) == HIT);
    (void)munmap(map, plan.bytes);
    (void)close(fd);
    tlslife_store_free(store);
}

/* ---------------------------------------------------------------------------------------- kills */

/* Returns how many shards have a lease of a process that has died. */
/* The lease was broken while its holder was stopped in a put. The holder writes nothing then. */
static void test_writer_without_lease(void) {
    unsigned char key[TLSL_STORE_KEY], bytes[100];
    arena self = arena_new(64 * KIB);
    tlsl_slab_shard shard = arena_shard(&self, 1, 100, key);
    unsigned char *before = malloc(64 * KIB);
    value_make(1, 5, sizeof bytes, bytes);
    atomic_store(&shard.head->lease.holder, 78);
    memcpy(before, self.map, 64 * KIB);
    tlsl_shard_put(&shard, key, bytes, sizeof bytes, 60);
    CHECK(memcmp(before, self.map, 64 * KIB) == 0);
    CHECK(arena_look(&self, 1, 100, false) == MISS);
    arena_put(&self, 1, 100, 100, 60);
    CHECK(arena_look(&self, 1, 100, false) == HIT);
    free(before);
    free(self.map);
}

static unsigned held_by(const unsigned char *map, const tlsl_slab_plan *plan, pid_t pid) {
    unsigned held = 0;
    for (size_t i = 0; i < plan->shards; i++) {
        const tlsl_lease *lease =
            (const tlsl_lease *)(const void *)(map + TLSL_SLAB_START + i * plan->shard_len);
        held += ((atomic_load(&lease->holder) >> 32) & 0x3fffff) == (uint64_t)pid;
    }
    return held;
}

/*
 * Processes that use one slab are killed at any instruction, one after the other, while two more
 * with two threads go on. The slab is small and has one shard, so that most of them die while they
 * hold its lease.
 */
static void test_kills(int kills, size_t bytes) {
    tlslife_store *store = open_slab(path_of("kills"), bytes);
    tlsl_slab_plan plan = tlsl_slab_plan_of(bytes);
    int fd = open(path_of("kills"), O_RDONLY | O_CLOEXEC);
    const unsigned char *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    tally *counts = tally_new();
    tally *victims = tally_new();
    uint64_t state = 3;
    unsigned died_holding = 0;
    double begun = seconds();
    pid_t survivor = hammer_in_child(store, counts, 1, 300, 2);
    for (int i = 0; i < kills; i++) {
        pid_t pid = storm_in_child(store, victims, (uint64_t)i);
        nap((double)(next_random(&state) % 8000) / 1e6);
        if (i % 4 == 0) { /* where the other cannot repair it before it was counted */
            (void)kill(survivor, SIGSTOP);
        }
        (void)kill(pid, SIGKILL);
        siginfo_t ended;
        (void)waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT);
        died_holding += i % 4 == 0 ? held_by(map, &plan, pid) : 0;
        (void)kill(survivor, SIGCONT);
        if (i % 2 == 0) { /* the others stay zombies for a while */
            nap(0.001);
        }
        (void)waitpid(pid, NULL, 0);
    }
    atomic_store(&counts->stop, true);
    CHECK(child_ended_well(survivor));
    CHECK(counts->wrong == 0);
    CHECK(counts->hits > 1000 && died_holding > 0);
    CHECK(put(store, 1, 1, 200, LONG_ENOUGH) && get(store, 1) == HIT);
    printf("%d kills in %.1f s (of every fourth looked at, %u died holding a lease); "
           "the survivor: %llu calls, slowest %.1f ms\n",
           kills, seconds() - begun, died_holding, (unsigned long long)counts->calls,
           (double)counts->slowest_ns / 1e6);
    (void)munmap((void *)(uintptr_t)map, bytes);
    (void)close(fd);
    (void)munmap(counts, sizeof *counts);
    (void)munmap(victims, sizeof *victims);
    tlslife_store_free(store);
    (void)unlink(path_of("kills"));
}

/* -------------------------------------------------------------------------------- damaged bytes */

static void arena_fill(const arena *self) {
    for (uint32_t id = 0; id < 150; id++) {
        arena_put(self, id, 8 + id * 7 % 700, 1000, 500);
    }
}

static bool arena_use(const arena *self, uint32_t *hits) {
    bool right = true;
    for (uint32_t id = 0; id < 150; id += 3) {
        answer got = arena_look(self, id, 1000, id % 5 == 0);
        right = right && got != WRONG;
        *hits += got == HIT;
        arena_put(self, id + 1, 8 + id % 300, 1000, 500);
    }
    return right;
}

/* Writes random bytes at random places of the heads, the index and the ring, between uses. */
static void test_garbage(void) {
    uint64_t state = 17;
    bool right = true;
    uint32_t hits = 0;
    for (int i = 0; i < 1000; i++) {
        arena self = arena_new(64 * KIB + 4096 * (size_t)(i % 3));
        arena_fill(&self);
        size_t len = 1 + next_random(&state) % (i % 10 == 0 ? 40000 : 40);
        size_t at = TLSL_SLAB_START +
                    next_random(&state) % (i % 2 == 0 ? 8000 : self.plan.bytes - TLSL_SLAB_START);
        for (size_t j = at; j < at + len && j < self.plan.bytes; j++) {
            self.map[j] = (unsigned char)next_random(&state);
        }
        right = arena_use(&self, &hits) && right;
        free(self.map);
    }
    CHECK(right);
    CHECK(hits > 10000);
}

/*
 * Makes one slot of key's bucket lead to that place, and puts an entry there that fits, as far as
 * the ring goes.
 */
static void arena_forge(const arena *self, uint32_t id, uint64_t at, uint32_t len, uint64_t head) {
    struct {
        uint64_t sum, at;
        uint32_t expiry, len;
        unsigned char key[TLSL_STORE_KEY];
    } entry = {0, at, 1400, len, {0}};
    struct {
        uint64_t at;
        uint32_t tag, expiry;
    } slot = {at, 0, 1400};
    tlsl_slab_shard shard = arena_shard(self, id, 1000, entry.key);
    uint64_t part = 0;
    size_t offset = (size_t)(at % self->plan.ring_len);
    size_t room = self->plan.ring_len - offset;
    memcpy(&part, entry.key + 8, sizeof part);
    memcpy(&slot.tag, entry.key + 16, sizeof slot.tag);
    memcpy(shard.index + part % self->plan.buckets * 128 + 32, &slot, sizeof slot);
    memcpy(shard.ring + offset, &entry, room < sizeof entry ? room : sizeof entry);
    memcpy(&shard.head->head, &head, sizeof head);
}

/* Places and lengths that are plausible, and lead outside of what is there. */
static void test_hostile_links(void) {
    static const uint32_t lens[] = {0,     1,     8,          9,          4096,
                                    40000, 65536, 0x7fffffff, 0xffffffc8, 0xffffffff};
    enum { LENS = sizeof lens / sizeof lens[0] };
    uint64_t ring_len = tlsl_slab_plan_of(64 * KIB).ring_len;
    const uint64_t places[] = {0,
                               8,
                               16,
                               ring_len - 8,
                               ring_len - 16,
                               ring_len - 48,
                               ring_len - 64,
                               ring_len * 9 - 80,
                               ring_len * (UINT64_MAX / 4 / ring_len) - 64,
                               UINT64_MAX - 15,
                               UINT64_MAX};
    bool right = true;
    for (size_t i = 0; i < sizeof places / sizeof places[0] * LENS; i++) {
        arena self = arena_new(
            64 * KIB); /* its one ring ends where the heap's block does, or a little before */
        uint64_t at = places[i / LENS];
        arena_forge(&self, 1, at, lens[i % LENS], at / 16 * 16 + 64);
        right = arena_look(&self, 1, 1000, false) == MISS && right;
        arena_forge(&self, 1, at, lens[i % LENS], at / 16 * 16 + 64);
        arena_put(&self, 1, 300, 1000, 500); /* may be lost with a head that was too far */
        right = arena_look(&self, 1, 1000, false) != WRONG && right;
        arena_put(&self, 1, 300, 1000, 500);
        right = arena_look(&self, 1, 1000, true) == HIT && right;
        free(self.map);
    }
    CHECK(right);
}

/* Another process of this user overwrites everything, leases too, while two processes work. */
static void test_scribbler(void) {
    tlslife_store *store = open_slab(path_of("scribbled"), 512 * KIB);
    tally *counts = tally_new();
    int fd = open(path_of("scribbled"), O_RDWR | O_CLOEXEC);
    unsigned char *map = mmap(NULL, 512 * KIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    pid_t one = hammer_in_child(store, counts, 1, 400, 2);
    pid_t two = hammer_in_child(store, counts, 7, 400, 2);
    pid_t scribbler = child_begin();
    if (scribbler == 0) {
        for (uint64_t state = 1; !atomic_load(&counts->stop);) {
            for (int i = 0; i < 20; i++) {
                map[TLSL_SLAB_START + next_random(&state) % (512 * KIB - TLSL_SLAB_START)] =
                    (unsigned char)next_random(&state);
            }
            map[TLSL_SLAB_START + next_random(&state) % 40] = (unsigned char)next_random(&state);
            nap(0.0005);
        }
        _exit(0);
    }
    nap(1);
    atomic_store(&counts->stop, true);
    CHECK(child_ended_well(one) && child_ended_well(two) && child_ended_well(scribbler));
    CHECK(counts->wrong == 0 && counts->hits > 100);
    bool recovered = false; /* also from leases whose holder never existed */
    for (double begun = seconds(); !recovered && seconds() - begun < 5;) {
        recovered = true;
        for (uint32_t id = 0; id < 100; id++) {
            recovered = put(store, id, 1, 100, LONG_ENOUGH) && get(store, id) == HIT && recovered;
        }
        nap(0.05);
    }
    CHECK(recovered);
    (void)munmap(map, 512 * KIB);
    (void)close(fd);
    (void)munmap(counts, sizeof *counts);
    tlslife_store_free(store);
}

/* ------------------------------------------------------------------------------------ bad files */

static tlsl_slab_header read_header(const char *path) {
    tlsl_slab_header header = {.version = 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && pread(fd, &header, sizeof header, 0) == sizeof header);
    (void)close(fd);
    return header;
}

/* Opens with wipe, and it is empty and works. */
static bool wiped(const char *path, size_t bytes) {
    tlslife_store *store = tlslife_store_shared(path, bytes, true, NULL);
    bool right = store != NULL && get(store, 1) == MISS && put(store, 1, 1, 100, LONG_ENOUGH) &&
                 get(store, 1) == HIT;
    tlslife_store_free(store);
    return right;
}

static void test_damaged_header(void) {
    const char *path = path_of("damaged");
    tlslife_store_free(open_slab(path, 64 * KIB));
    tlsl_slab_header good = read_header(path);
    bool right = true;
    for (size_t i = 0; i < sizeof good; i++) {
        tlsl_slab_header bad = good;
        ((unsigned char *)&bad)[i] ^= (unsigned char)(1u << i % 8);
        write_at(path, 0, &bad, sizeof bad);
        right = refused(path, 64 * KIB, TLSLIFE_ERR_INPUT, "wipe") && right;
    }
    CHECK(right);
    CHECK(wiped(path, 64 * KIB) && wiped(path_of("damaged"), 64 * KIB) == false);
}

static void test_other_headers(void) {
    const char *path = path_of("other");
    tlslife_store_free(open_slab(path, 64 * KIB));
    tlsl_slab_header good = read_header(path);
    tlsl_slab_header bad = good;
    bad.version++;
    bad.sum = tlsl_slab_header_sum(&bad);
    write_at(path, 0, &bad, sizeof bad);
    CHECK(refused(path, 64 * KIB, TLSLIFE_ERR_INPUT, "another version"));
    bad = good;
    bad.ring_len += 16;
    bad.sum = tlsl_slab_header_sum(&bad);
    write_at(path, 0, &bad, sizeof bad);
    CHECK(refused(path, 64 * KIB, TLSLIFE_ERR_INPUT, "damaged"));
    write_at(path, 0, &good, sizeof good);
    CHECK(refused(path, 128 * KIB, TLSLIFE_ERR_INPUT, "another size"));
    tlslife_store_free(open_slab(path, 64 * KIB));
    CHECK(wiped(path, 128 * KIB));
}

static void test_other_files(void) {
    const char *path = path_of("foreign");
    char link_path[256];
    write_at(path, 0, "-----BEGIN PRIVATE KEY-----\n", 28);
    CHECK(refused(path, 64 * KIB, TLSLIFE_ERR_INPUT, "something else"));
    CHECK(wiped(path, 64 * KIB));
    CHECK(truncate(path, 60000) == 0 && refused(path, 64 * KIB, TLSLIFE_ERR_INPUT, "was cut"));
    CHECK(truncate(path, 50) == 0 && refused(path, 64 * KIB, TLSLIFE_ERR_INPUT, "wipe"));
    CHECK(truncate(path, 0) == 0);
    tlslife_store_free(open_slab(path, 64 * KIB)); /* an empty one is as good as none */
    CHECK(chmod(path, 0640) == 0 && refused(path, 64 * KIB, TLSLIFE_ERR_INPUT, "0600"));
    CHECK(chmod(path, 0600) == 0);
    (void)snprintf(link_path, sizeof link_path, "%s/link", directory);
    CHECK(symlink(path, link_path) == 0 &&
          refused(link_path, 64 * KIB, TLSLIFE_ERR_INPUT, "symbolic link"));
    (void)unlink(link_path);
    CHECK(mkfifo(link_path, 0600) == 0 &&
          refused(link_path, 64 * KIB, TLSLIFE_ERR_INPUT, "regular file"));
    CHECK(refused(directory, 64 * KIB, TLSLIFE_ERR_SYSTEM, "open"));
    CHECK(refused("/nonexistent/slab", 64 * KIB, TLSLIFE_ERR_SYSTEM, "open"));
    if (geteuid() != 0) {
        puts("not tried: a file of another user (this is not root)");
    } else if (CHECK(chown(path_of("foreign"), 65534, 65534) == 0)) {
        CHECK(refused(path_of("foreign"), 64 * KIB, TLSLIFE_ERR_INPUT, "another user"));
    }
}

static void test_arguments(void) {
    char long_name[400] = "shm:";
    memset(long_name + 4, 'x', sizeof long_name - 5);
    CHECK(refused(NULL, 64 * KIB, TLSLIFE_ERR_USAGE, "path"));
    CHECK(refused("", 64 * KIB, TLSLIFE_ERR_USAGE, "path"));
    CHECK(refused(path_of("small"), 64 * KIB - 1, TLSLIFE_ERR_USAGE, "64 KiB"));
    CHECK(refused(path_of("large"), (size_t)TLSL_SLAB_BYTES_MAX + 1, TLSLIFE_ERR_USAGE, "64 GiB"));
    CHECK(refused("shm:", 64 * KIB, TLSLIFE_ERR_USAGE, "name"));
    CHECK(refused("shm:a/b", 64 * KIB, TLSLIFE_ERR_USAGE, "without /"));
    CHECK(refused(long_name, 64 * KIB, TLSLIFE_ERR_USAGE, "characters"));
}

/* A process that has a slab open which another process wipes goes on with it alone. */
static void test_wipe_under_use(void) {
    tlslife_store *store = open_slab(path_of("used"), 64 * KIB);
    CHECK(put(store, 1, 1, 100, LONG_ENOUGH));
    CHECK(wiped(path_of("used"), 256 * KIB));
    CHECK(get(store, 1) == HIT && put(store, 2, 1, 100, LONG_ENOUGH) && get(store, 2) == HIT);
    tlslife_store_free(store);
}

static void set_header(const char *path, uint32_t state, unsigned char boot) {
    tlsl_slab_header header = read_header(path);
    header.state = state;
    header.boot[3] = boot != 0 ? boot : header.boot[3];
    header.sum = tlsl_slab_header_sum(&header);
    write_at(path, 0, &header, sizeof header);
}

static void test_restarts(void) {
    const char *path = path_of("restart");
    tlslife_store *store = open_slab(path, 64 * KIB);
    CHECK(put(store, 1, 1, 100, LONG_ENOUGH));
    tlslife_store_free(store);
    store = open_slab(path, 64 * KIB);
    CHECK(get(store, 1) == HIT);
    tlslife_store_free(store);
    set_header(path, TLSL_SLAB_READY, '?'); /* the machine was restarted */
    store = open_slab(path, 64 * KIB);
    CHECK(get(store, 1) == MISS && put(store, 1, 1, 100, LONG_ENOUGH));
    tlslife_store_free(store);
    store = open_slab(path, 64 * KIB);
    CHECK(get(store, 1) == HIT);
    tlslife_store_free(store);
    set_header(path, TLSL_SLAB_MAKING, 0); /* a starter died */
    store = open_slab(path, 64 * KIB);
    CHECK(get(store, 1) == MISS && put(store, 1, 1, 100, LONG_ENOUGH));
    tlslife_store_free(store);
}

/* --------------------------------------------------------------------------------- the system's */

static void test_mode_and_room(void) {
    struct stat about;
    mode_t before = umask(0777);
    tlslife_store *store = open_slab(path_of("mode"), 1 * MIB);
    (void)umask(before);
    CHECK(stat(path_of("mode"), &about) == 0 && (about.st_mode & 07777) == 0600);
    CHECK(about.st_size == (off_t)MIB && about.st_blocks * 512 >= (off_t)MIB);
    tlslife_store_free(store);
}

/* The flags of the mapping as the kernel prints them. dd means "do not dump". */
static bool is_kept_out_of_dumps(const char *path) {
    char line[512];
    bool ours = false;
    bool kept = false;
    FILE *maps = fopen("/proc/self/smaps", "re");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        ours = strstr(line, path) != NULL || (ours && strstr(line, "-") == NULL) ||
               (ours && line[0] >= 'A' && line[0] <= 'Z');
        kept = kept || (ours && strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " dd") != NULL);
    }
    if (maps != NULL) {
        (void)fclose(maps);
    }
    return kept;
}

static void test_shared_memory(void) {
    char name[64];
    char path[128];
    struct stat about;
    (void)snprintf(name, sizeof name, "shm:slab-test-%d", (int)getpid());
    (void)snprintf(path, sizeof path, "/dev/shm/tlslife-slab-test-%d", (int)getpid());
    tlslife_store *one = open_slab(name, 128 * KIB);
    tlslife_store *two = open_slab(name, 128 * KIB);
    CHECK(put(one, 1, 1, 100, LONG_ENOUGH) && get(two, 1) == HIT);
    CHECK(stat(path, &about) == 0 && (about.st_mode & 07777) == 0600);
    CHECK(is_kept_out_of_dumps(path));
    CHECK(refused(name, 64 * KIB, TLSLIFE_ERR_INPUT, "another size"));
    CHECK(wiped(name, 64 * KIB));
    tlslife_store_free(one);
    tlslife_store_free(two);
    CHECK(shm_unlink(path + 8) == 0);
}

static int refusals(const char *path, size_t bytes, int wanted_errno) {
    tlslife_error err = {.kind = TLSLIFE_ERR_NONE};
    bool right = tlslife_store_shared(path, bytes, false, &err) == NULL &&
                 err.kind == TLSLIFE_ERR_SYSTEM && err.system_errno == wanted_errno &&
                 access(path, F_OK) != 0;
    return right ? 0 : 1;
}

/* Mounts a tmpfs of 1 MiB that only a child sees. 2 means that this user may not do so. */
static int on_a_full_disk(void) {
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("slab_test", directory, "tmpfs", 0, "size=1m") != 0) {
        return 2;
    }
    if (refusals(path_of("full"), 2 * MIB, ENOSPC) != 0) {
        return 1;
    }
    return tlslife_store_shared(path_of("fits"), 512 * KIB, false, NULL) != NULL ? 0 : 1;
}

static void test_full_disk(void) {
    int status = 0;
    pid_t pid = child_begin();
    if (pid == 0) {
        _exit(on_a_full_disk());
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    if (WEXITSTATUS(status) == 2) {
        puts("not tried: a full disk (this user may not mount)");
    } else {
        CHECK(WEXITSTATUS(status) == 0);
    }
    pid = child_begin();
    if (pid == 0) {
        struct rlimit limit = {MIB, MIB};
        _exit(setrlimit(RLIMIT_FSIZE, &limit) == 0 ? refusals(path_of("limited"), 2 * MIB, EFBIG)
                                                   : 1);
    }
    CHECK(child_ended_well(pid));
}

/* ---------------------------------------------------------------------------------------- speed */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SPEED_IDS = 20000, SPEED_ROUNDS = 2 }; /* their own time is not of interest */
#else
enum { SPEED_IDS = 20000, SPEED_ROUNDS = 10 };
#endif
static unsigned char speed_keys[SPEED_IDS][TLSL_STORE_KEY];

/* Microseconds of CPU for each. */
static double time_puts(tlslife_store *store) {
    static const unsigned char value[200];
    double begun = cpu_seconds();
    for (size_t i = 0; i < (size_t)SPEED_IDS * SPEED_ROUNDS; i++) {
        (void)store->verbs->put(store, speed_keys[i % SPEED_IDS], value, sizeof value, LONG_ENOUGH);
    }
    return (cpu_seconds() - begun) * 1e6 / ((double)SPEED_IDS * (double)SPEED_ROUNDS);
}

static double time_gets(tlslife_store *store, size_t *hits) {
    double begun = cpu_seconds();
    for (size_t i = 0; i < (size_t)SPEED_IDS * SPEED_ROUNDS; i++) {
        tlsl_inquiry inquiry = {.take = false};
        memcpy(inquiry.key, speed_keys[i * 7919 % SPEED_IDS], TLSL_STORE_KEY);
        store->verbs->ask(store, &inquiry);
        *hits += inquiry.found == TLSL_FOUND_HIT;
        free(inquiry.bytes);
    }
    return (cpu_seconds() - begun) * 1e6 / ((double)SPEED_IDS * (double)SPEED_ROUNDS);
}

static double time_gets_beside(tlslife_store *store, size_t *hits) {
    *hits = 0;
    pid_t pid = child_begin();
    if (pid == 0) {
        (void)time_gets(store, hits);
        _exit(0);
    }
    double get_us = time_gets(store, hits);
    CHECK(child_ended_well(pid));
    return get_us;
}

/*
 * While the other process holds a lease and a busy machine gives it no processor for 20 ms, lookups
 * miss, so that several tries may be needed.
 *
 * The time is printed, and only its order of magnitude is checked, because a sanitizer or a busy
 * machine is no defect.
 */
static void test_speed(void) {
    tlslife_store *store = open_slab(path_of("speed"), 16 * MIB);
    size_t alone = 0, beside = 0, total = (size_t)SPEED_IDS * SPEED_ROUNDS;
    for (uint32_t id = 0; id < SPEED_IDS; id++) {
        key_of(id, speed_keys[id]);
    }
    double put_us = time_puts(store);
    double get_us = time_gets(store, &alone);
    double get_beside_us = 0;
    for (int tries = 0; tries < 5 && beside < total / 100 * 99; tries++) {
        get_beside_us = time_gets_beside(store, &beside);
    }
    printf("200 bytes among %d: put %.2f us, get %.2f us, %.2f us beside another process\n",
           SPEED_IDS, put_us, get_us, get_beside_us);
    CHECK(alone == total);
    CHECK(beside >= total / 100 * 99);
    CHECK(put_us < 20 && get_us < 20);
    tlslife_store_free(store);
}

static void clean_up(void) {
    static const char *const names[] = {
        "verbs", "small-sizes", "large-sizes", "eviction", "clock",   "opens",
        "fork",  "killed",      "locked",      "once",     "many",    "stopped",
        "kills", "scribbled",   "damaged",     "other",    "foreign", "link",
        "used",  "restart",     "mode",        "speed"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)unlink(path_of(names[i]));
    }
    CHECK(rmdir(directory) == 0);
}

int main(int argc, char **argv) {
    int kills = argc > 1 ? atoi(argv[1]) : 300;
    CHECK(mkdtemp(directory) != NULL);
    test_verbs();
    test_sizes(64 * KIB, "small-sizes");
    test_sizes(4 * MIB, "large-sizes");
    test_plans();
    test_eviction();
    test_expiry();
    test_expired_goes_first();
    test_expiry_by_the_clock();
    test_opens();
    test_fork();
    test_waits_for_the_maker();
    test_start_together();
    test_starters_killed();
    test_taken_once();
    test_processes_and_threads();
    test_lease_excludes();
    test_lease_of_the_dead(true);
    test_lease_of_the_dead(false);
    test_lease_of_the_stopped();
    test_writer_without_lease();
    test_kills(kills, 64 * KIB);
    test_garbage();
    test_hostile_links();
    test_scribbler();
    test_damaged_header();
    test_other_headers();
    test_other_files();
    test_arguments();
    test_wipe_under_use();
    test_restarts();
    test_mode_and_room();
    test_shared_memory();
    test_full_disk();
    test_speed();
    clean_up();
    return checks_end();
}
