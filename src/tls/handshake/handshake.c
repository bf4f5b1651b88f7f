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
#include <time.h>

#include "base/error_queue.h"
#include "tls/context/context.h"
#include "tls/handshake/begin.h"
#include "tls/handshake/early.h"
#include "tls/handshake/handshake.h"
#include "tls/handshake/hold.h"
#include "tls/handshake/question.h"
#include "tls/handshake/ssl_result.h"
#include "tls/session/session.h"
#include "tls/state/conn.h"
#include "tls/state/descriptor.h"
#include "tls/state/failure.h"
#include "tls/state/measured.h"
#include "tls/state/traced.h"
#include "tlslife.h"
#include "values/session_value.h"

/* --------------------------------------------------------------------------------------- ending */

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
    return tlsl_asks_verify(conn->context) &&
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
    if (!conn->shaken) {
        tlsl_measured_shaken(conn, tlslife_conn_resumption(conn));
    }
    conn->open = conn->shaken = true;
    conn->found.extms = SSL_get_extms_support(conn->ssl) == 1;
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
        int ret = SSL_do_handshake(conn->ssl); /* which empties the error queue by itself */
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

tlslife_status tlslife_conn_accept_early(tlslife_conn *conn) {
    static const char verb[] = "accept_early";
    uint64_t since = tlsl_traced_now(conn);
    int64_t deadline = TLSL_DEADLINE_UNSET;
    tlslife_status status = tlsl_handshake_begin(conn, verb, true, &deadline);
    if (status == TLSLIFE_OK) {
        status = tlsl_early_begin(conn, &deadline, verb);
    }
    return status != TLSLIFE_OK || tlslife_conn_early(conn)
               ? tlsl_called(conn, verb, since, status, 0)
               : tlsl_handshake_drive(conn, verb, true, &deadline);
}

bool tlslife_conn_handshake_done(const tlslife_conn *conn) {
    return conn->open;
}

tlslife_status tlsl_conn_ready(tlslife_conn *conn, const char *verb) {
    if (conn->final_status != TLSLIFE_OK) {
        return tlsl_conn_final_status(conn);
    }
    if (conn->transport.inner != NULL) {
        return tlsl_conn_carries(conn, verb);
    }
    if (conn->asked.verify != TLSL_UNASKED && conn->shaken && SSL_is_server(conn->ssl)) {
        /* A client certificate came after the handshake, and the program is asked before data. */
        return tlslife_conn_handshake(conn);
    }
    if (conn->open) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s without a transport, which was closed",
                              verb);
    }
    return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                          "%s before the handshake is done: call %s until it returns ok", verb,
                          SSL_is_server(conn->ssl) ? "accept" : "connect");
}

/* -------------------------------------------------------------------------- after the handshake */

/* Why a call that waits for nothing, and so asks no question again, cannot be made. */
static tlslife_status not_open(tlslife_conn *conn, const char *verb) {
    bool asks = conn->asked.verify != TLSL_UNASKED && conn->shaken && SSL_is_server(conn->ssl);
    return asks && conn->final_status == TLSLIFE_OK
               ? tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                                "%s before the program has accepted the client's certificate: call "
                                "handshake until it returns ok",
                                verb)
               : tlsl_conn_ready(conn, verb);
}

static tlslife_status after_handshake(tlslife_conn *conn, const char *verb, bool tls13) {
    ERR_clear_error();
    if (!conn->open || conn->final_status != TLSLIFE_OK) {
        return not_open(conn, verb);
    }
    if ((SSL_version(conn->ssl) >= TLS1_3_VERSION) != tls13) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s does not exist in %s", verb,
                              SSL_get_version(conn->ssl));
    }
    if (SSL_get_shutdown(conn->ssl) & SSL_SENT_SHUTDOWN) {
        /* libssl would send it behind the close_notify, where no peer looks at it. */
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s after shutdown", verb);
    }
    return TLSLIFE_OK;
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
    if (SSL_get_shutdown(conn->ssl) & SSL_RECEIVED_SHUTDOWN) {
        return TLSLIFE_CLOSED; /* the peer would not answer */
    }
    int ret = abbreviated ? SSL_renegotiate_abbreviated(conn->ssl) : SSL_renegotiate(conn->ssl);
    return asked(conn, ret, "renegotiate");
}

bool tlslife_conn_renegotiate_pending(const tlslife_conn *conn) {
    return SSL_renegotiate_pending(conn->ssl);
}

tlslife_status tlslife_conn_request_client_certificate(tlslife_conn *conn) {
    const char *verb = "request_client_certificate";
    tlslife_status status = tlsl_check_side(conn, verb, true);
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
    tlslife_status status = tlsl_check_side(conn, verb, true);
    if (status == TLSLIFE_OK) {
        status = after_handshake(conn, verb, true);
    }
    return status != TLSLIFE_OK ? status : asked(conn, SSL_new_session_ticket(conn->ssl), verb);
}

tlslife_status tlslife_conn_export_keying_material(tlslife_conn *conn, unsigned char *out,
                                                   size_t out_len, const char *label,
                                                   size_t label_len, const unsigned char *context,
                                                   size_t context_len) {
    if (!conn->open) {
        return not_open(conn, "export_keying_material");
    }
    ERR_clear_error();
    return SSL_export_keying_material(conn->ssl, out, out_len, label, label_len, context,
                                      context_len, context != NULL) == 1
               ? TLSLIFE_OK
               : tlsl_fail_openssl(tlsl_conn_error(conn), TLSLIFE_ERR_TLS,
                                   "cannot export keying material");
}
