/*
 * lookup.h: finding a session for a handshake, and keeping one that was made. lookup.c.
 */
#ifndef TLSLIFE_LOOKUP_H
#define TLSLIFE_LOOKUP_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "tlslife.h"

typedef struct tlsl_search tlsl_search;

/*
 * Ends the search of conn, if there is one: cancels what the store was asked, and frees a session
 * that was found and not used.
 */
void tlsl_search_free(tlslife_conn *conn);
/* Client: forgets under what its sessions are kept. */
void tlsl_session_name_free(tlslife_conn *conn);
/*
 * Called in the ClientHello callback. Begins a search, and sets *out_waits if the handshake must
 * wait for an external store. false if memory is short.
 */
bool tlsl_search_for_hello(tlslife_conn *conn, bool *out_waits);
/*
 * Server: whether the search has found a session by the id of a TLS 1.2 ClientHello that also
 * offers a ticket.
 */
bool tlsl_search_found_id(const tlslife_conn *conn);
/*
 * Server: records why session, which was found, is not resumed, in case libssl does not resume it.
 */
void tlsl_search_judge(tlslife_conn *conn, const SSL_SESSION *session);
/*
 * Continues the search; on a blocking connection, waits for the store. TLSLIFE_OK if the search has
 * ended (with or without a session), WANT_SESSION if the store has yet to answer, TIMEOUT, or
 * ERROR. *deadline is set from the connection's timeout if it is unset.
 */
tlslife_status tlsl_search_go_on(tlslife_conn *conn, int64_t *deadline);
bool tlsl_search_waits(const tlslife_conn *conn);
/*
 * Client: offers the session that the cache has for this peer. It is called before the first byte
 * is sent, and returns what tlsl_search_go_on returns.
 */
tlslife_status tlsl_search_for_peer(tlslife_conn *conn, int64_t *deadline);
/*
 * Called in a callback of libssl when conn has a new session: keeps it in memory if it belongs
 * there. true if it belongs into the external store, where the caller then puts it with
 * tlsl_cache_store_session after the call of libssl.
 */
bool tlsl_cache_new_session(tlslife_conn *conn, SSL_SESSION *session);
void tlsl_cache_store_session(tlslife_conn *conn, SSL_SESSION *session);
/*
 * Client: called around the SSL_ call that judges the session of conn at its end. The first gives
 * that session, with a reference, if the external store has it, and otherwise NULL. The second
 * takes it over, and removes it from the store if it has become bad.
 */
SSL_SESSION *tlsl_stored_before_end(const tlslife_conn *conn);
void tlsl_stored_after_end(tlslife_conn *conn, SSL_SESSION *session);
/* SSL_CTX_sess_set_get_cb(3), SSL_CTX_sess_set_remove_cb(3) */
SSL_SESSION *tlsl_on_get_session(SSL *ssl, const unsigned char *id, int id_len, int *copy);
void tlsl_on_remove_session(SSL_CTX *ctx, SSL_SESSION *session);

#endif
