/*
 * blocks_test.c: tests the memory that src/base/blocks.c gives to OpenSSL.
 *
 * The calls are OpenSSL's: random sizes from a fixed seed, and blocks that grow and shrink. Each
 * block is filled with bytes of its own, so that two blocks which overlap are noticed. What is kept
 * must be bounded, and must go with its thread. A block that is freed twice, or written to when it
 * is free, must end the program.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "check.h"
#include "held.h"
#include "random.h"
#include "tlslife.h"

#include "base/blocks.c" /* for what it keeps, and its bounds */

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELD 500

/* Under AddressSanitizer the blocks are malloc's, and each step takes five times as long. */
#ifdef __SANITIZE_ADDRESS__
#define STEPS 20000
#else
#define STEPS 200000
#endif

static uint64_t state;

static size_t any_size(void) {
    static const size_t edges[] = {1,    16,   17,   24,    25,    1023,  1024,
                                   1025, 1280, 1281, 32767, 32768, 32769, 33024};
    uint32_t r = next_random(&state);
    switch (r % 8) {
    case 0: return edges[r / 8 % (sizeof edges / sizeof edges[0])];
    case 1: return 1 + r / 8 % 40000;
    default: return 1 + r / 8 % 1200;
    }
}

static bool renew(held *one) {
    size_t len = next_random(&state) % 3 == 0 ? 0 : any_size();
    size_t both = one->len < len ? one->len : len;
    bool grows = next_random(&state) % 2 == 0 || one->bytes == NULL;
    bool good = is_whole(one, one->len);
    if (grows) {
        one->bytes = OPENSSL_realloc(one->bytes, len);
        good = good && is_whole(one, both);
    } else {
        OPENSSL_free(one->bytes);
        one->bytes = OPENSSL_malloc(len);
    }
    one->len = len;
    fill(one, (unsigned char)next_random(&state));
    return good && (one->bytes == NULL) == (len == 0);
}

static void exercise(uint64_t seed) {
    static held all[HELD];
    bool good = true, bounded = true;
    state = seed;
    for (int i = 0; i < STEPS; i++) {
        good = renew(&all[next_random(&state) % HELD]) && good;
        bounded = bounded && kept.bytes <= BYTES_MAX;
    }
    for (int i = 0; i < HELD; i++) {
        good = is_whole(&all[i], all[i].len) && good;
        OPENSSL_free(all[i].bytes);
        all[i] = (held){NULL, 0, 0};
    }
    CHECK(good);
    CHECK(bounded && kept.bytes <= BYTES_MAX);
}

static void keeps_what_is_freed(void) {
    void *large = OPENSSL_malloc(16584), *small = OPENSSL_malloc(40);
    OPENSSL_free(large);
    OPENSSL_free(small);
    CHECK(OPENSSL_malloc(16500) == large);
    CHECK(OPENSSL_malloc(33) == small);
    OPENSSL_free(large);
    OPENSSL_free(small);
    OPENSSL_free(NULL);
    CHECK(OPENSSL_malloc(0) == NULL);
}

/* libssl's buffers to write records and to read them, in TLS 1.2 and 1.3. */
static void has_one_size_for_records(void) {
    void *record = OPENSSL_malloc(16584);
    CHECK((uintptr_t)record % TLSL_LINE == 0);
    OPENSSL_free(record);
    CHECK(OPENSSL_malloc(16712) == record);
    OPENSSL_free(record);
}

static void *in_thread(void *unused) {
    OPENSSL_free(unused); /* another thread's block */
    OPENSSL_free(OPENSSL_malloc(100));
    return kept.bytes > 0 && kept.bytes_max > 0 ? &kept : NULL;
}

/* AddressSanitizer would report as leaks what the thread keeps when it ends. */
static void gives_back_with_its_thread(void) {
    pthread_t thread;
    void *kept_some = NULL;
    CHECK(pthread_create(&thread, NULL, in_thread, OPENSSL_malloc(5000)) == 0);
    CHECK(pthread_join(thread, &kept_some) == 0 && kept_some != NULL);
}

static void free_twice(void) {
    void *one = OPENSSL_malloc(64);
    OPENSSL_free(one);
    OPENSSL_free(one);
}

/* Overwrites the link of a free block, as a program would that does not know the mark. */
static void write_when_free(void) {
    unsigned char *one = OPENSSL_malloc(64);
    OPENSSL_free(one);
    memset(one, 0x41, 16);
    (void)OPENSSL_malloc(64);
}

/* abort(3) ends the process after it. */
static void on_abort(int number) {
    (void)number;
    count_executed();
}

static bool aborts(void (*work)(void)) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGABRT, on_abort);
        (void)close(STDERR_FILENO);
        work();
        _exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGABRT;
}

int main(void) {
    CHECK(tlslife_keep_memory());
    keeps_what_is_freed();
    has_one_size_for_records();
    gives_back_with_its_thread();
    CHECK(aborts(free_twice));
    CHECK(aborts(write_when_free));
    for (uint64_t seed = 1; seed <= 3; seed++) { /* fills what is kept: last */
        exercise(seed);
    }
    CHECK(!tlslife_keep_memory()); /* once is enough */
    give_all_back(NULL);
    CHECK(kept.bytes == 0);
    return checks_end();
}
