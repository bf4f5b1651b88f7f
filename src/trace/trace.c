/*
 * trace.c: a trace, which is a queue of events whose memory is bounded.
 *
 * Callbacks and calls of any thread add events, and the program takes them whenever it wants. When
 * there is no room for another event the oldest ones are dropped, and the next event that is taken
 * says how many. So when a program fails, the trace holds what came just before its failure.
 *
 * An attacker would fill the trace, to hide what he did before or to have the program's memory. The
 * memory is bounded, with all that malloc needs for an event, and nothing is lost without being
 * counted. He would also have secrets in a file that others read. A trace has none unless it was
 * made for them, and then they are wiped when the event is freed.
 */
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "trace/trace.h"
#include "tlslife.h"

#define BYTES_MIN ((size_t)4 * 1024)
#define BYTES_MAX ((size_t)1024 * 1024 * 1024)
#define MALLOC_OWN 16 /* bytes that malloc needs for a block, roughly */
#define NANO 1000000000u

typedef struct entry {
    struct entry *next;
    size_t size; /* in the trace's bytes */
    tlslife_trace_event event;
    unsigned char data[];
} entry;

struct tlslife_trace {
    atomic_uint refs;
    bool secrets;
    uint64_t start_ns; /* of the monotonic clock */
    int64_t epoch_ns;  /* the same moment, since 1970 */
    atomic_uint_fast64_t numbers;
    pthread_mutex_t lock;
    entry *first, *last;
    size_t bytes, bytes_max;
    uint64_t lost;        /* since the trace was made */
    uint64_t lost_untold; /* that no event has told of */
};

static uint64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * NANO + (uint64_t)now.tv_nsec;
}

uint64_t tlsl_trace_now(const tlslife_trace *trace) {
    return clock_ns(CLOCK_MONOTONIC) - trace->start_ns;
}

bool tlsl_trace_secrets(const tlslife_trace *trace) {
    return trace->secrets;
}

uint64_t tlsl_trace_number(tlslife_trace *trace) {
    return atomic_fetch_add_explicit(&trace->numbers, 1, memory_order_relaxed) + 1;
}

/* FNV-1a: lua/tlslife/trace/hello.lua has it, too. */
uint64_t tlsl_trace_tag(const unsigned char *bytes, size_t len) {
    uint64_t tag = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++) {
        tag = (tag ^ bytes[i]) * 0x100000001b3u;
    }
    return len == 0 ? 0 : tag;
}

/* ----------------------------------------------------------------------------------------- life */

tlslife_trace *tlslife_trace_new(size_t bytes_max, bool secrets, tlslife_error *err) {
    if (bytes_max < BYTES_MIN || bytes_max > BYTES_MAX) {
        tlsl_fail(err, TLSLIFE_ERR_USAGE, "a trace has 4096 bytes to 1 GiB, not %zu", bytes_max);
        return NULL;
    }
    tlslife_trace *trace = calloc(1, sizeof *trace);
    if (trace == NULL || pthread_mutex_init(&trace->lock, NULL) != 0) {
        free(trace);
        tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for a trace");
        return NULL;
    }
    atomic_init(&trace->refs, 1);
    trace->secrets = secrets;
    trace->bytes_max = bytes_max;
    trace->start_ns = clock_ns(CLOCK_MONOTONIC);
    trace->epoch_ns = (int64_t)clock_ns(CLOCK_REALTIME);
    return trace;
}

tlslife_trace *tlslife_trace_up_ref(tlslife_trace *trace) {
    atomic_fetch_add_explicit(&trace->refs, 1, memory_order_relaxed);
    return trace;
}

static void free_entry(entry *one) {
    OPENSSL_cleanse(one->data, one->event.data_len);
    free(one);
}

void tlslife_trace_free(tlslife_trace *trace) {
    if (trace == NULL || atomic_fetch_sub_explicit(&trace->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    while (trace->first != NULL) {
        entry *one = trace->first;
        trace->first = one->next;
        free_entry(one);
    }
    pthread_mutex_destroy(&trace->lock);
    free(trace);
}

int64_t tlslife_trace_epoch_ns(const tlslife_trace *trace) {
    return trace->epoch_ns;
}

/* --------------------------------------------------------------------------------------- events */

static entry *copy_event(const tlslife_trace *trace, const tlslife_trace_event *event) {
    size_t size = sizeof(entry) + event->data_len + MALLOC_OWN;
    entry *one = size > trace->bytes_max ? NULL : malloc(sizeof *one + event->data_len);
    if (one == NULL) {
        return NULL;
    }
    *one = (entry){.size = size, .event = *event};
    one->event.data = one->data;
    if (event->data_len > 0) {
        memcpy(one->data, event->data, event->data_len);
    }
    return one;
}

/* Under the lock: takes the oldest events out, until another of that size fits. */
static entry *make_room(tlslife_trace *trace, size_t size) {
    entry *gone = NULL;
    while (trace->bytes + size > trace->bytes_max) {
        entry *one = trace->first;
        trace->first = one->next;
        trace->bytes -= one->size;
        trace->lost++;
        trace->lost_untold++;
        one->next = gone;
        gone = one;
    }
    return gone;
}

/* Under the lock. The time is taken here, so that events are in its order. */
static entry *append(tlslife_trace *trace, entry *one) {
    entry *gone = make_room(trace, one->size);
    one->event.at_ns = tlsl_trace_now(trace);
    if (trace->first == NULL) {
        trace->first = one;
    } else {
        trace->last->next = one;
    }
    trace->last = one;
    trace->bytes += one->size;
    return gone;
}

void tlsl_trace_add(tlslife_trace *trace, const tlslife_trace_event *event) {
    entry *one = copy_event(trace, event), *gone = NULL;
    pthread_mutex_lock(&trace->lock);
    if (one == NULL) {
        trace->lost++;
        trace->lost_untold++;
    } else {
        gone = append(trace, one);
    }
    pthread_mutex_unlock(&trace->lock);
    while (gone != NULL) {
        entry *next = gone->next;
        free_entry(gone);
        gone = next;
    }
}

tlslife_trace_event *tlslife_trace_next(tlslife_trace *trace) {
    pthread_mutex_lock(&trace->lock);
    entry *one = trace->first;
    if (one != NULL) {
        trace->first = one->next;
        trace->bytes -= one->size;
        one->event.lost = trace->lost_untold;
        trace->lost_untold = 0;
    }
    pthread_mutex_unlock(&trace->lock);
    return one == NULL ? NULL : &one->event;
}

void tlslife_trace_event_free(tlslife_trace_event *event) {
    if (event != NULL) {
        free_entry((entry *)(void *)((char *)event - offsetof(entry, event)));
    }
}

uint64_t tlslife_trace_lost(tlslife_trace *trace) {
    pthread_mutex_lock(&trace->lock);
    uint64_t lost = trace->lost;
    pthread_mutex_unlock(&trace->lock);
    return lost;
}

const char *tlslife_trace_kind_name(tlslife_trace_kind kind) {
    static const char *const names[] = {"life",    "call",   "wait",  "state",
                                        "message", "record", "alert", "handshake",
                                        "session", "bytes",  "keylog"};
    return kind <= TLSLIFE_TRACE_KEYLOG ? names[kind] : NULL;
}
