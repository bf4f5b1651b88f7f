/*
 * resumption.h: how a context resumes sessions (tickets, ids), and what that means in a handshake.
 * resumption.c.
 */
#ifndef TLSLIFE_RESUMPTION_H
#define TLSLIFE_RESUMPTION_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/state/conn.h"
#include "tlslife.h"

/* Whether conn's settings allow TLS 1.3. */
bool tlsl_conn_speaks_tls13(const tlslife_conn *conn);
tlslife_status tlsl_check_num_tickets(size_t num_tickets, tlslife_error *err);

/*
 * The cache, without a reference, that holds the sessions of context's connections by id: the
 * program's or a server's own. NULL if there is none. If make is true and a server's context has
 * none, it gets one of its own; NULL then means that memory is short.
 */
tlslife_cache *tlsl_context_session_cache(tlslife_context *context, bool make);

/*
 * Server: whether a ticket of TLS 1.3 may send early data if its permit is still there (permit.c).
 * Where there are no ticket keys of ours, sessions that allow early data are found by id instead,
 * and each once.
 */
bool tlsl_conn_permits(const tlslife_conn *conn);
/* What the entries of conn's cache are bound to: the policy in force, lent. */
tlslife_bytes tlsl_policy_of(const tlslife_conn *conn);
/* Server: whether the context in force keeps and finds sessions of this version by id. */
bool tlsl_conn_keeps_ids(const tlslife_conn *conn, bool tls13);
/*
 * Server: decides whether libssl opens and makes tickets in this handshake, and whether it gives
 * out an id. takes_ticket says whether the client would take a ticket of TLS 1.2. It is called when
 * the context is known, and the version all but certainly.
 */
void tlsl_conn_choose_tickets(tlslife_conn *conn, bool tls13, bool takes_ticket);
/*
 * Whether ssl would agree on the session's cipher in a full handshake, too. A session of TLS 1.3
 * always fits, because it fixes no cipher.
 */
bool tlsl_session_fits(SSL *ssl, const SSL_SESSION *session);

#endif
