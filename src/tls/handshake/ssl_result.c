/*
 * ssl_result.c: turns the result of an SSL_ call into a status and an error, for every call of a
 * connection.
 *
 * libssl reports a failure in four places: the return value, SSL_get_error, the thread's error
 * queue and errno. Each is out of date, or is about another connection, unless it is read at once.
 * So the error queue is cleared before each SSL_ call, and all four are read here right after the
 * call. A fatal failure is final. libssl says less about it in later calls, so the first answer is
 * kept and given again.
 *
 * An attacker who can cut the stream wants a truncated message to look complete. So close_notify
 * (CLOSED) and an end of stream without it (TRUNCATED) are different statuses.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "cache/cache.h"
#include "tls/context/context.h"
#include "tls/handshake/hint.h"
#include "tls/handshake/hold.h"
#include "tls/handshake/psk_question.h"
#include "tls/handshake/question.h"
#include "tls/handshake/ssl_result.h"
#include "tls/session/lookup.h"
#include "tls/session/permit.h"
#include "tls/settings/keylog.h"
#include "tls/state/conn.h"
#include "tls/state/descriptor.h"
#include "tls/state/failure.h"
#include "tls/state/outer.h"
#include "tlslife.h"
#include "values/certificate.h"

/* ---------------------------------------------------------------------------------------- facts */

static void write_keylog(tlslife_conn *conn) {
    while (conn->keylog != NULL && !conn->context->keylog_keep) {
        char *text = tlslife_conn_take_keylog(conn);
        if (text != NULL && conn->context->keylog_fd >= 0) {
            tlsl_keylog_write(conn->context, text);
        }
        tlslife_string_free(text);
    }
}

static void tell_store(tlslife_conn *conn) {
    const tlslife_cache *cache = conn->origin->cache;
    if (cache == NULL || tlsl_cache_store(cache) == NULL) {
        return;
    }
    for (size_t i = 0; i < conn->resume.arrived_len; i++) {
        tlsl_cache_store_session(conn, conn->resume.arrived[i]);
        SSL_SESSION_free(conn->resume.arrived[i]);
    }
    conn->resume.arrived_len = 0;
}

static void put_mask_back(tlslife_conn *conn) {
    if (conn->closing.kept != 0) {
        SSL_set_shutdown(conn->ssl, SSL_get_shutdown(conn->ssl) | conn->closing.kept);
        conn->closing.kept = 0;
    }
}

/* This runs after the SSL_ call, because a callback does no I/O and must not take long. */
void tlsl_conn_take_facts(tlslife_conn *conn) {
    conn->facts = false;
    put_mask_back(conn);
    write_keylog(conn);
    tell_store(conn);
    tlsl_permits_tell(conn);
}

/* -------------------------------------------------------------------------------------- failure */

static void append(tlslife_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void append(tlslife_error *err, const char *format, ...) {
    size_t len = strlen(err->message);
    va_list args;
    va_start(args, format);
    vsnprintf(err->message + len, sizeof err->message - len, format, args);
    va_end(args);
}

static void explain_verify(const tlslife_conn *conn, tlslife_error *err) {
    bool judged = conn->found.verify_result != X509_V_ERR_OUT_OF_MEM;
    err->kind = judged ? TLSLIFE_ERR_VERIFY : TLSLIFE_ERR_MEMORY;
    err->verify_result = conn->found.verify_result;
    err->verify_depth = conn->found.verify_depth;
    snprintf(err->verify_subject, sizeof err->verify_subject, "%s",
             conn->found.verify_subject == NULL ? "" : conn->found.verify_subject);
    if (conn->found.verify_depth < 0) {
        append(err, ": the program refused the peer's certificate");
    } else {
        append(err, ": %s (certificate %d of the chain: %s)",
               tlslife_verify_result_text(conn->found.verify_result), conn->found.verify_depth,
               err->verify_subject);
    }
}

static void explain_staple(const tlslife_conn *conn, tlslife_error *err) {
    const X509 *leaf = SSL_get0_peer_certificate(conn->ssl);
    err->kind = TLSLIFE_ERR_VERIFY;
    err->verify_result = conn->found.verify_result;
    err->verify_depth = 0;
    if (leaf != NULL) {
        tlsl_name_text(X509_get_subject_name(leaf), err->verify_subject,
                       sizeof err->verify_subject);
    }
    append(err, ": the server's OCSP response was not accepted: %s", conn->found.ocsp_fault);
}

/* Adds what libssl does not report about the cause: the peer's alert, or the program's answer. */
static void explain_cause(const tlslife_conn *conn, tlslife_error *err) {
    if (conn->asked.hello == TLSL_REFUSED && conn->asked.refuse_reason != NULL) {
        append(err, ": the context chosen for the ClientHello cannot serve it: %s",
               conn->asked.refuse_reason);
    } else if (conn->asked.hello == TLSL_REFUSED) {
        append(err, ": the program refused the ClientHello with the alert %s",
               tlslife_alert_name(conn->asked.refuse_alert));
    } else if (conn->asked.certificate == TLSL_REFUSED) {
        append(err, ": the program refused to present a certificate");
    } else if (conn->found.alert >= 0 && conn->found.alert_received) {
        err->kind = TLSLIFE_ERR_ALERT;
        append(err, ": the peer sent the alert %s", tlslife_alert_name(conn->found.alert));
    }
}

static void explain(tlslife_conn *conn, int system_errno, const char *verb) {
    tlslife_error *err = tlsl_conn_error(conn);
    /* A server's peers have no name. */
    const char *with = conn->set.hostname == NULL ? "" : " with ";
    const char *peer = conn->set.hostname == NULL ? "" : conn->set.hostname;
    unsigned long code = ERR_peek_error();
    /* Newer versions of libssl put errno into the error queue, too. */
    bool said = code != 0, by_system = ERR_SYSTEM_ERROR(code);
    if (!said && system_errno != 0) {
        tlsl_fail_system(err, system_errno, "%s%s%s failed", verb, with, peer);
    } else {
        tlsl_fail_openssl(err, by_system ? TLSLIFE_ERR_SYSTEM : TLSLIFE_ERR_TLS, "%s%s%s failed",
                          verb, with, peer);
    }
    if (err == NULL) {
        return;
    }
    if (by_system) {
        err->system_errno = ERR_GET_REASON(code);
    }
    err->alert = conn->found.alert;
    err->alert_received = conn->found.alert_received;
    if (conn->found.verify_result != X509_V_OK &&
        ERR_GET_REASON(err->code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        explain_verify(conn, err);
    } else if (conn->found.ocsp_fault != NULL && ERR_GET_LIB(err->code) == ERR_LIB_SSL &&
               ERR_GET_REASON(err->code) == SSL_R_INVALID_STATUS_RESPONSE) {
        explain_staple(conn, err);
    } else if (said) {
        char hint[200];
        explain_cause(conn, err);
        if (tlsl_hint(conn, err->code, hint, sizeof hint)) {
            append(err, ": %s", hint);
        }
    }
}

/* A write after our close_notify fails, but the peer's bytes can be read as before. */
static bool is_half_closed(unsigned long code) {
    return ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_PROTOCOL_IS_SHUTDOWN;
}

/*
 * The session of a ticket that could not be read to its end, because memory is short. It has the
 * ticket, but perhaps no id, and not its own secret, so that each server would refuse it. libssl
 * makes the session bad by its id, as it sends an alert; but not if there is no id, and not after
 * our close_notify, when it sends none.
 */
static void spoil_session(const tlslife_conn *conn) {
    SSL_SESSION *session = SSL_get0_session(conn->ssl);
    unsigned id_len = 0;
    if (SSL_get_state(conn->ssl) != TLS_ST_CR_SESSION_TICKET ||
        strcmp(SSL_state_string(conn->ssl), "SSLERR") != 0 || session == NULL ||
        session == conn->resume.offered_session || !SSL_SESSION_is_resumable(session)) {
        return;
    }
    (void)SSL_SESSION_get_id(session, &id_len);
    if (id_len > 0 || SSL_SESSION_set1_id(session, (const unsigned char *)"", 1) == 1) {
        SSL_CTX_remove_session(conn->origin->ctx, session);
    }
}

static tlslife_status conclude(tlslife_conn *conn, int system_errno, const char *verb) {
    unsigned long code = ERR_peek_error();
    bool ended = code == 0 ? system_errno == 0
                           : ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING &&
                                 ERR_GET_LIB(code) == ERR_LIB_SSL;
    /* Whatever errno an earlier call has left. */
    if (code == 0 && SSL_in_init(conn->ssl) && SSL_get_state(conn->ssl) != TLS_ST_BEFORE &&
        !SSL_want_write(conn->ssl) && SSL_pending(conn->ssl) > 0) {
        /* libssl cannot go on in a renegotiation before the data that came meanwhile are read. */
        return tlsl_conn_fail(conn, TLSLIFE_ERR_TLS,
                              "%s in a renegotiation met data of the peer: read them first", verb);
    }
    bool by_transport = code == 0 || ended || ERR_SYSTEM_ERROR(code);
    if (by_transport && tlsl_outer_status(conn) != TLSLIFE_OK) {
        ERR_clear_error();
        tlsl_outer_explain(conn, verb);
    } else {
        explain(conn, system_errno, verb);
    }
    if (is_half_closed(code)) {
        return TLSLIFE_ERROR;
    }
    spoil_session(conn);
    return tlsl_conn_end(conn, ended ? TLSLIFE_TRUNCATED : TLSLIFE_ERROR);
}

/* A question of the connection that carries this one is no want, and ends nothing. */
static tlslife_status want_read(tlslife_conn *conn, const char *verb) {
    if (tlsl_outer_status(conn) == TLSLIFE_OK) {
        return TLSLIFE_WANT_READ;
    }
    tlsl_outer_explain(conn, verb);
    return TLSLIFE_ERROR;
}

/* The transport has no bytes, or what it has is kept from libssl (hold.c). */
static tlslife_status held_or_empty(tlslife_conn *conn, const char *verb) {
    tlslife_status status = tlsl_psk_held(conn)         ? tlsl_psk_ask(conn)
                            : tlsl_handshake_held(conn) ? tlsl_handshake_question(conn)
                                                        : TLSLIFE_WANT_READ;
    return status == TLSLIFE_WANT_READ ? want_read(conn, verb) : status;
}

/*
 * The peer has sent its close_notify, and then closed the transport. libssl says
 * SSL_ERROR_ZERO_RETURN there, but SSL_ERROR_SYSCALL from 3.2 on, because it puts errno into the
 * error queue.
 */
static bool left_after_close_notify(const tlslife_conn *conn) {
    int received = SSL_get_shutdown(conn->ssl) & conn->closing.passed & SSL_RECEIVED_SHUTDOWN;
    return received && ERR_SYSTEM_ERROR(ERR_peek_error());
}

static tlslife_status status_of(tlslife_conn *conn, int ret, const char *verb) {
    int system_errno = errno;
    int said = SSL_get_error(conn->ssl, ret);
    if (said == SSL_ERROR_SYSCALL && left_after_close_notify(conn)) {
        ERR_clear_error();
        said = SSL_ERROR_ZERO_RETURN;
    }
    switch (said) {
    case SSL_ERROR_WANT_READ: return held_or_empty(conn, verb);
    case SSL_ERROR_WANT_WRITE: return TLSLIFE_WANT_WRITE;
    case SSL_ERROR_WANT_CLIENT_HELLO_CB:
        return tlsl_search_waits(conn) ? TLSLIFE_WANT_SESSION : TLSLIFE_WANT_HELLO;
    case SSL_ERROR_WANT_X509_LOOKUP: return TLSLIFE_WANT_CERTIFICATE;
    case SSL_ERROR_WANT_RETRY_VERIFY: return TLSLIFE_WANT_VERIFY;
    case SSL_ERROR_ZERO_RETURN: return TLSLIFE_CLOSED;
    case SSL_ERROR_SYSCALL: return conclude(conn, system_errno, verb);
    default: return conclude(conn, 0, verb);
    }
}

/* -------------------------------------------------------------------------------- ready, settle */

tlslife_status tlsl_conn_carries(tlslife_conn *conn, const char *verb) {
    return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                          "%s on a connection that carries another: close the inner one first",
                          verb);
}

tlslife_status tlsl_conn_settle(tlslife_conn *conn, int ret, int64_t *deadline, const char *verb) {
    tlslife_status status = status_of(conn, ret, verb);
    tlsl_conn_facts(conn);
    return status == TLSLIFE_WANT_SESSION ? tlsl_search_go_on(conn, deadline)
                                          : tlsl_conn_wait(conn, status, deadline);
}
