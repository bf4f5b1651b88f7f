/*
 * traced.c: records in a trace what a connection does: the callbacks of OpenSSL that tell it, and
 * what the calls of a connection tell by themselves.
 *
 * A callback here only adds an event to a queue whose memory is bounded (trace/trace.c). A trace
 * cannot change what a connection does.
 *
 * An attacker would have a secret get into the trace. So a message is recorded only as far as
 * something in it is of interest and was sent to a peer, of a ticket there is a tag alone, and
 * bytes of the transport and key-log lines are recorded only for a trace that was made for secrets.
 */
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/callbacks.h"
#include "tls/conn.h"
#include "tls/ex_data.h"
#include "tls/context.h"
#include "tls/traced.h"
#include "trace/trace.h"
#include "tlslife.h"

#define MESSAGE_HEADER 4
#define MESSAGE_MAX ((size_t)8 * 1024)
#define ADDRESS_MAX 160

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

/* Adds the event, with what each event says of its connection. */
static void record(const tlslife_conn *conn, tlslife_trace_event event) {
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
    record(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_LIFE, .name = name, .value = refs});
}

/* Any thread may count references, while another one uses the SSL. */
void tlsl_traced_refs(const tlslife_conn *conn, const char *name, uint64_t refs) {
    tlsl_trace_add(conn->traced->trace,
                   &(tlslife_trace_event){.kind = TLSLIFE_TRACE_LIFE,
                                          .name = name,
                                          .conn = conn->traced->number,
                                          .server = conn->context->role == TLSLIFE_SERVER,
                                          .value = refs});
}

void tlsl_traced_call(tlslife_conn *conn, const char *name, uint64_t since_ns,
                      tlslife_status status, size_t bytes) {
    record(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_CALL,
                                       .name = name,
                                       .since_ns = since_ns,
                                       .code = (int)status,
                                       .value = bytes});
}

void tlsl_traced_wait(tlslife_conn *conn, const char *name, uint64_t since_ns) {
    record(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_WAIT,
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

void tlsl_traced_session(tlslife_conn *conn, const char *name, const SSL_SESSION *session,
                         int outcome) {
    record(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_SESSION,
                                       .name = name,
                                       .value = tag_of(session),
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

/* The SSL may be gone. */
void tlsl_traced_after_end(tlslife_conn *conn, SSL_SESSION *session) {
    if (session != NULL && !SSL_SESSION_is_resumable(session)) {
        const tlslife_trace_event bad = {.kind = TLSLIFE_TRACE_SESSION,
                                         .name = "bad",
                                         .conn = conn->traced->number,
                                         .server = conn->context->role == TLSLIFE_SERVER,
                                         .value = tag_of(session),
                                         .session = TLSLIFE_SESSION_BAD};
        tlsl_trace_add(conn->traced->trace, &bad);
    }
    SSL_SESSION_free(session);
}

void tlsl_traced_keylog(tlslife_conn *conn, const char *text) {
    if (tlsl_trace_secrets(conn->traced->trace)) {
        record(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_KEYLOG,
                                           .data = (const unsigned char *)text,
                                           .data_len = strlen(text)});
    }
}

/* --------------------------------------------------------------------------------- the messages */

/* How many bytes of a handshake message are of interest. */
static size_t kept_of(int type, size_t len) {
    size_t most = MESSAGE_HEADER;
    switch (type) {
    case SSL3_MT_CLIENT_HELLO:
    case SSL3_MT_SERVER_HELLO:
    case SSL3_MT_ENCRYPTED_EXTENSIONS:
    case SSL3_MT_CERTIFICATE_REQUEST: most = MESSAGE_MAX; break;
    case SSL3_MT_NEWSESSION_TICKET: /* and 4 bytes of lifetime */
    case SSL3_MT_SERVER_KEY_EXCHANGE: /* and the group */ most = MESSAGE_HEADER + 4; break;
    case SSL3_MT_KEY_UPDATE: most = MESSAGE_HEADER + 1; break;
    default: break;
    }
    return len < most ? len : most;
}

static size_t number_at(const unsigned char *bytes, size_t at) {
    return (size_t)bytes[at] << 8 | bytes[at + 1];
}

/* The tag of the ticket in a NewSessionTicket (RFC 5077 section 3.3, RFC 8446 section 4.6.1). */
static uint64_t ticket_tag(const unsigned char *message, size_t len, bool tls13) {
    size_t at = MESSAGE_HEADER + 4; /* the lifetime */
    if (tls13) {
        at += 4; /* ticket_age_add */
        at += at < len ? 1 + (size_t)message[at] : 0;
    }
    if (at + 2 > len || at + 2 + number_at(message, at) > len) {
        return 0;
    }
    return tlsl_trace_tag(message + at + 2, number_at(message, at));
}

static void record_message(tlslife_conn *conn, bool sent, const unsigned char *bytes, size_t len) {
    int type = len > 0 ? bytes[0] : -1;
    bool ticket = type == SSL3_MT_NEWSESSION_TICKET;
    bool tls13 = SSL_version(conn->ssl) >= TLS1_3_VERSION;
    record(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_MESSAGE,
                                       .sent = sent,
                                       .code = type,
                                       .value = ticket ? ticket_tag(bytes, len, tls13) : len,
                                       .data = bytes,
                                       .data_len = kept_of(type, len)});
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
            record_event.value = number_at(byte, 3);
            record(conn, record_event);
        }
        break;
    case SSL3_RT_HANDSHAKE:
        tlsl_callbacks_examine_message(conn, sent, bytes, len);
        record_message(conn, sent, bytes, len);
        break;
    case SSL3_RT_INNER_CONTENT_TYPE:
        record_event.code = len > 0 ? byte[0] : -1;
        record_event.name = "inside";
        record(conn, record_event);
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
        record(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_STATE,
                                           .name = SSL_state_string_long(ssl)});
    } else if (where & SSL_CB_ALERT) {
        record(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_ALERT,
                                           .sent = where & SSL_CB_WRITE,
                                           .code = value & 0xff,
                                           .value = (uint64_t)(value >> 8)});
    } else if ((where & SSL_CB_HANDSHAKE_DONE) && SSL_get_state(ssl) != TLS_ST_EARLY_DATA) {
        const char *group = tlslife_conn_group(conn), *cipher = tlslife_conn_cipher(conn);
        char text[128];
        int len = snprintf(text, sizeof text, "%s%s%s", cipher == NULL ? "" : cipher,
                           group == NULL ? "" : " ", group == NULL ? "" : group);
        record(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_HANDSHAKE,
                                           .name = SSL_get_version(ssl),
                                           .code = (int)tlslife_conn_resumption(conn),
                                           .data = (const unsigned char *)text,
                                           .data_len = len < 0 ? 0 : strlen(text)});
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
    record(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_BYTES,
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

void tlsl_traced_install(tlslife_conn *conn) {
    bool traces = tlsl_traced(conn);
    SSL_set_info_callback(conn->ssl, traces ? on_info : NULL);
    if (traces) {
        SSL_set_msg_callback(conn->ssl, on_message);
    } else {
        tlsl_callbacks_first_header(conn->ssl);
    }
    tlsl_traced_watch(conn);
}

void tlsl_traced_transport(tlslife_conn *conn) {
    char address[ADDRESS_MAX] = "memory";
    if (conn->transport.kind != TLSL_MEMORY &&
        !tlslife_conn_peer_address(conn, address, sizeof address)) {
        snprintf(address, sizeof address, "descriptor");
    }
    tlsl_traced_watch(conn);
    record(conn, (tlslife_trace_event){.kind = TLSLIFE_TRACE_LIFE,
                                       .name = "transport",
                                       .data = (const unsigned char *)address,
                                       .data_len = strlen(address)});
}

/* ---------------------------------------------------------------------------------- the setting */

/* false: out of memory. */
static bool take_trace(tlslife_conn *conn, tlslife_trace *trace) {
    conn->traced = malloc(sizeof *conn->traced);
    if (conn->traced != NULL) {
        *conn->traced = (tlsl_traced_by){.trace = tlslife_trace_up_ref(trace),
                                         .number = tlsl_trace_number(trace)};
    }
    return conn->traced != NULL;
}

void tlsl_traced_begin(tlslife_conn *conn, const char *name) {
    if (conn->origin->trace != NULL && take_trace(conn, conn->origin->trace)) {
        tlsl_traced_install(conn);
        tlsl_traced_life(conn, name, 1);
    }
}

void tlsl_traced_end(tlslife_conn *conn) {
    if (tlsl_traced(conn)) {
        tlslife_trace_free(conn->traced->trace);
        free(conn->traced);
        conn->traced = NULL;
    }
}

tlslife_status tlslife_conn_set_trace(tlslife_conn *conn, tlslife_trace *trace) {
    if (conn->origin->foreign) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "a trace for a connection of the program's own SSL_CTX");
    }
    if (trace == (tlsl_traced(conn) ? conn->traced->trace : NULL)) {
        return TLSLIFE_OK;
    }
    tlsl_traced_end(conn);
    bool taken = trace == NULL || take_trace(conn, trace);
    tlsl_traced_install(conn);
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
        tlsl_callbacks_keylog(context);
    }
    return TLSLIFE_OK;
}
