/*
 * once.h: makes what the process has once, and tries again if that has failed.
 *
 * pthread_once(3) never calls a function twice. What could not be made because memory was short
 * would be missing until the process ends.
 */
#ifndef TLSLIFE_ONCE_H
#define TLSLIFE_ONCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct tlsl_once {
    atomic_bool done;
    pthread_mutex_t lock;
} tlsl_once;

#define TLSL_ONCE {.lock = PTHREAD_MUTEX_INITIALIZER}

/* Calls make, unless it has returned true before. Returns whether it has. */
static inline bool tlsl_once_done(tlsl_once *once, bool (*make)(void)) {
    if (atomic_load_explicit(&once->done, memory_order_acquire)) {
        return true;
    }
    (void)pthread_mutex_lock(&once->lock);
    bool done = atomic_load_explicit(&once->done, memory_order_relaxed) || make();
    atomic_store_explicit(&once->done, done, memory_order_release);
    (void)pthread_mutex_unlock(&once->lock);
    return done;
}

#endif
