/*
 * ranks.h: checks the order of locks, while the programs of the tsan build run. CMakeLists.txt has
 * it included before every source file of that build.
 *
 * Each mutex of src/ has a rank: its row in docs/architecture.md, "The order of locks", which
 * spec/project/threads_spec.lua compares. A thread that takes one while it holds one of the same or
 * of a greater rank ends the program, also where no other thread takes them the other way round,
 * which is what ThreadSanitizer's detector waits for.
 */
#ifndef TLSLIFE_SPEC_RANKS_H
#define TLSLIFE_SPEC_RANKS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* as the files that follow would have defined it */
#endif

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANKS_HELD_MAX 8

typedef struct rank_row {
    const char *file, *name; /* where it is taken, and what it is called there */
    int rank;
} rank_row;

typedef struct rank_held {
    const void *mutex;
    int rank;
    const char *file;
} rank_held;

/* A copy in each object file, and one for the program. */
__attribute__((weak)) _Thread_local rank_held ranks_held[RANKS_HELD_MAX];
__attribute__((weak)) _Thread_local int ranks_len;

/* 0: a mutex of another library. */
static inline int rank_of(const char *file, const char *text) {
    static const rank_row rows[] = {
        {"src/program/writer.c", "lock", 1},
        {"src/program/writer.c", "pausing", 2},
        {"src/program/threads.c", "lock", 3},
        {"src/redis/redis.c", "lock", 4},
        {"src/cache/store/program.c", "lock", 5},
        {"src/tls/context/context.c", "freeze_lock", 6},
        {"src/tls/context/resumption.c", "freeze_lock", 6},
        {"src/tls/context/ticket_keys.c", "turning", 7},
        {"src/tls/context/ticket_keys.c", "lock", 8},
        {"src/cache/seal.c", "lock", 9},
        {"src/cache/census.c", "lock", 10},
        {"src/cache/memory.c", "lock", 11},
        {"src/cache/look.c", "lock", 11},
        {"src/cache/room.c", "lock", 11},
        {"src/trace/trace.c", "lock", 12},
        {"src/metrics/counters.c", "lock", 13},
        {"src/base/once.h", "lock", 14},
        {"src/net/resolve.c", "lock", 15},
    };
    const char *name = text + strlen(text);
    while (name > text && (name[-1] == '_' || (name[-1] >= 'a' && name[-1] <= 'z'))) {
        name--;
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t file_len = strlen(file), row_len = strlen(rows[i].file);
        if (file_len >= row_len && strcmp(file + file_len - row_len, rows[i].file) == 0 &&
            strcmp(name, rows[i].name) == 0) {
            return rows[i].rank;
        }
    }
    if (strstr(file, "/src/") != NULL && strstr(file, "/spec/") == NULL) {
        (void)fprintf(stderr, "ranks: %s in %s has no rank\n", text, file);
        abort();
    }
    return 0;
}

static inline void rank_enter(const void *mutex, const char *file, const char *text) {
    int rank = rank_of(file, text);
    if (rank == 0) {
        return;
    }
    for (int i = 0; i < ranks_len; i++) {
        if (ranks_held[i].rank >= rank) {
            (void)fprintf(stderr, "ranks: %s in %s (rank %d) is taken under one of %s (rank %d)\n",
                          text, file, rank, ranks_held[i].file, ranks_held[i].rank);
            abort();
        }
        if (getenv("TLSLIFE_RANKS") != NULL) {
            (void)fprintf(stderr, "ranks: %d under %d\n", rank, ranks_held[i].rank);
        }
    }
    if (ranks_len == RANKS_HELD_MAX) {
        abort();
    }
    ranks_held[ranks_len++] = (rank_held){mutex, rank, file};
}

static inline void rank_leave(const void *mutex) {
    for (int i = ranks_len - 1; i >= 0; i--) {
        if (ranks_held[i].mutex == mutex) {
            ranks_held[i] = ranks_held[--ranks_len];
            return;
        }
    }
}

static inline int rank_lock(pthread_mutex_t *mutex, const char *file, const char *text) {
    rank_enter(mutex, file, text);
    return pthread_mutex_lock(mutex);
}

static inline int rank_trylock(pthread_mutex_t *mutex, const char *file, const char *text) {
    int problem = pthread_mutex_trylock(mutex);
    if (problem == 0) {
        rank_enter(mutex, file, text);
    }
    return problem;
}

static inline int rank_unlock(pthread_mutex_t *mutex) {
    rank_leave(mutex);
    return pthread_mutex_unlock(mutex);
}

#define pthread_mutex_lock(mutex) rank_lock((mutex), __FILE__, #mutex)
#define pthread_mutex_trylock(mutex) rank_trylock((mutex), __FILE__, #mutex)
#define pthread_mutex_unlock(mutex) rank_unlock(mutex)

#endif
