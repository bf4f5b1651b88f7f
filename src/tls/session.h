/*
 * session.h: how sessions enter and leave a connection. session.c.
 */
#ifndef TLSLIFE_SESSION_H
#define TLSLIFE_SESSION_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "tlslife.h"

/*
 * A session has arrived or been made: to the cache, or into the connection's queue. true: the
 * reference was taken.
 */
bool tlsl_conn_new_session(tlslife_conn *conn, SSL_SESSION *session);
/*
 * The connection's own data into the session of which a ticket is about to be made. false: out of
 * memory.
 */
bool tlsl_conn_label_ticket(tlslife_conn *conn);
/* Keeps a session that arrived, with the reference given. */
void tlsl_conn_keep_session(tlslife_conn *conn, SSL_SESSION *session);
/*
 * Server: tells libssl how many tickets go out with the handshake: none while the program has yet
 * to accept the peer.
 */
void tlsl_conn_set_tickets(tlslife_conn *conn);
/* Server: sends the tickets that were held back. */
bool tlsl_conn_release_tickets(tlslife_conn *conn);
/*
 * Client: the session that the program has given (a reference is taken), and whether it is still
 * the one to be offered.
 */
void tlsl_conn_note_given_session(tlslife_conn *conn, SSL_SESSION *session);
bool tlsl_conn_has_given_session(const tlslife_conn *conn);
/* Whether session may be offered by conn: its context and its host name. */
tlslife_status tlsl_session_check(tlslife_conn *conn, const SSL_SESSION *session);

#endif
