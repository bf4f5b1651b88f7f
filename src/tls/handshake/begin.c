/*
 * begin.c: checks and sets up what a handshake needs before its first byte: the side, the transport
 * and the PROXY header on it, the name that is to be verified, and a client's session.
 */
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "net/fd.h"
#include "tls/context/context.h"
#include "tls/context/resumption.h"
#include "tls/handshake/begin.h"
#include "tls/handshake/hold.h"
#include "tls/handshake/psk_question.h"
#include "tls/handshake/question.h"
#include "tls/session/lookup.h"
#include "tls/session/session.h"
#include "tls/state/conn.h"
#include "tls/state/failure.h"
#include "tls/state/measured.h"
#include "tls/state/proxied.h"
#include "tls/state/traced.h"
#include "tlslife.h"
#include "values/session_value.h"

tlslife_status tlsl_check_side(tlslife_conn *conn, const char *verb, bool server) {
    if (SSL_is_server(conn->ssl) == server) {
        return TLSLIFE_OK;
    }
    return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s on a %s's connection: it is for a %s's",
                          verb, server ? "client" : "server", server ? "server" : "client");
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

/* Whether a session is older than its server said that it would be taken. */
static bool outlived(const SSL_SESSION *session) {
    int64_t age = time(NULL) - SSL_SESSION_get_time(session);
    bool tls13 = SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION;
    int64_t lifetime = (int64_t)SSL_SESSION_get_ticket_lifetime_hint(session);
    return (tls13 || lifetime > 0) && age > lifetime;
}

/* libssl leaves out a TLS 1.3 ticket that was outlived, and offers all others, however old. */
static bool too_old(const SSL_SESSION *session) {
    return tlsl_session_left(session, 0, time(NULL)) == 0 || outlived(session);
}

bool tlsl_ticket_is_offered(const tlslife_conn *conn) {
    const SSL_SESSION *session = SSL_get0_session(conn->ssl);
    return conn->resume.offered && session != NULL &&
           SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION &&
           tlsl_conn_speaks_tls13(conn) && !outlived(session);
}

/*
 * Client: as tlsl_session_fits, which lists all ciphers that the ClientHello will offer. That is 2
 * per cent of a resumed handshake. The settings of a frozen context never change, so a cipher that
 * was offered once is offered again.
 */
static bool fits(const tlslife_conn *conn, const SSL_SESSION *session) {
    tlslife_context *context = conn->origin;
    const SSL_CIPHER *cipher = SSL_SESSION_get0_cipher(session);
    bool settled = !conn->lent && !context->foreign &&
                   !atomic_load_explicit(&context->lent, memory_order_relaxed);
    if (settled && cipher != NULL &&
        atomic_load_explicit(&context->offers, memory_order_relaxed) == cipher) {
        return true;
    }
    bool fit = tlsl_session_fits(conn->ssl, session);
    if (fit && settled && SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION) {
        atomic_store_explicit(&context->offers, cipher, memory_order_relaxed);
    }
    return fit;
}

/*
 * Client: whether the peer of the session that the SSL has was verified as this connection verifies
 * its own. A program that has the SSL of a connection may have had it verify less, and libssl
 * resumes the session that was made then without another look. A question is asked again, and what
 * a callback of the program has accepted is accepted.
 */
static bool was_verified(const tlslife_conn *conn) {
    bool verifies = (SSL_get_verify_mode(conn->ssl) & SSL_VERIFY_PEER) &&
                    SSL_get_verify_callback(conn->ssl) == NULL && !conn->context->foreign &&
                    !tlsl_asks_verify(conn->context);
    return !verifies || SSL_get_verify_result(conn->ssl) == X509_V_OK;
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
    if (session != NULL && !(fits(conn, session) && was_verified(conn))) {
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
        status = tlsl_psk_begin(conn);
    }
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
    if (!SSL_is_server(conn->ssl) && (conn->context->questions & TLSLIFE_ASK_PSK) &&
        conn->transport.kind != TLSL_FOREIGN) {
        tlsl_handshake_hold(conn);
    }
    conn->begun = true;
    tlsl_measured_begin(conn);
    return TLSLIFE_OK;
}

tlslife_status tlsl_handshake_begin(tlslife_conn *conn, const char *verb, bool server,
                                    int64_t *deadline) {
    if (conn->final_status != TLSLIFE_OK) {
        return tlsl_conn_final_status(conn);
    }
    if (tlsl_check_side(conn, verb, server) != TLSLIFE_OK ||
        tlsl_handshake_refusal(conn, verb) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    return begin(conn, verb, deadline);
}
