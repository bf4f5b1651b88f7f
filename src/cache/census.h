/*
 * census.h: what all caches of this process have counted. census.c.
 */
#ifndef TLSLIFE_CACHE_CENSUS_H
#define TLSLIFE_CACHE_CENSUS_H

#include "tlslife.h"

/* The cache's place in the list of all. */
typedef struct tlsl_census_place {
    tlslife_cache *next, *before;
} tlsl_census_place;

/* cache is new, or is about to be freed. What it has counted stays in the sum. */
void tlsl_census_enter(tlslife_cache *cache);
void tlsl_census_leave(tlslife_cache *cache);
/* The sum of what tlslife_cache_get_stats says of each, also of those that were freed. */
void tlsl_census_sum(tlslife_cache_stats *out);

#endif
