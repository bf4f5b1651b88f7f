/*
 * session.c: takes sessions into a connection, hands them out, and imports their bytes.
 *
 * The context that a session belongs to is in its session id context (context.c), which libssl
 * copies into every session and never sends.
 *
 * An attacker would give us bytes that are no session, or one that was verified less strictly, by
 * way of a file. So the length of imported bytes is bounded, and they become a session of a context
 * only if their policy is that context's.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "base/names.h"
#include "tls/context/context.h"
#include "tls/session/lookup.h"
#include "tls/session/session.h"
#include "tls/state/conn.h"
#include "tls/state/failure.h"
#include "tls/state/traced.h"
#include "tlslife.h"
#include "tlslife_openssl.h"
#include "values/session_value.h"

#define SESSION_BYTES_MAX ((size_t)64 * 1024) /* bytes; one with a long chain has some 10 KiB */

static SSL_SESSION *raw(const tlslife_session *session) {
    return (SSL_SESSION *)(uintptr_t)session;
}

/* ------------------------------------------------------------------------------- in connections */

void tlsl_conn_keep_session(tlslife_conn *conn, SSL_SESSION *session) {
    if (conn->resume.arrived == NULL) {
        conn->resume.arrived = calloc(TLSL_SESSIONS_MAX, sizeof *conn->resume.arrived);
    }
    if (conn->resume.arrived == NULL) {
        SSL_SESSION_free(session); /* memory is short: the next handshake is a full one */
        return;
    }
    if (conn->resume.arrived_len == TLSL_SESSIONS_MAX) {
        SSL_SESSION_free(conn->resume.arrived[0]);
        conn->resume.arrived_len--;
        memmove(conn->resume.arrived, conn->resume.arrived + 1,
                conn->resume.arrived_len * sizeof *conn->resume.arrived);
    }
    conn->resume.arrived[conn->resume.arrived_len++] = session;
}

/*
 * Notes in a client's session what libssl leaves out: the host name that the server has not
 * acknowledged (an address is no name, RFC 6066 section 3), and that the client had a certificate.
 * Returns false if memory is short for the latter: the session could leave the process then.
 */
static bool note_client(const tlslife_conn *conn, SSL_SESSION *session) {
    if (conn->set.hostname != NULL && !tlsl_is_ip(conn->set.hostname)) {
        SSL_SESSION_set1_hostname(session, conn->set.hostname);
    }
    return SSL_get_certificate(conn->ssl) == NULL ||
           tlsl_session_set_mark(session, TLSL_MARK_CERTIFICATE);
}

bool tlsl_conn_new_session(tlslife_conn *conn, SSL_SESSION *session) {
    if (!SSL_is_server(conn->ssl) && !note_client(conn, session)) {
        return false;
    }
    tlsl_told(conn, "made", session, TLSLIFE_OUTCOME_NONE);
    bool cached = SSL_is_server(conn->ssl) || conn->origin->cache != NULL;
    if (cached && !tlsl_cache_new_session(conn, session)) {
        return false;
    }
    /*
     * From this queue the program takes it or, with a store, the connection does once libssl has
     * returned.
     */
    tlsl_conn_keep_session(conn, session);
    conn->facts = true;
    return true;
}

tlslife_session *tlslife_conn_take_session(tlslife_conn *conn) {
    if (conn->resume.arrived_len == 0) {
        return NULL;
    }
    SSL_SESSION *session = conn->resume.arrived[0];
    conn->resume.arrived_len--;
    memmove(conn->resume.arrived, conn->resume.arrived + 1,
            conn->resume.arrived_len * sizeof *conn->resume.arrived);
    tlsl_told(conn, "taken", session, TLSLIFE_OUTCOME_NONE);
    return tlslife_session_from_ssl_session(session);
}

/* Reads the session id context of a client's session. false if it is not one that we have set. */
static bool client_id(const SSL_SESSION *session, tlsl_client_id *out) {
    unsigned len = 0;
    const unsigned char *id = SSL_SESSION_get0_id_context(session, &len);
    if (len == sizeof *out) {
        memcpy(out, id, sizeof *out);
    }
    return len == sizeof *out;
}

tlslife_status tlsl_session_check(tlslife_conn *conn, const SSL_SESSION *session) {
    tlsl_client_id theirs, ours;
    if (conn->context->foreign) {
        return TLSLIFE_OK;
    }
    memcpy(&ours, conn->resume.sid_ctx, sizeof ours);
    if (!client_id(session, &theirs) || theirs.number != ours.number) {
        return tlsl_conn_fail(
            conn, TLSLIFE_ERR_USAGE,
            "this session belongs to another context: export it and import the bytes into this "
            "one");
    }
    const char *name = SSL_SESSION_get0_hostname(session);
    if (conn->set.hostname != NULL && memcmp(theirs.host, ours.host, sizeof ours.host) != 0) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "the session offered was made with %s and this connection is for %s: "
                              "resuming would skip the verification of its name",
                              name == NULL ? "another host" : name, conn->set.hostname);
    }
    return TLSLIFE_OK;
}

/*
 * Ends a connection from which the program has taken the session. libssl would go on with the NULL
 * and dereference it.
 */
static void give_up(tlslife_conn *conn) {
    tlsl_conn_fail(conn, TLSLIFE_ERR_TLS,
                   "this connection has ended: its session was taken by set_session");
    (void)tlsl_conn_end(conn, TLSLIFE_ERROR);
    conn->open = conn->shaken = conn->known = false;
}

tlslife_status tlslife_conn_set_session(tlslife_conn *conn, tlslife_session *session) {
    tlsl_errors_clear();
    if (session != NULL && SSL_is_server(conn->ssl)) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "set_session on a server's connection: the client offers sessions");
    }
    if (session != NULL && !conn->origin->foreign &&
        conn->origin->resumption == TLSLIFE_RESUMPTION_OFF) {
        return tlsl_conn_fail(
            conn, TLSLIFE_ERR_USAGE,
            "set_session, but the context's resumption is \"off\": no session is offered");
    }
    bool begun = conn->begun || !SSL_in_before(conn->ssl);
    if (session != NULL && begun) {
        return tlsl_conn_fail(
            conn, TLSLIFE_ERR_USAGE,
            "set_session once the handshake has begun ruins the connection: clear begins anew");
    }
    if (begun) {
        give_up(conn);
    }
    if (session != NULL && tlsl_session_check(conn, raw(session)) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    SSL_SESSION *stored = tlsl_stored_before_end(conn), *judged = tlsl_traced_before_end(conn);
    int set = SSL_set_session(conn->ssl, raw(session));
    tlsl_stored_after_end(conn, stored);
    tlsl_traced_after_end(conn, judged);
    if (set != 1) {
        return tlsl_fail_openssl(tlsl_conn_error(conn), TLSLIFE_ERR_TLS, "set_session failed");
    }
    tlsl_conn_note_given_session(conn, raw(session));
    return tlsl_called(conn, "set_session", tlsl_traced_now(conn), TLSLIFE_OK, 0);
}

void tlsl_conn_note_given_session(tlslife_conn *conn, SSL_SESSION *session) {
    if (session != NULL) {
        SSL_SESSION_up_ref(session);
    }
    SSL_SESSION_free(conn->resume.given_session);
    conn->resume.given_session = session;
}

bool tlsl_conn_has_given_session(const tlslife_conn *conn) {
    return conn->resume.given_session != NULL &&
           SSL_get0_session(conn->ssl) == conn->resume.given_session;
}

tlslife_session *tlslife_conn_get0_session(const tlslife_conn *conn) {
    return tlslife_session_from_ssl_session(SSL_get0_session(conn->ssl));
}

tlslife_session *tlslife_conn_get1_session(tlslife_conn *conn) {
    return tlslife_session_from_ssl_session(SSL_get1_session(conn->ssl));
}

bool tlslife_conn_session_reused(const tlslife_conn *conn) {
    return SSL_session_reused(conn->ssl) && SSL_get0_session(conn->ssl) != NULL;
}

static size_t tickets_wanted(const tlslife_conn *conn) {
    if (conn->context->resumption == TLSLIFE_RESUMPTION_OFF) {
        return 0; /* libssl would send tickets with an id that no cache holds */
    }
    return conn->set.num_tickets >= 0 ? (size_t)conn->set.num_tickets
                                      : SSL_CTX_get_num_tickets(conn->context->ctx);
}

void tlsl_conn_set_tickets(tlslife_conn *conn) {
    if (!SSL_is_server(conn->ssl) || conn->context->foreign) {
        return;
    }
    SSL_set_num_tickets(conn->ssl, tlsl_asks_verify(conn->context) ? 0 : tickets_wanted(conn));
}

bool tlsl_conn_release_tickets(tlslife_conn *conn) {
    size_t wanted = tickets_wanted(conn);
    bool sent = false;
    if (SSL_version(conn->ssl) < TLS1_3_VERSION) {
        return false; /* TLS 1.2 sends its ticket within the handshake */
    }
    if (wanted > 0 && SSL_session_reused(conn->ssl)) {
        wanted = 1;
    }
    while (wanted-- > 0 && SSL_new_session_ticket(conn->ssl) == 1) {
        sent = true;
    }
    return sent;
}

/* --------------------------------------------------------------------------------------- import */

static SSL_SESSION *parse(const unsigned char *bytes, size_t len) {
    static const char armour[] = "-----BEGIN";
    if (len < sizeof armour - 1 || memcmp(bytes, armour, sizeof armour - 1) != 0) {
        const unsigned char *end = bytes;
        SSL_SESSION *session = d2i_SSL_SESSION(NULL, &end, (long)len);
        if (session != NULL && end != bytes + len) { /* bytes after the session are refused */
            SSL_SESSION_free(session);
            session = NULL;
        }
        return session;
    }
    BIO *bio = BIO_new_mem_buf(bytes, (int)len);
    SSL_SESSION *session = bio == NULL ? NULL : PEM_read_bio_SSL_SESSION(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return session;
}

/*
 * libssl does not always say that it had no memory to read bytes. So they are refused if they are
 * refused twice.
 */
static SSL_SESSION *parse_twice(const unsigned char *bytes, size_t len) {
    SSL_SESSION *session = NULL;
    for (int i = 0; i < 2 && session == NULL && len > 0 && len <= SESSION_BYTES_MAX; i++) {
        ERR_clear_error();
        session = parse(bytes, len);
    }
    return session;
}

/*
 * Makes session one of this client's context. It keeps the host that it was made with. false if the
 * context verifies peers and the session's policy is another.
 */
static bool adopt_client(const tlslife_context *context, SSL_SESSION *session) {
    tlsl_client_id theirs, ours;
    memcpy(&ours, context->sid_ctx, sizeof ours);
    if (context->verify != TLSLIFE_VERIFY_NONE) {
        if (!client_id(session, &theirs) ||
            memcmp(theirs.policy, ours.policy, sizeof ours.policy) != 0) {
            return false;
        }
        memcpy(ours.host, theirs.host, sizeof ours.host);
    }
    return SSL_SESSION_set1_id_context(session, (const unsigned char *)&ours, sizeof ours) == 1;
}

static bool adopt(const tlslife_context *context, SSL_SESSION *session) {
    unsigned len = 0;
    const unsigned char *id = SSL_SESSION_get0_id_context(session, &len);
    if (context->foreign) {
        return true;
    }
    if (context->role == TLSLIFE_CLIENT) {
        return adopt_client(context, session);
    }
    return len == context->sid_ctx_len && memcmp(id, context->sid_ctx, len) == 0;
}

tlslife_session *tlslife_context_import_session(tlslife_context *context,
                                                const unsigned char *bytes, size_t bytes_len,
                                                tlslife_error *err) {
    if (tlsl_context_freeze(context, err) != TLSLIFE_OK) {
        return NULL;
    }
    SSL_SESSION *session = parse_twice(bytes, bytes_len);
    if (session == NULL) {
        tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT,
                          "these %zu bytes are no session, DER or PEM, of at most 64 KiB",
                          bytes_len);
        return NULL;
    }
    if (!adopt(context, session)) {
        SSL_SESSION_free(session);
        tlsl_fail(
            err, TLSLIFE_ERR_USAGE,
            "this session was made under another policy (verification, CAs, our certificate or PSK "
            "differ): this context's full handshake would not have made it");
        return NULL;
    }
    return tlslife_session_from_ssl_session(session);
}

/* ---------------------------------------------------------------------------- ticket's own data */

/* Bytes. A ticket has 64 KiB at most, and the client sends it in its ClientHello. */
#define TICKET_DATA_MAX 1024

static unsigned char *copy_data(const unsigned char *data, size_t len) {
    unsigned char *copy = malloc(len + 1);
    if (copy != NULL && len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

tlslife_status tlslife_conn_set_ticket_data(tlslife_conn *conn, const unsigned char *data,
                                            size_t data_len) {
    if (!SSL_is_server(conn->ssl) || data_len > TICKET_DATA_MAX) {
        return tlsl_conn_fail(
            conn, TLSLIFE_ERR_USAGE,
            "set_ticket_data is for a server's connection, and takes at most 1024 bytes");
    }
    unsigned char *copy = copy_data(data, data_len);
    if (copy == NULL) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_MEMORY, "out of memory for a ticket's data");
    }
    free(conn->set.ticket_data);
    conn->set.ticket_data = copy;
    conn->set.ticket_data_len = data_len;
    return TLSLIFE_OK;
}

static tlslife_bytes session_data(const tlslife_conn *conn) {
    SSL_SESSION *session = SSL_get0_session(conn->ssl);
    void *data = NULL;
    size_t len = 0;
    bool some =
        session != NULL && SSL_SESSION_get0_ticket_appdata(session, &data, &len) == 1 && len > 0;
    return some ? (tlslife_bytes){data, len} : (tlslife_bytes){NULL, 0};
}

/*
 * Puts the connection's own data into the session of a ticket. A resumed connection's session
 * begins as a copy of the one in the ticket, whose data are kept aside for the program first.
 */
bool tlsl_conn_label_ticket(tlslife_conn *conn) {
    if (conn->resume.resumed_data == NULL && SSL_session_reused(conn->ssl)) {
        tlslife_bytes old = session_data(conn);
        conn->resume.resumed_data = copy_data(old.data, old.len);
        conn->resume.resumed_data_len = old.len;
        if (conn->resume.resumed_data == NULL) {
            return false;
        }
    }
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(conn->ssl), conn->set.ticket_data,
                                           conn->set.ticket_data_len) == 1;
}

bool tlslife_conn_ticket_data(const tlslife_conn *conn, tlslife_bytes *out) {
    if (!SSL_is_server(conn->ssl) || !SSL_session_reused(conn->ssl)) {
        return false;
    }
    *out = conn->resume.resumed_data != NULL
               ? (tlslife_bytes){conn->resume.resumed_data, conn->resume.resumed_data_len}
               : session_data(conn);
    return out->len > 0;
}
