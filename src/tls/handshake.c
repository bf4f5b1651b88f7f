/*
 * handshake.c: runs handshakes. connect, accept and handshake call SSL_do_handshake, and can be
 * called again after each wait.
 *
 * A handshake is done when libssl's is done and every question is answered. A server asks about its
 * peer after the end of libssl's handshake, or just before it, because SSL_set_retry_verify serves
 * a client alone. Until the answer nothing can be read or written, and the tickets of TLS 1.3 are
 * held back, so that a refused client gets neither data nor a session.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "base/session_value.h"
#include "net/fd.h"
#include "tls/conn.h"
#include "tls/context.h"
#include "tls/early.h"
#include "tls/handshake.h"
#include "tls/lookup.h"
#include "tls/proxied.h"
#include "tls/session.h"
#include "tls/traced.h"
#include "tls/transport.h"
#include "tls/verdict.h"
#include "tlslife.h"

/* ------------------------------------------------------------------------------------ beginning */

static tlslife_status check_side(tlslife_conn *conn, const char *verb, bool server) {
    if (SSL_is_server(conn->ssl) == server) {
        return TLSLIFE_OK;
    }
    return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s on a %s's connection", verb,
                          server ? "client" : "server");
}

static tlslife_status check_host(tlslife_conn *conn, const char *verb) {
    const tlslife_context *context = conn->context;
    bool verifies =
        context->verify != TLSLIFE_VERIFY_NONE && context->verify_host && !context->foreign;
    if (SSL_is_server(conn->ssl) || !verifies || conn->set.hostname != NULL) {
        return TLSLIFE_OK;
    }
    return tlsl_conn_fail(
        conn, TLSLIFE_ERR_USAGE,
        "%s without a host name to verify: call set_hostname, or dial, or make the context with "
        "verify_host off",
        verb);
}

/*
 * libssl leaves out a TLS 1.3 ticket that is older than its server said, and offers all others,
 * however old.
 */
static bool too_old(const SSL_SESSION *session) {
    int64_t now = time(NULL), age = now - SSL_SESSION_get_time(session);
    bool tls13 = SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION;
    int64_t lifetime = (int64_t)SSL_SESSION_get_ticket_lifetime_hint(session);
    return tlsl_session_left(session, 0, now) == 0 || ((tls13 || lifetime > 0) && age > lifetime);
}

/* Client: chooses the session for the ClientHello, which is the program's or the cache's. */
static tlslife_status choose_session(tlslife_conn *conn, int64_t *deadline) {
    if (SSL_is_server(conn->ssl)) {
        return TLSLIFE_OK;
    }
    if (SSL_get0_session(conn->ssl) == NULL && conn->origin->cache != NULL &&
        conn->origin->resumption != TLSLIFE_RESUMPTION_OFF) {
        tlslife_status status = tlsl_search_for_peer(conn, deadline);
        if (status != TLSLIFE_OK) {
            return status;
        }
    }
    const SSL_SESSION *session = SSL_get0_session(conn->ssl);
    if (session != NULL && !tlsl_session_fits(conn->ssl, session)) {
        bool older =
            SSL_SESSION_get_protocol_version(session) < SSL_get_min_proto_version(conn->ssl);
        conn->resume.outcome = older ? TLSLIFE_OUTCOME_OTHER_VERSION : TLSLIFE_OUTCOME_NOT_OFFERED;
        SSL_set_session(conn->ssl, NULL);
        session = NULL;
    }
    conn->resume.offered = session != NULL && SSL_SESSION_is_resumable(session);
    if (!conn->resume.offered) {
        return TLSLIFE_OK;
    }
    conn->resume.offered_version = SSL_SESSION_get_protocol_version(session);
    conn->resume.offered_expired = too_old(session);
    conn->resume.offered_session = session;
    tlsl_told(conn, "offered", session, TLSLIFE_OUTCOME_NONE);
    return tlsl_session_check(conn, session);
}

/* Checks and sets up once, before the first byte, what a handshake needs. */
static tlslife_status begin(tlslife_conn *conn, const char *verb, int64_t *deadline) {
    if (conn->transport.kind == TLSL_NONE) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "%s without a transport: dial, set_fd, pair or set_memory first",
                              verb);
    }
    if (conn->begun) {
        return TLSLIFE_OK;
    }
    if (check_host(conn, verb) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlslife_status status = tlsl_proxied_read(conn, deadline, verb);
    if (status == TLSLIFE_OK) {
        status = choose_session(conn, deadline);
    }
    if (status != TLSLIFE_OK) {
        return status;
    }
    tlsl_conn_set_tickets(conn);
    if (conn->transport.kind == TLSL_FD) {
        tlsl_fd_set_tls(SSL_get_rbio(conn->ssl), true);
    }
    conn->begun = true;
    return TLSLIFE_OK;
}

tlslife_status tlsl_handshake_begin(tlslife_conn *conn, const char *verb, bool server,
                                    int64_t *deadline) {
    if (conn->final_status != TLSLIFE_OK) {
        return tlsl_conn_final_status(conn);
    }
    return check_side(conn, verb, server) == TLSLIFE_OK ? begin(conn, verb, deadline)
                                                        : TLSLIFE_ERROR;
}

/* --------------------------------------------------------------------------------------- ending */

/*
 * A TLS 1.2 client has proved possession of its certificate's key when its ChangeCipherSpec has
 * come. Its Finished is a record of its own. Before the server has read that, it has sent nothing
 * under the new keys.
 */
bool tlsl_handshake_held(const tlslife_conn *conn) {
    return SSL_is_server(conn->ssl) && !conn->shaken && conn->asked.verify != TLSL_ACCEPTED &&
           tlsl_conn_asks_verify(conn) && SSL_get_state(conn->ssl) == TLS_ST_SR_CHANGE &&
           !SSL_session_reused(conn->ssl) && SSL_version(conn->ssl) < TLS1_3_VERSION;
}

/*
 * BIO_callback_fn_ex(3). While the client's Finished must not be read, a read looks like one from a
 * transport without bytes.
 */
static long hold_read(BIO *bio, int operation, const char *bytes, size_t len, int number,
                      long longer, int ret, size_t *processed) {
    (void)len, (void)number, (void)longer;
    tlslife_conn *conn = operation == BIO_CB_READ || (operation & BIO_CB_RETURN)
                             ? tlsl_conn_of((const SSL *)BIO_get_callback_arg(bio))
                             : NULL;
    if (conn != NULL) {
        tlsl_traced_bytes(conn, operation, bytes, ret, processed);
    }
    if (conn == NULL || operation != BIO_CB_READ || !tlsl_handshake_held(conn)) {
        return ret;
    }
    BIO_clear_retry_flags(bio);
    BIO_set_retry_read(bio);
    return -1;
}

void tlsl_handshake_hold(tlslife_conn *conn) {
    BIO *bio = SSL_get_rbio(conn->ssl);
    /* A callback that is there belongs to the host, as the BIO does. */
    if (bio != NULL && (BIO_get_callback_ex(bio) == NULL || tlsl_traced_watches(bio))) {
        BIO_set_callback_arg(bio, (char *)conn->ssl);
        BIO_set_callback_ex(bio, hold_read);
        /* Read-ahead would read the Finished together with the record before it. */
        SSL_set_read_ahead(conn->ssl, 0);
    }
}

void tlsl_handshake_unhold(const tlslife_conn *conn) {
    BIO *bio = SSL_get_rbio(conn->ssl);
    if (bio != NULL && BIO_get_callback_ex(bio) == hold_read) {
        BIO_set_callback_ex(bio, NULL);
        BIO_set_callback_arg(bio, NULL);
        SSL_set_read_ahead(conn->ssl, SSL_CTX_get_read_ahead(SSL_get_SSL_CTX(conn->ssl)) != 0);
        tlsl_traced_watch(conn);
    }
}

/*
 * libssl has no call that sends an alert. In TLS 1.3 a ticket is begun, and its extension fails
 * with the alert (on_ticket_extension in callbacks.c).
 */
static void send_alert_in_ticket(tlslife_conn *conn) {
    if (SSL_new_session_ticket(conn->ssl) == 1) {
        SSL_do_handshake(conn->ssl);
    }
}

/*
 * In TLS 1.2, before the server has encrypted anything, the alert is a record in plain text (RFC
 * 5246 sections 6.2.1 and 7.2).
 */
static void send_plain_alert(tlslife_conn *conn) {
    int version = SSL_version(conn->ssl), alert = conn->asked.refuse_alert;
    const unsigned char record[] = {
        SSL3_RT_ALERT, (unsigned char)(version >> 8), (unsigned char)version, 0, 2,
        SSL3_AL_FATAL, (unsigned char)alert};
    if (BIO_write(SSL_get_wbio(conn->ssl), record, sizeof record) == (int)sizeof record) {
        conn->found.alert = alert;
        conn->found.alert_received = false;
    }
}

/*
 * Ends the connection with a peer that the program refused when libssl's verification was over. A
 * server sends an alert in TLS 1.3, and in TLS 1.2 before the end of a full handshake; elsewhere
 * none can be sent. The peer gets no close_notify, because its end must not look clean.
 */
static tlslife_status refuse_peer(tlslife_conn *conn, bool held) {
    SSL_SESSION *session = SSL_get0_session(conn->ssl);
    if (session != NULL) {
        SSL_CTX_remove_session(conn->origin->ctx, session);
    }
    bool blocking = conn->blocking;
    /* The call does not wait for a refused peer to read the alert. */
    tlsl_conn_set_waiting(conn, false, conn->timeout_ms);
    if (held) {
        send_plain_alert(conn);
    } else if (SSL_is_server(conn->ssl) && SSL_version(conn->ssl) >= TLS1_3_VERSION) {
        send_alert_in_ticket(conn);
    }
    ERR_clear_error();
    tlsl_conn_set_waiting(conn, blocking, conn->timeout_ms);
    tlslife_error *err = tlsl_conn_error(conn);
    tlsl_fail(err, TLSLIFE_ERR_VERIFY, "the program refused the peer's certificate");
    if (err != NULL) {
        err->alert = conn->found.alert;
        err->verify_result = conn->found.verify_result != X509_V_OK
                                 ? conn->found.verify_result
                                 : X509_V_ERR_APPLICATION_VERIFICATION;
        err->verify_depth = 0;
    }
    return tlsl_conn_end(conn, TLSLIFE_ERROR);
}

tlslife_status tlsl_handshake_question(tlslife_conn *conn) {
    if (conn->asked.verify == TLSL_REFUSED) {
        return refuse_peer(conn, tlsl_handshake_held(conn));
    }
    if (conn->asked.verify != TLSL_ACCEPTED) {
        conn->asked.verify = TLSL_ASKED;
        return TLSLIFE_WANT_VERIFY;
    }
    return TLSLIFE_OK;
}

/*
 * A server may renew the ticket of a TLS 1.2 session that is resumed. libssl then makes a new
 * session and does not call the new-session callback, so that is done here.
 */
static void keep_renewed(tlslife_conn *conn) {
    SSL_SESSION *session = SSL_get0_session(conn->ssl);
    if (!conn->resume.offered || session == NULL || session == conn->resume.offered_session ||
        !SSL_session_reused(conn->ssl) || SSL_version(conn->ssl) >= TLS1_3_VERSION ||
        conn->origin->resumption == TLSLIFE_RESUMPTION_OFF) {
        return;
    }
    SSL_SESSION_up_ref(session);
    if (!tlsl_conn_new_session(conn, session)) {
        SSL_SESSION_free(session);
    }
}

/* A client has asked already about a server that showed its certificate in this handshake. */
static bool asks_at_end(const tlslife_conn *conn) {
    return tlsl_conn_asks_verify(conn) &&
           (SSL_is_server(conn->ssl) || SSL_session_reused(conn->ssl));
}

tlslife_status tlsl_handshake_finish(tlslife_conn *conn, bool *done) {
    *done = true;
    conn->known = true; /* on_info sets this too, but a foreign context has no such callback */
    bool server = SSL_is_server(conn->ssl), asks = !conn->open && asks_at_end(conn);
    tlslife_status status = asks ? tlsl_handshake_question(conn) : TLSLIFE_OK;
    if (status != TLSLIFE_OK) {
        return status;
    }
    if (!conn->open && !server && !conn->origin->foreign) {
        keep_renewed(conn);
    }
    tlsl_handshake_unhold(conn);
    conn->open = conn->shaken = true;
    if (asks) {
        conn->asked.verify = TLSL_UNASKED;
        *done = !server || !tlsl_conn_release_tickets(conn);
    }
    return TLSLIFE_OK;
}

tlslife_status tlsl_handshake_drive(tlslife_conn *conn, const char *verb, bool server,
                                    int64_t *deadline) {
    uint64_t since = tlsl_traced_now(conn);
    tlslife_status status = tlsl_handshake_begin(conn, verb, server, deadline);
    bool done = false;
    if (status == TLSLIFE_OK && conn->data.early != NULL) {
        status = tlsl_early_end(conn, deadline, verb);
    }
    while (status == TLSLIFE_OK && !done) {
        tlsl_errors_clear();
        int ret = SSL_do_handshake(conn->ssl);
        status = ret == 1 ? tlsl_handshake_finish(conn, &done)
                          : tlsl_conn_settle(conn, ret, deadline, verb);
    }
    tlsl_conn_facts(conn);
    return tlsl_called(conn, verb, since, status, 0);
}

static tlslife_status drive(tlslife_conn *conn, const char *verb, bool server) {
    int64_t deadline = TLSL_DEADLINE_UNSET;
    return tlsl_handshake_drive(conn, verb, server, &deadline);
}

tlslife_status tlslife_conn_connect(tlslife_conn *conn) {
    return drive(conn, "connect", false);
}

tlslife_status tlslife_conn_accept(tlslife_conn *conn) {
    return drive(conn, "accept", true);
}

tlslife_status tlslife_conn_handshake(tlslife_conn *conn) {
    return drive(conn, "handshake", SSL_is_server(conn->ssl));
}

bool tlslife_conn_handshake_done(const tlslife_conn *conn) {
    return conn->open;
}

/* -------------------------------------------------------------------------- after the handshake */

static tlslife_status after_handshake(tlslife_conn *conn, const char *verb, bool tls13) {
    ERR_clear_error();
    if (!conn->open || conn->final_status != TLSLIFE_OK) {
        return tlsl_conn_ready(conn, verb);
    }
    if ((SSL_version(conn->ssl) >= TLS1_3_VERSION) == tls13) {
        return TLSLIFE_OK;
    }
    return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s is not in %s", verb,
                          SSL_get_version(conn->ssl));
}

static tlslife_status asked(tlslife_conn *conn, int ret, const char *verb) {
    tlslife_status status =
        ret == 1 ? TLSLIFE_OK
                 : tlsl_fail_openssl(tlsl_conn_error(conn), TLSLIFE_ERR_TLS, "%s failed", verb);
    return tlsl_called(conn, verb, tlsl_traced_now(conn), status, 0);
}

tlslife_status tlslife_conn_key_update(tlslife_conn *conn, bool request_peer) {
    tlslife_status status = after_handshake(conn, "key_update", true);
    int type = request_peer ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
    return status != TLSLIFE_OK ? status
                                : asked(conn, SSL_key_update(conn->ssl, type), "key_update");
}

tlslife_status tlslife_conn_renegotiate(tlslife_conn *conn, bool abbreviated) {
    tlslife_status status = after_handshake(conn, "renegotiate", false);
    if (status != TLSLIFE_OK) {
        return status;
    }
    int ret = abbreviated ? SSL_renegotiate_abbreviated(conn->ssl) : SSL_renegotiate(conn->ssl);
    return asked(conn, ret, "renegotiate");
}

bool tlslife_conn_renegotiate_pending(const tlslife_conn *conn) {
    return SSL_renegotiate_pending(conn->ssl);
}

tlslife_status tlslife_conn_request_client_certificate(tlslife_conn *conn) {
    const char *verb = "request_client_certificate";
    tlslife_status status = check_side(conn, verb, true);
    if (status == TLSLIFE_OK) {
        status = after_handshake(conn, verb, true);
    }
    if (status != TLSLIFE_OK) {
        return status;
    }
    if (SSL_get_verify_mode(conn->ssl) == SSL_VERIFY_NONE) {
        /* The context asks for no certificate in the handshake, but this one must be verified. */
        SSL_set_verify(
            conn->ssl,
            SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT | SSL_VERIFY_POST_HANDSHAKE, NULL);
    }
    return asked(conn, SSL_verify_client_post_handshake(conn->ssl), verb);
}

tlslife_status tlslife_conn_new_session_ticket(tlslife_conn *conn) {
    const char *verb = "new_session_ticket";
    tlslife_status status = check_side(conn, verb, true);
    if (status == TLSLIFE_OK) {
        status = after_handshake(conn, verb, true);
    }
    return status != TLSLIFE_OK ? status : asked(conn, SSL_new_session_ticket(conn->ssl), verb);
}
