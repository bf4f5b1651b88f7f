/*
 * tracing.c: gives a connection a trace, with the callbacks of OpenSSL that tell what it does.
 *
 * On a connection that has a trace, these callbacks take the place of those of callbacks.c, and
 * call them. They only add an event to a queue whose memory is bounded (trace/trace.c). A trace
 * cannot change what a connection does.
 *
 * An attacker would have a secret get into the trace. So a message is recorded only as far as
 * something in it is of interest and was sent to a peer, and of a ticket there is a tag alone.
 */
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/reader.h"
#include "tls/context/context.h"
#include "tls/handshake/callbacks.h"
#include "tls/handshake/tracing.h"
#include "tls/settings/keylog.h"
#include "tls/state/conn.h"
#include "tls/state/ex_data.h"
#include "tls/state/failure.h"
#include "tls/state/traced.h"
#include "trace/trace.h"
#include "tlslife.h"

#define MESSAGE_MAX ((size_t)8 * 1024)

/* --------------------------------------------------------------------------------- the messages */

/* How many bytes of a handshake message are of interest. None of them is secret. */
static size_t kept_of(int type, size_t len, bool tls13) {
    size_t most = SSL3_HM_HEADER_LENGTH;
    switch (type) {
    case SSL3_MT_CLIENT_HELLO:
    case SSL3_MT_SERVER_HELLO:
    case SSL3_MT_ENCRYPTED_EXTENSIONS:
    case SSL3_MT_CERTIFICATE_REQUEST: most = MESSAGE_MAX; break;
    case SSL3_MT_NEWSESSION_TICKET: /* and its lifetime, and ticket_age_add */
        most = SSL3_HM_HEADER_LENGTH + (tls13 ? 8 : 4);
        break;
    case SSL3_MT_SERVER_KEY_EXCHANGE: /* and the group */ most = SSL3_HM_HEADER_LENGTH + 4; break;
    case SSL3_MT_KEY_UPDATE: most = SSL3_HM_HEADER_LENGTH + 1; break;
    default: break;
    }
    return len < most ? len : most;
}

/* The tag of the ticket in a NewSessionTicket (RFC 5077 section 3.3, RFC 8446 section 4.6.1). */
static uint64_t ticket_tag(const unsigned char *message, size_t len, bool tls13) {
    const size_t before = SSL3_HM_HEADER_LENGTH + (tls13 ? 8 : 4); /* lifetime, ticket_age_add */
    tlsl_reader rest = {message, len}, skipped, ticket;
    return tlsl_take(&rest, before, &skipped) && (!tls13 || tlsl_take_vector(&rest, 1, &skipped)) &&
                   tlsl_take_vector(&rest, 2, &ticket)
               ? tlsl_trace_tag(ticket.at, ticket.left)
               : 0;
}

static void record_message(tlslife_conn *conn, bool sent, const unsigned char *bytes, size_t len) {
    int type = len > 0 ? bytes[0] : -1;
    bool ticket = type == SSL3_MT_NEWSESSION_TICKET;
    bool tls13 = SSL_version(conn->ssl) >= TLS1_3_VERSION;
    tlsl_traced_add(conn,
                    (tlslife_trace_event){.kind = TLSLIFE_TRACE_MESSAGE,
                                          .sent = sent,
                                          .code = type,
                                          .value = ticket ? ticket_tag(bytes, len, tls13) : len,
                                          .data = bytes,
                                          .data_len = kept_of(type, len, tls13)});
}

/*
 * SSL_set_msg_callback(3). In TLS 1.3 libssl tells the header of a record, and then the type that
 * is inside. So the header of an encrypted one is kept until that has come.
 */
static void on_message(int sent, int version, int type, const void *bytes, size_t len, SSL *ssl,
                       void *unused) {
    (void)version, (void)unused;
    const unsigned char *byte = bytes;
    tlslife_conn *conn = tlsl_conn_of(ssl);
    if (conn == NULL || !tlsl_traced(conn)) {
        return;
    }
    tlslife_trace_event record_event = {.kind = TLSLIFE_TRACE_RECORD, .sent = sent};
    switch (type) {
    case SSL3_RT_HEADER:
        tlsl_callbacks_examine_header(conn, sent, bytes, len);
        if (len == TLSL_HEADER) {
            record_event.code = byte[0];
            record_event.value = (size_t)byte[3] << 8 | byte[4];
            tlsl_traced_add(conn, record_event);
        }
        break;
    case SSL3_RT_HANDSHAKE:
        tlsl_callbacks_examine_message(conn, sent, bytes, len);
        record_message(conn, sent, bytes, len);
        break;
    case SSL3_RT_INNER_CONTENT_TYPE:
        record_event.code = len > 0 ? byte[0] : -1;
        record_event.name = "inside";
        tlsl_traced_add(conn, record_event);
        break;
    default: break;
    }
}

/* SSL_set_info_callback(3). */
static void on_info(const SSL *ssl, int where, int value) {
    tlsl_callbacks_info(ssl, where, value);
    tlslife_conn *conn = tlsl_conn_of(ssl);
    if (conn == NULL || !tlsl_traced(conn)) {
        return;
    }
    if (where & SSL_CB_LOOP) {
        tlsl_traced_add(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_STATE,
                                                    .name = SSL_state_string_long(ssl)});
    } else if (where & SSL_CB_ALERT) {
        tlsl_traced_add(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_ALERT,
                                                    .sent = where & SSL_CB_WRITE,
                                                    .code = value & 0xff,
                                                    .value = (uint64_t)(value >> 8)});
    } else if ((where & SSL_CB_HANDSHAKE_DONE) && SSL_get_state(ssl) != TLS_ST_EARLY_DATA) {
        const char *group = tlslife_conn_group(conn), *cipher = tlslife_conn_cipher(conn);
        char text[128];
        int len = snprintf(text, sizeof text, "%s%s%s", cipher == NULL ? "" : cipher,
                           group == NULL ? "" : " ", group == NULL ? "" : group);
        tlsl_traced_add(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_HANDSHAKE,
                                                    .name = SSL_get_version(ssl),
                                                    .code = (int)tlslife_conn_resumption(conn),
                                                    .data = (const unsigned char *)text,
                                                    .data_len = len < 0 ? 0 : strlen(text)});
    }
}

/* ---------------------------------------------------------------------------------- the setting */

/* false: out of memory. */
static bool take_trace(tlslife_conn *conn, tlslife_trace *trace) {
    conn->traced = malloc(sizeof *conn->traced);
    if (conn->traced != NULL) {
        *conn->traced = (tlsl_traced_by){.trace = tlslife_trace_up_ref(trace),
                                         .number = tlsl_trace_number(trace),
                                         .server = conn->context->role == TLSLIFE_SERVER};
    }
    return conn->traced != NULL;
}

void tlsl_tracing_install(tlslife_conn *conn) {
    bool traces = tlsl_traced(conn);
    SSL_set_info_callback(conn->ssl, traces ? on_info : NULL);
    if (traces) {
        SSL_set_msg_callback(conn->ssl, on_message);
    } else {
        tlsl_callbacks_first_header(conn->ssl);
    }
    tlsl_traced_watch(conn);
}

void tlsl_tracing_begin(tlslife_conn *conn, const char *name) {
    if (conn->origin->trace != NULL && take_trace(conn, conn->origin->trace)) {
        tlsl_tracing_install(conn);
        tlsl_traced_life(conn, name, 1);
    }
}

void tlsl_tracing_end(tlslife_conn *conn) {
    if (tlsl_traced(conn)) {
        tlslife_trace_free(conn->traced->trace);
        free(conn->traced);
        conn->traced = NULL;
    }
}

tlslife_status tlslife_conn_set_trace(tlslife_conn *conn, tlslife_trace *trace) {
    if (conn->origin->foreign) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "a connection of the program's own SSL_CTX cannot be traced");
    }
    if (trace == (tlsl_traced(conn) ? conn->traced->trace : NULL)) {
        return TLSLIFE_OK;
    }
    tlsl_tracing_end(conn);
    bool taken = trace == NULL || take_trace(conn, trace);
    tlsl_tracing_install(conn);
    if (!taken) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a trace");
    }
    if (trace != NULL) {
        tlsl_traced_life(conn, "trace", 1);
    }
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_set_trace(tlslife_context *context, tlslife_trace *trace,
                                         tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlslife_trace *before = context->trace;
    context->trace = trace == NULL ? NULL : tlslife_trace_up_ref(trace);
    tlslife_trace_free(before);
    if (trace != NULL && tlsl_trace_secrets(trace)) {
        tlsl_keylog_install(context);
    }
    return TLSLIFE_OK;
}
