/*
 * metrics.c: reports what was counted: tlslife_metrics_text, with the names of all metrics.
 *
 * docs/metrics.md has the same names. A series that says how often something went wrong is there
 * from the start, as 0, because a monitoring system sees no growth in one that begins with 1.
 * Alerts and versions before TLS 1.2 are many, and rare: they appear when they are not 0.
 *
 * An attacker would have the page grow. The number of lines is bounded: nothing that a peer has
 * sent is in any of them, and of a context's server names some are reported, and the rest as one.
 */
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "cache/census.h"
#include "metrics/counters.h"
#include "metrics/exposition.h"
#include "tls/context/context.h"
#include "tlslife.h"

#define SECONDS_PER_DAY 86400
#define NAMES_MAX 100 /* server names that are reported one by one */

static const char *const sides[TLSL_SIDES] = {"client", "server"};

static const tlsl_label no_labels[] = {{NULL, NULL}};

static void simple(tlsl_exposition *to, tlsl_metric_kind kind, const char *name, uint64_t value,
                   const char *help) {
    tlsl_exposition_family(to, kind, name, help);
    tlsl_exposition_sample(to, no_labels, (int64_t)value);
}

/* --------------------------------------------------------------------------------- connections */

static void write_build(tlsl_exposition *to) {
    const tlsl_label labels[] = {
        {"version", TLSLIFE_VERSION}, {"openssl", tlslife_openssl_version()}, {NULL, NULL}};
    tlsl_exposition_family(to, TLSL_GAUGE, "tlslife_build_info", "The versions that run, as 1.");
    tlsl_exposition_sample(to, labels, 1);
}

static void write_connections(tlsl_exposition *to, const uint64_t *all) {
    tlsl_exposition_family(to, TLSL_GAUGE, "tlslife_connections_open",
                           "Connections whose handshake has begun, and that were not freed.");
    for (unsigned side = 0; side < TLSL_SIDES; side++) {
        const tlsl_label labels[] = {{"side", sides[side]}, {NULL, NULL}};
        uint64_t ended = all[TLSL_ENDED + side], begun = all[TLSL_BEGUN + side];
        tlsl_exposition_sample(to, labels, ended < begun ? (int64_t)(begun - ended) : 0);
    }
    tlsl_exposition_family(to, TLSL_COUNTER, "tlslife_connections",
                           "Connections whose handshake has begun.");
    for (unsigned side = 0; side < TLSL_SIDES; side++) {
        const tlsl_label labels[] = {{"side", sides[side]}, {NULL, NULL}};
        tlsl_exposition_sample(to, labels, (int64_t)all[TLSL_BEGUN + side]);
    }
}

static void write_handshakes(tlsl_exposition *to, const uint64_t *all) {
    static const char *const versions[TLSL_VERSIONS] = {"other", "TLSv1", "TLSv1.1", "TLSv1.2",
                                                        "TLSv1.3"};
    tlsl_exposition_family(to, TLSL_COUNTER, "tlslife_handshakes",
                           "First handshakes that are done, by whether a session was resumed, or "
                           "why not.");
    for (unsigned i = 0; i < TLSL_SIDES * TLSL_VERSIONS * TLSL_OUTCOMES; i++) {
        unsigned outcome = i % TLSL_OUTCOMES, version = i / TLSL_OUTCOMES % TLSL_VERSIONS;
        const char *why = tlslife_outcome_name((tlslife_outcome)outcome);
        const tlsl_label labels[] = {{"side", sides[i / TLSL_OUTCOMES / TLSL_VERSIONS]},
                                     {"version", versions[version]},
                                     {"resumption", why == NULL ? "unknown" : why},
                                     {NULL, NULL}};
        bool modern = version >= 3 && outcome != TLSLIFE_OUTCOME_NONE;
        if (modern || all[TLSL_HANDSHAKES + i] > 0) {
            tlsl_exposition_sample(to, labels, (int64_t)all[TLSL_HANDSHAKES + i]);
        }
    }
}

static void write_failures(tlsl_exposition *to, const uint64_t *all) {
    static const char *const phases[TLSL_PHASES] = {"handshake", "open"};
    static const char *const reasons[TLSL_REASONS] = {"abandoned", "truncated", "refused", "no_tls",
                                                      "no_common", "tls",       "alert",   "verify",
                                                      "system",    "memory",    "other"};
    tlsl_exposition_family(to, TLSL_COUNTER, "tlslife_failures",
                           "Connections that have failed, in the handshake or after it.");
    for (unsigned i = 0; i < TLSL_SIDES * TLSL_PHASES * TLSL_REASONS; i++) {
        const tlsl_label labels[] = {{"side", sides[i / TLSL_REASONS / TLSL_PHASES]},
                                     {"phase", phases[i / TLSL_REASONS % TLSL_PHASES]},
                                     {"reason", reasons[i % TLSL_REASONS]},
                                     {NULL, NULL}};
        tlsl_exposition_sample(to, labels, (int64_t)all[TLSL_FAILURES + i]);
    }
}

static void write_alerts(tlsl_exposition *to, const uint64_t *all) {
    static const char *const directions[] = {"received", "sent"};
    tlsl_exposition_family(to, TLSL_COUNTER, "tlslife_alerts",
                           "Alerts, with close_notify among them.");
    for (unsigned i = 0; i < TLSL_SIDES * 2 * TLSL_ALERT_NAMES; i++) {
        const char *name = tlsl_alert_at(i % TLSL_ALERT_NAMES);
        const tlsl_label labels[] = {{"side", sides[i / TLSL_ALERT_NAMES / 2]},
                                     {"direction", directions[i / TLSL_ALERT_NAMES % 2]},
                                     {"alert", name},
                                     {NULL, NULL}};
        if (name != NULL && all[TLSL_ALERTS + i] > 0) {
            tlsl_exposition_sample(to, labels, (int64_t)all[TLSL_ALERTS + i]);
        }
    }
}

static void write_ends(tlsl_exposition *to, const uint64_t *all) {
    static const char *const masks[TLSL_CLOSES] = {"none", "sent", "received", "both"};
    tlsl_exposition_family(to, TLSL_COUNTER, "tlslife_ends",
                           "Connections that were freed after their handshake, by which "
                           "close_notify had passed.");
    for (unsigned i = 0; i < TLSL_SIDES * TLSL_CLOSES; i++) {
        const tlsl_label labels[] = {{"side", sides[i / TLSL_CLOSES]},
                                     {"close_notify", masks[i % TLSL_CLOSES]},
                                     {NULL, NULL}};
        tlsl_exposition_sample(to, labels, (int64_t)all[TLSL_CLOSED + i]);
    }
}

static void write_times(tlsl_exposition *to, const uint64_t *all) {
    static const char *const kinds[] = {"full", "resumed"};
    static const char *const answers[TLSL_ANSWERS] = {"miss", "hit", "failed"};
    tlsl_exposition_family(to, TLSL_TIMES, "tlslife_handshake_seconds",
                           "From the first call of a handshake to its end.");
    for (unsigned i = 0; i < TLSL_SIDES * 2; i++) {
        const tlsl_label labels[] = {{"side", sides[i / 2]}, {"kind", kinds[i % 2]}, {NULL, NULL}};
        tlsl_exposition_times(to, labels, &all[TLSL_HANDSHAKE_TIME + i * TLSL_HISTOGRAM]);
    }
    tlsl_exposition_family(to, TLSL_TIMES, "tlslife_lookup_seconds",
                           "From the question to an external store to its answer.");
    for (unsigned i = 0; i < TLSL_ANSWERS; i++) {
        const tlsl_label labels[] = {{"answer", answers[i]}, {NULL, NULL}};
        tlsl_exposition_times(to, labels, &all[TLSL_LOOKUP_TIME + i * TLSL_HISTOGRAM]);
    }
    tlsl_exposition_family(to, TLSL_TIMES, "tlslife_shutdown_seconds",
                           "From the first close_notify of a connection to the second.");
    for (unsigned i = 0; i < TLSL_SIDES; i++) {
        const tlsl_label labels[] = {{"side", sides[i]}, {NULL, NULL}};
        tlsl_exposition_times(to, labels, &all[TLSL_SHUTDOWN_TIME + i * TLSL_HISTOGRAM]);
    }
}

/* --------------------------------------------------------------------------- caches and servers */

static void write_caches(tlsl_exposition *to, const uint64_t *all) {
    static const struct {
        const char *name, *help;
    } rows[TLSL_CACHED] = {
        {"tlslife_cache_entries", "Sessions in the memory of caches."},
        {"tlslife_cache_size_bytes", "Their size, of caches that count it."},
        {"tlslife_cache_puts", "Sessions that were put."},
        {"tlslife_cache_hits", "Lookups that found a session, in memory or in a store."},
        {"tlslife_cache_misses", "Lookups that found none."},
        {"tlslife_cache_store_hits", "Lookups that found a session in an external store."},
        {"tlslife_cache_expired", "Sessions that were too old."},
        {"tlslife_cache_evicted", "Sessions that had to make room for others."},
        {"tlslife_cache_bad", "Sessions whose connection failed, or was not closed."},
        {"tlslife_cache_too_big", "Sessions that were too big to be kept."},
        {"tlslife_cache_store_errors",
         "An external store failed, was late, or gave what is no session."},
        {"tlslife_cache_not_opened", "Sealed bytes that did not open."},
    };
    for (unsigned i = 0; i < TLSL_CACHED; i++) {
        simple(to, i <= TLSL_CACHED_BYTES ? TLSL_GAUGE : TLSL_COUNTER, rows[i].name,
               all[TLSL_CACHE + i], rows[i].help);
    }
}

static void write_server(tlsl_exposition *to, const uint64_t *all) {
    simple(to, TLSL_COUNTER, "tlslife_handlers_failed",
           all[TLSL_COUNTED + TLSLIFE_METRICS_HANDLER_FAILED],
           "Connections whose handler has failed.");
    simple(to, TLSL_COUNTER, "tlslife_workers_ended",
           all[TLSL_COUNTED + TLSLIFE_METRICS_WORKER_ENDED],
           "Workers that ended without an order, and were replaced.");
}

/* --------------------------------------------------------------------------------- certificates */

/* Sets *out to the seconds until the certificate expires. false: its time cannot be read. */
static bool seconds_left(const tlsl_credential *credential, int64_t *out) {
    int days = 0, seconds = 0;
    if (credential->leaf == NULL ||
        ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(credential->leaf)) != 1) {
        return false;
    }
    *out = (int64_t)days * SECONDS_PER_DAY + seconds;
    return true;
}

static bool is_frozen(const tlslife_context *context) {
    return atomic_load_explicit(&context->frozen, memory_order_acquire) && !context->foreign;
}

static void write_credentials(tlsl_exposition *to, const tlslife_context *context,
                              const char *server_name) {
    for (size_t i = 0; is_frozen(context) && i < context->credentials_len; i++) {
        const tlsl_credential *credential = &context->credentials[i];
        const char *type =
            credential->key == NULL ? NULL : EVP_PKEY_get0_type_name(credential->key);
        const tlsl_label labels[] = {
            {"server_name", server_name}, {"key", type == NULL ? "other" : type}, {NULL, NULL}};
        int64_t left = 0;
        if (seconds_left(credential, &left)) {
            tlsl_exposition_sample(to, labels, left);
        }
    }
}

/* If a name was added twice, the target that was added last counts, which is first in the list. */
static bool is_first(const tlslife_context *context, const tlsl_server_name *name) {
    const tlsl_server_name *other = context->server_names;
    while (strcmp(other->pattern, name->pattern) != 0) {
        other = other->next;
    }
    return other == name;
}

/* Writes one sample for the names that are not listed: the certificate that expires first. */
static void write_others(tlsl_exposition *to, const tlsl_server_name *name) {
    static const tlsl_label labels[] = {{"server_name", "others"}, {"key", "any"}, {NULL, NULL}};
    bool any = false;
    int64_t least = 0, left = 0;
    for (; name != NULL; name = name->next) {
        for (size_t i = 0; is_frozen(name->target) && i < name->target->credentials_len; i++) {
            if (seconds_left(&name->target->credentials[i], &left)) {
                least = any && least < left ? least : left;
                any = true;
            }
        }
    }
    if (any) {
        tlsl_exposition_sample(to, labels, least);
    }
}

static void write_certificates(tlsl_exposition *to, const tlslife_context *context) {
    if (context == NULL || !is_frozen(context)) {
        return;
    }
    tlsl_exposition_family(to, TLSL_GAUGE, "tlslife_certificate_left_seconds",
                           "Time until our certificate expires; less than 0: since when it has.");
    write_credentials(to, context, "");
    const tlsl_server_name *name = context->server_names;
    for (unsigned i = 0; i < NAMES_MAX && name != NULL; i++, name = name->next) {
        if (is_first(context, name)) {
            write_credentials(to, name->target, name->pattern);
        }
    }
    write_others(to, name);
}

/* ------------------------------------------------------------------------------------- the text */

void tlslife_metrics_publish(void) {
    tlslife_cache_stats stats;
    tlsl_census_sum(&stats);
    const uint64_t values[TLSL_CACHED] = {
        [TLSL_CACHED_ENTRIES] = stats.entries,
        [TLSL_CACHED_BYTES] = stats.bytes,
        [TLSL_CACHED_PUTS] = stats.puts,
        [TLSL_CACHED_HITS] = stats.hits,
        [TLSL_CACHED_MISSES] = stats.misses,
        [TLSL_CACHED_STORE_HITS] = stats.store_hits,
        [TLSL_CACHED_EXPIRED] = stats.expired,
        [TLSL_CACHED_EVICTED] = stats.evicted,
        [TLSL_CACHED_BAD] = stats.bad,
        [TLSL_CACHED_TOO_BIG] = stats.too_big,
        [TLSL_CACHED_STORE_ERRORS] = stats.store_errors,
        [TLSL_CACHED_NOT_OPENED] = stats.not_opened,
    };
    tlsl_counters_set_cache(values);
}

char *tlslife_metrics_text(tlslife_metrics_format format, const tlslife_context *context) {
    uint64_t all[TLSL_NUMBERS];
    tlsl_exposition to = {.format = format};
    tlslife_metrics_publish();
    tlsl_counters_read(all);
    write_build(&to);
    write_connections(&to, all);
    write_handshakes(&to, all);
    write_failures(&to, all);
    write_alerts(&to, all);
    write_ends(&to, all);
    write_times(&to, all);
    write_caches(&to, all);
    write_server(&to, all);
    write_certificates(&to, context);
    return tlsl_exposition_end(&to);
}
