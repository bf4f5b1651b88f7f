/*
 * handshake.h: declares the beginning and the end of a handshake, for the calls that run one.
 * handshake.c.
 */
#ifndef TLSLIFE_HANDSHAKE_H
#define TLSLIFE_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "tls/conn.h"
#include "tlslife.h"

/*
 * Checks and sets up what a handshake needs before it goes on. verb is the name of the call, for
 * messages; server is the side that the call belongs to.
 */
tlslife_status tlsl_handshake_begin(tlslife_conn *conn, const char *verb, bool server,
                                    int64_t *deadline);

/*
 * Ends the handshake of the connection when libssl's own has ended, or returns the question that is
 * left. OK without *done means that libssl has tickets to send, so SSL_do_handshake must run again.
 */
tlslife_status tlsl_handshake_finish(tlslife_conn *conn, bool *done);

/* tlslife_conn_handshake, for a call with a deadline already. It keeps early data to be read. */
tlslife_status tlsl_handshake_drive(tlslife_conn *conn, const char *verb, bool server,
                                    int64_t *deadline);

/*
 * Server, once its context for the ClientHello is known: prepares the transport so that the
 * Finished of a TLS 1.2 client is not read before the program has answered. Then the client can be
 * refused within the handshake.
 */
void tlsl_handshake_hold(tlslife_conn *conn);
void tlsl_handshake_unhold(const tlslife_conn *conn);
/* Whether the client's Finished must not be read yet. */
bool tlsl_handshake_held(const tlslife_conn *conn);
/* Asks about the peer: WANT_VERIFY, OK where it was accepted, or ERROR where it was refused. */
tlslife_status tlsl_handshake_question(tlslife_conn *conn);

#endif
