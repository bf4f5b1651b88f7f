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

/*
 * Before an SSL_ call that moves data: OK where that can be made, or the status to return. A
 * question that is open is asked again. verb is for the message.
 */
tlslife_status tlsl_conn_ready(tlslife_conn *conn, const char *verb);

#endif
