/*
 * counters.h: the numbers that the connections of this process and of its workers add up to.
 * counters.c.
 *
 * All numbers are in one array, so that a whole process is summed, moved and read by one loop. The
 * enum says where each table begins. A table of several dimensions has its last index closest
 * together: an alert is at TLSL_ALERTS + (side * 2 + sent) * TLSL_ALERT_NAMES + alert.
 */
#ifndef TLSLIFE_COUNTERS_H
#define TLSLIFE_COUNTERS_H

#include <stdint.h>

#include "tlslife.h"

#define TLSL_SIDES 2    /* client, server */
#define TLSL_VERSIONS 5 /* at 0 any other version, then TLS 1.0 to 1.3 */
#define TLSL_OUTCOMES (TLSLIFE_OUTCOME_STORE + 1)
#define TLSL_PHASES 2       /* in the handshake, and after it */
#define TLSL_ALERT_NAMES 40 /* the places of tlsl_alert_place() */
#define TLSL_CLOSES 4       /* masks of TLSLIFE_SENT_SHUTDOWN and TLSLIFE_RECEIVED_SHUTDOWN */
#define TLSL_BUCKETS 16     /* upper bounds, then infinity */
#define TLSL_HISTOGRAM (TLSL_BUCKETS + 1) /* the buckets, and the sum in microseconds */

/* Why a connection has failed: few words, whatever a peer does. */
typedef enum tlsl_reason {
    TLSL_FAILED_ABANDONED = 0, /* freed in its handshake */
    TLSL_FAILED_TRUNCATED,
    TLSL_FAILED_REFUSED,
    TLSL_FAILED_NO_TLS,
    TLSL_FAILED_NO_COMMON,
    TLSL_FAILED_TLS,
    TLSL_FAILED_ALERT,
    TLSL_FAILED_VERIFY,
    TLSL_FAILED_SYSTEM,
    TLSL_FAILED_MEMORY,
    TLSL_FAILED_OTHER,
    TLSL_REASONS
} tlsl_reason;

/* How a store has answered. */
typedef enum tlsl_answered {
    TLSL_ANSWERED_MISS = 0,
    TLSL_ANSWERED_HIT,
    TLSL_ANSWERED_FAILED,
    TLSL_ANSWERS
} tlsl_answered;

/* What caches count, as tlslife_cache_stats has it. */
typedef enum tlsl_cached {
    TLSL_CACHED_ENTRIES = 0, /* these two are no counters, and go with their process */
    TLSL_CACHED_BYTES,
    TLSL_CACHED_PUTS,
    TLSL_CACHED_HITS,
    TLSL_CACHED_MISSES,
    TLSL_CACHED_STORE_HITS,
    TLSL_CACHED_EXPIRED,
    TLSL_CACHED_EVICTED,
    TLSL_CACHED_BAD,
    TLSL_CACHED_TOO_BIG,
    TLSL_CACHED_STORE_ERRORS,
    TLSL_CACHED_NOT_OPENED,
    TLSL_CACHED
} tlsl_cached;

enum {
    TLSL_ENDED = 0, /* by side; read before TLSL_BEGUN, so that there are not more of them */
    TLSL_BEGUN = TLSL_ENDED + TLSL_SIDES,
    TLSL_HANDSHAKES = TLSL_BEGUN + TLSL_SIDES, /* by side, version and outcome */
    TLSL_FAILURES = TLSL_HANDSHAKES + TLSL_SIDES * TLSL_VERSIONS * TLSL_OUTCOMES,
    TLSL_ALERTS = TLSL_FAILURES + TLSL_SIDES * TLSL_PHASES * TLSL_REASONS,
    TLSL_CLOSED = TLSL_ALERTS + TLSL_SIDES * 2 * TLSL_ALERT_NAMES, /* by side and mask */
    TLSL_COUNTED = TLSL_CLOSED + TLSL_SIDES * TLSL_CLOSES, /* by tlslife_metrics_event */
    TLSL_HANDSHAKE_TIME = TLSL_COUNTED + TLSLIFE_METRICS_WORKER_ENDED + 1, /* side, resumed */
    TLSL_SHUTDOWN_TIME = TLSL_HANDSHAKE_TIME + TLSL_SIDES * 2 * TLSL_HISTOGRAM, /* side */
    TLSL_LOOKUP_TIME = TLSL_SHUTDOWN_TIME + TLSL_SIDES * TLSL_HISTOGRAM,        /* answer */
    TLSL_CACHE = TLSL_LOOKUP_TIME + TLSL_ANSWERS * TLSL_HISTOGRAM,
    TLSL_NUMBERS = TLSL_CACHE + TLSL_CACHED
};

/* Adds one to a number. Any thread and any callback may call it: it is one instruction. */
void tlsl_count_one(unsigned at);
/* Microseconds of a clock that never jumps. */
uint64_t tlsl_count_now(void);
/* Adds a time to the histogram that begins at `at`. */
void tlsl_count_time(unsigned at, uint64_t took_us);
/* The upper bound of a bucket, in microseconds; 0 for the last, which has none. */
uint32_t tlsl_count_bound(unsigned bucket);

/* Sets what the caches of this process have counted to these values. */
void tlsl_counters_set_cache(const uint64_t values[TLSL_CACHED]);
/* Sums the numbers of all processes that share their counters. */
void tlsl_counters_read(uint64_t out[TLSL_NUMBERS]);

#endif
