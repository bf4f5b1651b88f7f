/*
 * census.c: knows all caches of the process, for metrics.
 *
 * A cache counts for itself. Here is only the list of those that exist, and the sum of those that
 * were freed, so that no sum goes back when a cache goes.
 */
#include <pthread.h>
#include <stddef.h>

#include "cache/census.h"
#include "cache/memory.h"
#include "tlslife.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static tlslife_cache *caches;
static tlslife_cache_stats gone;

static void add(tlslife_cache_stats *to, const tlslife_cache *cache) {
    tlslife_cache_stats one;
    tlslife_cache_get_stats(cache, &one);
    to->entries += one.entries;
    to->bytes += one.bytes;
    to->puts += one.puts;
    to->hits += one.hits;
    to->misses += one.misses;
    to->store_hits += one.store_hits;
    to->expired += one.expired;
    to->evicted += one.evicted;
    to->bad += one.bad;
    to->too_big += one.too_big;
    to->store_errors += one.store_errors;
    to->not_opened += one.not_opened;
}

void tlsl_census_enter(tlslife_cache *cache) {
    (void)pthread_mutex_lock(&lock);
    cache->place = (tlsl_census_place){.next = caches};
    if (caches != NULL) {
        caches->place.before = cache;
    }
    caches = cache;
    (void)pthread_mutex_unlock(&lock);
}

void tlsl_census_leave(tlslife_cache *cache) {
    (void)pthread_mutex_lock(&lock);
    const tlsl_census_place *place = &cache->place;
    if (place->next != NULL) {
        place->next->place.before = place->before;
    }
    if (place->before != NULL) {
        place->before->place.next = place->next;
    } else {
        caches = place->next;
    }
    add(&gone, cache); /* which is empty */
    (void)pthread_mutex_unlock(&lock);
}

void tlsl_census_sum(tlslife_cache_stats *out) {
    (void)pthread_mutex_lock(&lock);
    *out = gone;
    for (const tlslife_cache *cache = caches; cache != NULL; cache = cache->place.next) {
        add(out, cache);
    }
    (void)pthread_mutex_unlock(&lock);
}
