/*
 * session.h: how sessions enter and leave a connection. session.c.
 */
#ifndef TLSLIFE_SESSION_H
#define TLSLIFE_SESSION_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "tlslife.h"

/*
 * Called in a callback of libssl when a session has arrived or been made. Puts it into the cache,
 * or into the connection's queue. true if the reference was taken.
 */
bool tlsl_conn_new_session(tlslife_conn *conn, SSL_SESSION *session);
/*
 * Puts the connection's own data into the session of which a ticket is about to be made. false if
 * memory is short.
 */
bool tlsl_conn_label_ticket(tlslife_conn *conn);
/* Puts a session that arrived into the connection's queue, and takes over the reference. */
void tlsl_conn_keep_session(tlslife_conn *conn, SSL_SESSION *session);
/*
 * Server: tells libssl how many tickets to send with the handshake. It is none if the program has
 * yet to accept the peer.
 */
void tlsl_conn_set_tickets(tlslife_conn *conn);
/* Server: sends the tickets that were held back. true if there were any. */
bool tlsl_conn_release_tickets(tlslife_conn *conn);
/*
 * Client: notes the session that the program has given, with a reference of its own (NULL for
 * none).
 */
void tlsl_conn_note_given_session(tlslife_conn *conn, SSL_SESSION *session);
/* Client: whether libssl will still offer the session that the program has given. */
bool tlsl_conn_has_given_session(const tlslife_conn *conn);
/*
 * TLSLIFE_OK if conn may offer session: its context and host name are the connection's. Else USAGE.
 */
tlslife_status tlsl_session_check(tlslife_conn *conn, const SSL_SESSION *session);

#endif
