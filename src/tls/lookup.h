/*
 * lookup.h: looking for a session, from callbacks and from the verbs. lookup.c.
 */
#ifndef TLSLIFE_LOOKUP_H
#define TLSLIFE_LOOKUP_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "tlslife.h"

typedef struct tlsl_search tlsl_search;

/* Forgets what is looked for, and what was found and not used. */
void tlsl_search_free(tlslife_conn *conn);
/*
 * A ClientHello is in (under its callback): whether the handshake must wait for a far home. false:
 * out of memory.
 */
bool tlsl_search_for_hello(tlslife_conn *conn, bool *out_waits);
/* Server: whether the id of a TLS 1.2 hello, which offers a ticket too, has led to a session. */
bool tlsl_search_found_id(const tlslife_conn *conn);
/* A server's session was found: should it not be resumed, why not. */
void tlsl_search_judge(tlslife_conn *conn, const SSL_SESSION *session);
/*
 * Goes on with what waits, and waits itself where it may: OK: it has ended; WANT_SESSION, TIMEOUT,
 * ERROR.
 */
tlslife_status tlsl_search_go_on(tlslife_conn *conn, int64_t *deadline);
bool tlsl_search_waits(const tlslife_conn *conn);
/* Before a client's first byte: offers what the cache has for this peer. As tlsl_search_go_on. */
tlslife_status tlsl_search_for_peer(tlslife_conn *conn, int64_t *deadline);
/*
 * A session was made: into memory, at once (under a callback). true: it goes into the store too, or
 * alone, after the call.
 */
bool tlsl_cache_new_session(tlslife_conn *conn, SSL_SESSION *session);
void tlsl_cache_store_session(tlslife_conn *conn, SSL_SESSION *session);
/* SSL_CTX_sess_set_get_cb(3), SSL_CTX_sess_set_remove_cb(3) */
SSL_SESSION *tlsl_on_get_session(SSL *ssl, const unsigned char *id, int id_len, int *copy);
void tlsl_on_remove_session(SSL_CTX *ctx, SSL_SESSION *session);

#endif
