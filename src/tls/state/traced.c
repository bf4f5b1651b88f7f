/*
 * traced.c: records in a trace what a connection does.
 *
 * Every file may record something. So this one calls no other file of tls/ but ex_data.c, and is
 * given what it records.
 *
 * An attacker would have a secret get into the trace. So of a session there is a tag alone, and
 * bytes of the transport and key-log lines are recorded only for a trace that was made for secrets.
 */
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "tls/state/conn.h"
#include "tls/state/ex_data.h"
#include "tls/state/traced.h"
#include "trace/trace.h"
#include "tlslife.h"

/* A session that has neither id nor ticket yet is not resumable, as one that has become bad. */
static uint8_t session_state(const tlslife_conn *conn) {
    const SSL_SESSION *session = SSL_get0_session(conn->ssl);
    if (session == NULL) {
        return TLSLIFE_SESSION_NONE;
    }
    if (SSL_SESSION_is_resumable(session)) {
        conn->traced->was_good = true;
        return TLSLIFE_SESSION_GOOD;
    }
    return conn->traced->was_good ? TLSLIFE_SESSION_BAD : TLSLIFE_SESSION_NEW;
}

void tlsl_traced_add(const tlslife_conn *conn, tlslife_trace_event event) {
    event.conn = conn->traced->number;
    event.server = SSL_is_server(conn->ssl);
    event.shutdown = (uint8_t)SSL_get_shutdown(conn->ssl);
    event.session = session_state(conn);
    if (event.name == NULL) {
        event.name = "";
    }
    tlsl_trace_add(conn->traced->trace, &event);
}

/* ------------------------------------------------------------------------------------ the calls */

void tlsl_traced_life(tlslife_conn *conn, const char *name, uint64_t refs) {
    tlsl_traced_add(conn,
                    (tlslife_trace_event){.kind = TLSLIFE_TRACE_LIFE, .name = name, .value = refs});
}

/* Any thread may count references, while another one uses the SSL. */
void tlsl_traced_refs(const tlslife_conn *conn, const char *name, uint64_t refs) {
    tlsl_trace_add(conn->traced->trace, &(tlslife_trace_event){.kind = TLSLIFE_TRACE_LIFE,
                                                               .name = name,
                                                               .conn = conn->traced->number,
                                                               .server = conn->traced->server,
                                                               .value = refs});
}

void tlsl_traced_call(tlslife_conn *conn, const char *name, uint64_t since_ns,
                      tlslife_status status, size_t bytes) {
    tlsl_traced_add(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_CALL,
                                                .name = name,
                                                .since_ns = since_ns,
                                                .code = (int)status,
                                                .value = bytes});
}

void tlsl_traced_wait(tlslife_conn *conn, const char *name, uint64_t since_ns) {
    tlsl_traced_add(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_WAIT,
                                                .name = name,
                                                .since_ns = since_ns,
                                                .code = since_ns != 0});
}

static uint64_t tag_of(const SSL_SESSION *session) {
    const unsigned char *bytes = NULL;
    size_t len = 0;
    unsigned id_len = 0;
    if (session != NULL) {
        SSL_SESSION_get0_ticket(session, &bytes, &len);
    }
    if (session != NULL && len == 0) {
        bytes = SSL_SESSION_get_id(session, &id_len);
        len = id_len;
    }
    return tlsl_trace_tag(bytes, len);
}

static int64_t age_of(const SSL_SESSION *session) {
    return session == NULL ? -1 : (int64_t)time(NULL) - (int64_t)SSL_SESSION_get_time(session);
}

void tlsl_traced_session(tlslife_conn *conn, const char *name, const SSL_SESSION *session,
                         int outcome) {
    tlsl_traced_add(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_SESSION,
                                                .name = name,
                                                .value = tag_of(session),
                                                .age_s = age_of(session),
                                                .code = outcome});
}

SSL_SESSION *tlsl_traced_before_end(const tlslife_conn *conn) {
    SSL_SESSION *session = tlsl_traced(conn) ? SSL_get1_session(conn->ssl) : NULL;
    if (session != NULL && !SSL_SESSION_is_resumable(session)) {
        SSL_SESSION_free(session);
        return NULL;
    }
    return session;
}

/* This must not use the SSL, which may have been freed. */
void tlsl_traced_after_end(tlslife_conn *conn, SSL_SESSION *session) {
    if (session != NULL && !SSL_SESSION_is_resumable(session)) {
        const tlslife_trace_event bad = {.kind = TLSLIFE_TRACE_SESSION,
                                         .name = "bad",
                                         .conn = conn->traced->number,
                                         .server = conn->traced->server,
                                         .value = tag_of(session),
                                         .age_s = age_of(session),
                                         .session = TLSLIFE_SESSION_BAD};
        tlsl_trace_add(conn->traced->trace, &bad);
    }
    SSL_SESSION_free(session);
}

void tlsl_traced_keylog(tlslife_conn *conn, const char *text) {
    if (tlsl_trace_secrets(conn->traced->trace)) {
        tlsl_traced_add(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_KEYLOG,
                                                    .data = (const unsigned char *)text,
                                                    .data_len = strlen(text)});
    }
}

/* -------------------------------------------------------------------------------- the transport */

void tlsl_traced_bytes(tlslife_conn *conn, int operation, const char *bytes, int ret,
                       const size_t *processed) {
    bool reads = operation == (BIO_CB_READ | BIO_CB_RETURN);
    bool writes = operation == (BIO_CB_WRITE | BIO_CB_RETURN);
    if (!tlsl_traced(conn) || !(reads || writes) || ret <= 0 || processed == NULL ||
        !tlsl_trace_secrets(conn->traced->trace)) {
        return;
    }
    tlsl_traced_add(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_BYTES,
                                                .sent = writes,
                                                .value = *processed,
                                                .data = (const unsigned char *)bytes,
                                                .data_len = *processed});
}

/* BIO_callback_fn_ex(3). */
static long on_bytes(BIO *bio, int operation, const char *bytes, size_t len, int number,
                     long longer, int ret, size_t *processed) {
    (void)len, (void)number, (void)longer;
    tlslife_conn *conn =
        (operation & BIO_CB_RETURN) ? tlsl_conn_of((const SSL *)BIO_get_callback_arg(bio)) : NULL;
    if (conn != NULL) {
        tlsl_traced_bytes(conn, operation, bytes, ret, processed);
    }
    return ret;
}

bool tlsl_traced_watches(const BIO *bio) {
    return BIO_get_callback_ex(bio) == on_bytes;
}

void tlsl_traced_watch(const tlslife_conn *conn) {
    BIO *bio = SSL_get_rbio(conn->ssl);
    if (bio == NULL || (BIO_get_callback_ex(bio) != NULL && !tlsl_traced_watches(bio))) {
        return;
    }
    bool wanted = tlsl_traced(conn) && tlsl_trace_secrets(conn->traced->trace);
    BIO_set_callback_arg(bio, wanted ? (char *)conn->ssl : NULL);
    BIO_set_callback_ex(bio, wanted ? on_bytes : NULL);
}

void tlsl_traced_transport(tlslife_conn *conn, const char *address) {
    tlsl_traced_watch(conn);
    tlsl_traced_add(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_LIFE,
                                                .name = "transport",
                                                .data = (const unsigned char *)address,
                                                .data_len = strlen(address)});
}
