/*
 * callbacks.c: the callbacks of OpenSSL about sessions, the ClientHello, ALPN and alerts, and the
 * installation of all that every context has. A callback that serves one setting stands beside it
 * (tls/settings).
 *
 * A callback records a fact or suspends the handshake. It never waits, does no I/O and never calls
 * the program. So the bytes of an attacker can make a callback allocate memory, within bounds, and
 * nothing else. Each callback takes its connection from the SSL's ex_data; an SSL without one gets
 * OpenSSL's own behaviour.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "tls/context/context.h"
#include "tls/context/psk.h"
#include "tls/context/resumption.h"
#include "tls/context/switch.h"
#include "tls/handshake/callbacks.h"
#include "tls/handshake/hold.h"
#include "tls/session/hello.h"
#include "tls/session/lookup.h"
#include "tls/session/permit.h"
#include "tls/session/session.h"
#include "tls/settings/verify.h"
#include "tls/state/conn.h"
#include "tls/state/ex_data.h"
#include "tls/state/measured.h"
#include "tls/state/traced.h"
#include "tlslife.h"

/* --------------------------------------------------------------------------------------- alerts */

void tlsl_callbacks_examine_header(tlslife_conn *conn, bool sent, const unsigned char *header,
                                   size_t len) {
    if (sent || conn->found.examined) {
        return;
    }
    conn->found.examined = true;
    if (len == TLSL_HEADER && header[1] != SSL3_VERSION_MAJOR) {
        memcpy(conn->found.first, header, TLSL_HEADER);
        conn->found.no_tls = true;
    }
}

void tlsl_callbacks_examine_message(tlslife_conn *conn, bool sent, const unsigned char *message,
                                    size_t len) {
    /* The random value by which a ServerHello is a HelloRetryRequest (RFC 8446 section 4.1.3). */
    static const unsigned char retry[SSL3_RANDOM_SIZE] = {
        0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
        0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb,
        0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
    const size_t before = SSL3_HM_HEADER_LENGTH + 2; /* the legacy version */
    if (!sent && len >= before + sizeof retry && message[0] == SSL3_MT_SERVER_HELLO &&
        memcmp(message + before, retry, sizeof retry) == 0) {
        conn->found.hello_retry = true;
    }
}

/* SSL_set_msg_callback(3), on a client, until a first message has come. */
static void on_first_message(int sent, int version, int type, const void *bytes, size_t len,
                             SSL *ssl, void *unused) {
    (void)version;
    (void)unused;
    if (sent || type != SSL3_RT_HANDSHAKE) {
        return;
    }
    SSL_set_msg_callback(ssl, NULL);
    tlslife_conn *conn = tlsl_conn_of(ssl);
    if (conn != NULL) {
        tlsl_callbacks_examine_message(conn, sent, bytes, len);
    }
}

/*
 * SSL_set_msg_callback(3). The first header that comes shows whether the peer speaks TLS at all.
 * The callback removes itself then, because libssl would make it for every record.
 */
static void on_first_header(int sent, int version, int type, const void *bytes, size_t len,
                            SSL *ssl, void *unused) {
    (void)version;
    (void)unused;
    if (sent || type != SSL3_RT_HEADER) {
        return;
    }
    SSL_set_msg_callback(ssl, SSL_is_server(ssl) ? NULL : on_first_message);
    tlslife_conn *conn = tlsl_conn_of(ssl);
    if (conn != NULL) {
        tlsl_callbacks_examine_header(conn, sent, bytes, len);
    }
}

void tlsl_callbacks_first_header(SSL *ssl) {
    SSL_set_msg_callback(ssl, on_first_header);
}

/* libssl reports a server's HelloRequest as a handshake, too. */
static void count_handshake(tlslife_conn *conn, bool done) {
    if (done && (!SSL_is_server(conn->ssl) || conn->found.hello_came)) {
        conn->found.handshakes++;
        conn->found.hello_came = false;
    }
}

/*
 * A renegotiation that was asked for, by the program or the peer, begins with a later call, and
 * then libssl forgets which close_notify passed before it. take_facts puts them back.
 */
static void keep_mask(tlslife_conn *conn) {
    conn->closing.kept = (uint8_t)(conn->shaken ? SSL_get_shutdown(conn->ssl) : 0);
    conn->facts |= conn->closing.kept != 0;
}

/*
 * libssl says "done" before early data, and begins anew behind them. A client knows nothing of its
 * server at this time.
 */
static void note_handshake(tlslife_conn *conn, int where) {
    bool done = (where & SSL_CB_HANDSHAKE_DONE) &&
                (SSL_is_server(conn->ssl) || SSL_get_state(conn->ssl) != TLS_ST_EARLY_DATA);
    conn->known = done || tlslife_conn_early(conn);
    count_handshake(conn, done);
    if (done && !conn->shaken) {
        tlsl_psk_settle(conn);
    }
    if (where & SSL_CB_HANDSHAKE_START) {
        keep_mask(conn);
    }
}

/*
 * SSL_CTX_set_info_callback(3). libssl reports a renegotiation as a handshake of its own, and the
 * messages that TLS 1.3 sends after a handshake as none.
 */
void tlsl_callbacks_info(const SSL *ssl, int where, int value) {
    tlslife_conn *conn = where & (SSL_CB_ALERT | SSL_CB_HANDSHAKE_START | SSL_CB_HANDSHAKE_DONE)
                             ? tlsl_conn_of(ssl)
                             : NULL;
    if (conn == NULL) {
        return;
    }
    if (!(where & SSL_CB_ALERT)) {
        note_handshake(conn, where);
        return;
    }
    if ((value & 0xff) == SSL_AD_CLOSE_NOTIFY) {
        tlsl_measured_closed(conn, where & SSL_CB_READ ? TLSLIFE_RECEIVED_SHUTDOWN
                                                       : TLSLIFE_SENT_SHUTDOWN);
    } else {
        tlsl_measured_alert(conn, !(where & SSL_CB_READ), value & 0xff);
    }
    if (value >> 8 == SSL3_AL_FATAL) {
        conn->found.alert = value & 0xff;
        conn->found.alert_received = where & SSL_CB_READ;
    }
}

/* ------------------------------------------------------------------------------------- sessions */

static int on_new_session(SSL *ssl, SSL_SESSION *session) {
    tlslife_conn *conn = tlsl_conn_of(ssl);
    return conn != NULL && tlsl_conn_new_session(conn, session);
}

static int on_make_ticket(SSL *ssl, void *unused) {
    (void)unused;
    tlslife_conn *conn = tlsl_conn_of(ssl);
    return conn == NULL || conn->set.ticket_data == NULL || tlsl_conn_label_ticket(conn);
}

/*
 * SSL_CTX_set_session_ticket_cb(3). It decides as libssl would without it, and records why a ticket
 * cannot be used. In one case it decides otherwise: no new ticket is sent where the session id
 * beside a ticket that cannot be decrypted has led to a session.
 */
static SSL_TICKET_RETURN on_open_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                        size_t name_len, SSL_TICKET_STATUS status, void *unused) {
    (void)name;
    (void)name_len;
    (void)unused;
    tlslife_conn *conn = tlsl_conn_of(ssl);
    bool opened = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
    if (conn != NULL && opened) {
        tlsl_search_judge(conn, session);
        tlsl_told(conn, "ticket opened", session, conn->resume.outcome);
    } else if (conn != NULL && status == SSL_TICKET_NO_DECRYPT) {
        conn->resume.ticket_failed = true;
        tlsl_told(conn, "ticket not opened", NULL, TLSLIFE_OUTCOME_TICKET);
    }
    if (opened && !tlsl_session_fits(ssl, session)) {
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
    if (!opened) {
        /* libssl looks up the session id of a ClientHello whose ticket is ignored. */
        return conn != NULL && status == SSL_TICKET_NO_DECRYPT && tlsl_search_found_id(conn)
                   ? SSL_TICKET_RETURN_IGNORE
                   : SSL_TICKET_RETURN_IGNORE_RENEW;
    }
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

/* SSL_CTX_set_allow_early_data_cb(3). A program's own SSL, no connection of ours, has no cache. */
static int on_early_data(SSL *ssl, void *unused) {
    (void)unused;
    const tlslife_conn *conn = tlsl_conn_of(ssl);
    const tlslife_context *context =
        conn != NULL ? conn->context : tlsl_context_of(SSL_get_SSL_CTX(ssl));
    return conn != NULL ? tlsl_permit_allows(conn) : context == NULL || !context->gives_once;
}

/* ---------------------------------------------------------------------------------- ClientHello */

/* Memory is short. libssl itself would say only that this callback has failed. */
static int cannot_go_on(int *alert) {
    if (ERR_peek_error() == 0) {
        ERR_raise(ERR_LIB_CRYPTO, ERR_R_MALLOC_FAILURE);
    }
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
}

static int choose_context(tlslife_conn *conn, SSL *ssl, tlslife_context *target, int *alert) {
    if (target == NULL || target == conn->context) {
        return SSL_CLIENT_HELLO_SUCCESS;
    }
    /* Where it is applied in part, clear must know that the SSL is no longer its own context's. */
    tlslife_context *before = conn->context;
    conn->context = tlslife_context_up_ref(target);
    tlslife_context_free(before);
    if (!tlsl_context_apply(target, ssl) ||
        (conn->set.groups != NULL && SSL_set1_groups_list(ssl, conn->set.groups) != 1)) {
        return cannot_go_on(alert);
    }
    tlsl_conn_set_tickets(conn);
    return SSL_CLIENT_HELLO_SUCCESS;
}

static int ask_hello(tlslife_conn *conn, SSL *ssl, int *alert) {
    conn->asked.client_hello = tlsl_hello_read(ssl);
    if (conn->asked.client_hello == NULL) {
        return cannot_go_on(alert);
    }
    conn->asked.hello = TLSL_ASKED;
    return SSL_CLIENT_HELLO_RETRY;
}

/*
 * Looks up the session that the ClientHello offers, now that the context is known. This is done
 * once a connection, because the ClientHello after a HelloRetryRequest offers the same session.
 */
static int find_session(tlslife_conn *conn, int *alert) {
    if (conn->asked.hello_seen) {
        return tlsl_search_waits(conn) ? SSL_CLIENT_HELLO_RETRY : SSL_CLIENT_HELLO_SUCCESS;
    }
    conn->asked.hello_seen = true;
    bool waits = false;
    if (!tlsl_search_for_hello(conn, &waits)) {
        return cannot_go_on(alert);
    }
    return waits ? SSL_CLIENT_HELLO_RETRY : SSL_CLIENT_HELLO_SUCCESS;
}

/*
 * Records the server name of this ClientHello. The session may have another one, and so may a
 * second ClientHello.
 */
static bool note_server_name(tlslife_conn *conn, SSL *ssl) {
    tlslife_bytes name = tlsl_hello_server_name(ssl);
    size_t len = conn->found.server_name == NULL ? 0 : strlen(conn->found.server_name);
    if (len == name.len && (len == 0 || memcmp(conn->found.server_name, name.data, len) == 0)) {
        return true;
    }
    free(conn->found.server_name);
    conn->found.server_name = name.len == 0 ? NULL : strndup((const char *)name.data, name.len);
    return name.len == 0 || conn->found.server_name != NULL;
}

static int match_hello(tlslife_conn *conn, SSL *ssl, int *alert) {
    conn->asked.hello = TLSL_ACCEPTED;
    if (conn->context->server_names == NULL) {
        return SSL_CLIENT_HELLO_SUCCESS;
    }
    tlslife_hello *hello = tlsl_hello_read(ssl);
    if (hello == NULL) {
        return cannot_go_on(alert);
    }
    tlslife_context *target = tlsl_context_match(conn->context, hello->server_name);
    tlsl_hello_free(hello);
    return choose_context(conn, ssl, target, alert);
}

/*
 * Chooses the context once a connection. A second ClientHello (after a HelloRetryRequest, or in a
 * renegotiation) is served under the context that the first one chose.
 */
static int settle_hello(tlslife_conn *conn, SSL *ssl, int *alert) {
    int result = SSL_CLIENT_HELLO_SUCCESS;
    switch ((tlsl_answer)conn->asked.hello) {
    case TLSL_UNASKED:
        if (conn->context->questions & TLSLIFE_ASK_HELLO) {
            return ask_hello(conn, ssl, alert);
        }
        result = match_hello(conn, ssl, alert);
        return result == SSL_CLIENT_HELLO_SUCCESS ? find_session(conn, alert) : result;
    case TLSL_ASKED: return SSL_CLIENT_HELLO_RETRY;
    case TLSL_REFUSED: *alert = conn->asked.refuse_alert; return SSL_CLIENT_HELLO_ERROR;
    case TLSL_ACCEPTED: break;
    }
    tlslife_context *target = conn->asked.chosen;
    conn->asked.chosen = NULL;
    result = choose_context(conn, ssl, target, alert);
    tlslife_context_free(target);
    return result == SSL_CLIENT_HELLO_SUCCESS ? find_session(conn, alert) : result;
}

static int on_client_hello(SSL *ssl, int *alert, void *unused) {
    (void)unused;
    tlslife_conn *conn = tlsl_conn_of(ssl);
    if (conn == NULL) {
        return SSL_CLIENT_HELLO_SUCCESS;
    }
    if (!note_server_name(conn, ssl)) {
        return cannot_go_on(alert);
    }
    int result = settle_hello(conn, ssl, alert);
    if (result == SSL_CLIENT_HELLO_SUCCESS) {
        /* The second ClientHello of a first handshake answers a HelloRetryRequest. */
        conn->found.hello_retry = conn->asked.hello_passed && !conn->shaken;
        conn->asked.hello_passed = !conn->shaken;
        conn->found.hello_came = true;
        if (tlsl_asks_verify(conn->context) || (conn->context->questions & TLSLIFE_ASK_PSK)) {
            tlsl_handshake_hold(conn);
        }
    }
    return result;
}

/* The protocols of the handshake, the connection or the context: the first that are given. */
static tlsl_own_alpn protocols_of(const tlslife_conn *conn) {
    if (conn->asked.alpn.given || conn->set.alpn.given) {
        return conn->asked.alpn.given ? conn->asked.alpn : conn->set.alpn;
    }
    const tlslife_context *context = conn->context;
    return (tlsl_own_alpn){context->alpn != NULL, context->alpn, context->alpn_len};
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *offered, unsigned offered_len, void *unused) {
    (void)unused;
    tlslife_conn *conn = tlsl_conn_of(ssl);
    if (conn == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    conn->asked.alpn_chosen = true;
    tlsl_own_alpn own = protocols_of(conn);
    if (own.wire == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    unsigned char *chosen = NULL;
    int found =
        SSL_select_next_proto(&chosen, out_len, own.wire, (unsigned)own.len, offered, offered_len);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* -------------------------------------------------------------------------------------- install */

void tlsl_callbacks_install(tlslife_context *context) {
    SSL_CTX *ctx = context->ctx;
    SSL_CTX_set_info_callback(ctx, tlsl_callbacks_info);
    SSL_CTX_set_msg_callback(ctx, on_first_header);
    tlsl_verify_install(context);
    SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    SSL_CTX_sess_set_remove_cb(ctx, tlsl_on_remove_session);
    if (context->role == TLSLIFE_SERVER) {
        SSL_CTX_sess_set_get_cb(ctx, tlsl_on_get_session);
        SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
        SSL_CTX_set_allow_early_data_cb(ctx, on_early_data, NULL);
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
        SSL_CTX_set_session_ticket_cb(ctx, on_make_ticket, on_open_ticket, NULL);
    }
}
