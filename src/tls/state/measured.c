/*
 * measured.c: counts what a connection does: its handshake, alerts, failure and end.
 *
 * A connection counts from the first call of its handshake, so that one that was made and never
 * used is none. Of its handshakes the first one counts: renegotiations are no new connections.
 *
 * Every file may count something. So this one calls no other file of tls/.
 *
 * An attacker would make names of his own choosing appear in a monitoring system, until that has no
 * memory left. So reasons are those of an enum, and an alert or a version that has no name is
 * counted with all others of its kind.
 */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/sslerr.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "metrics/counters.h"
#include "tls/state/conn.h"
#include "tls/state/measured.h"
#include "tlslife.h"

#define UNIT_US 16u /* of the times in a connection */
#define BOTH (TLSLIFE_SENT_SHUTDOWN | TLSLIFE_RECEIVED_SHUTDOWN)

static unsigned side_of(const tlslife_conn *conn) {
    return SSL_is_server(conn->ssl) ? 1 : 0;
}

/* The time in units of UNIT_US, in 32 bits to keep a connection small. */
static uint32_t clock_now(void) {
    return (uint32_t)(tlsl_count_now() / UNIT_US);
}

static void count_since(const tlslife_conn *conn, unsigned at) {
    tlsl_count_time(at, (uint64_t)(clock_now() - conn->measured.since) * UNIT_US);
}

void tlsl_measured_begin(tlslife_conn *conn) {
    tlsl_count_one(TLSL_BEGUN + side_of(conn));
    conn->measured.counts = true;
    conn->measured.since = clock_now();
}

/* 0: a version without a name here. */
static unsigned version_of(const tlslife_conn *conn) {
    int version = SSL_version(conn->ssl);
    return version >= TLS1_VERSION && version <= TLS1_3_VERSION
               ? (unsigned)(version - TLS1_VERSION) + 1
               : 0;
}

void tlsl_measured_shaken(tlslife_conn *conn, tlslife_outcome outcome) {
    unsigned side = side_of(conn), resumed = outcome == TLSLIFE_OUTCOME_RESUMED;
    if (!conn->measured.counts) {
        return; /* the program has made the handshake itself */
    }
    tlsl_count_one(TLSL_HANDSHAKES + (side * TLSL_VERSIONS + version_of(conn)) * TLSL_OUTCOMES +
                   (unsigned)outcome);
    count_since(conn, TLSL_HANDSHAKE_TIME + (side * 2 + resumed) * TLSL_HISTOGRAM);
}

static void count_alert(const tlslife_conn *conn, bool sent, int alert) {
    tlsl_count_one(TLSL_ALERTS + (side_of(conn) * 2 + sent) * TLSL_ALERT_NAMES +
                   (unsigned)tlsl_alert_place(alert));
}

/* Whether the connection writes to a null BIO, as during a call that must not reach the peer. */
static bool goes_nowhere(const tlslife_conn *conn) {
    const BIO *out = SSL_get_wbio(conn->ssl);
    return out != NULL && BIO_method_type(out) == BIO_TYPE_NULL;
}

void tlsl_measured_alert(const tlslife_conn *conn, bool sent, int alert) {
    if (!(sent && goes_nowhere(conn))) {
        count_alert(conn, sent, alert);
    }
}

void tlsl_measured_closed(tlslife_conn *conn, unsigned which) {
    unsigned before = conn->closing.passed;
    if (before & which) {
        return;
    }
    conn->closing.passed = (uint8_t)(before | which);
    count_alert(conn, which == TLSLIFE_SENT_SHUTDOWN, SSL_AD_CLOSE_NOTIFY);
    if (before == 0) {
        conn->measured.since = clock_now();
    } else {
        count_since(conn, TLSL_SHUTDOWN_TIME + side_of(conn) * TLSL_HISTOGRAM);
    }
}

/* ------------------------------------------------------------------------------------- failures */

/*
 * Whether the handshake failed because the two sides have no version, cipher or the like in common.
 */
static bool nothing_in_common(int reason) {
    static const int reasons[] = {SSL_R_NO_SHARED_CIPHER,
                                  SSL_R_UNSUPPORTED_PROTOCOL,
                                  SSL_R_VERSION_TOO_LOW,
                                  SSL_R_NO_SUITABLE_KEY_SHARE,
                                  SSL_R_NO_SUITABLE_GROUPS,
                                  SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM,
                                  SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS,
                                  SSL_R_NO_APPLICATION_PROTOCOL,
                                  SSL_R_NO_PROTOCOLS_AVAILABLE,
                                  SSL_R_INAPPROPRIATE_FALLBACK};
    size_t i = 0, len = sizeof reasons / sizeof reasons[0];
    while (i < len && reasons[i] != reason) {
        i++;
    }
    return i < len;
}

static tlsl_reason reason_of_tls(const tlslife_conn *conn, const tlslife_error *err) {
    if (conn->asked.hello == TLSL_REFUSED || conn->asked.certificate == TLSL_REFUSED) {
        return TLSL_FAILED_REFUSED;
    }
    if (conn->found.no_tls) {
        return TLSL_FAILED_NO_TLS;
    }
    return ERR_GET_LIB(err->code) == ERR_LIB_SSL && nothing_in_common(ERR_GET_REASON(err->code))
               ? TLSL_FAILED_NO_COMMON
               : TLSL_FAILED_TLS;
}

static tlsl_reason reason_of(const tlslife_conn *conn) {
    const tlslife_error *err = conn->failure.final;
    if (conn->final_status == TLSLIFE_TRUNCATED) {
        return TLSL_FAILED_TRUNCATED;
    }
    switch (err == NULL ? TLSLIFE_ERR_MEMORY : err->kind) {
    case TLSLIFE_ERR_TLS: return reason_of_tls(conn, err);
    case TLSLIFE_ERR_ALERT: return TLSL_FAILED_ALERT;
    case TLSLIFE_ERR_VERIFY: return TLSL_FAILED_VERIFY;
    case TLSLIFE_ERR_SYSTEM: return TLSL_FAILED_SYSTEM;
    case TLSLIFE_ERR_MEMORY: return TLSL_FAILED_MEMORY;
    default: return TLSL_FAILED_OTHER;
    }
}

static void count_failure(tlslife_conn *conn, tlsl_reason reason) {
    unsigned phase = conn->shaken;
    if (conn->measured.counts && !conn->measured.failed) {
        conn->measured.failed = true;
        tlsl_count_one(TLSL_FAILURES + (side_of(conn) * TLSL_PHASES + phase) * TLSL_REASONS +
                       (unsigned)reason);
    }
}

void tlsl_measured_failed(tlslife_conn *conn) {
    count_failure(conn, reason_of(conn));
}

void tlsl_measured_end(tlslife_conn *conn) {
    if (!conn->measured.counts) {
        return;
    }
    if (conn->shaken) {
        tlsl_count_one(TLSL_CLOSED + side_of(conn) * TLSL_CLOSES + (conn->closing.passed & BOTH));
    } else {
        count_failure(conn, TLSL_FAILED_ABANDONED);
    }
    tlsl_count_one(TLSL_ENDED + side_of(conn));
    conn->measured = (tlsl_measured){.counts = false};
}
