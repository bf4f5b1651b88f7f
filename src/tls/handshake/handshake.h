/*
 * handshake.h: declares the beginning and the end of a handshake, for the calls that run one.
 * handshake.c.
 */
#ifndef TLSLIFE_HANDSHAKE_H
#define TLSLIFE_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "tls/state/conn.h"
#include "tlslife.h"

/* Makes what is left of the handshake. It keeps early data to be read. */
tlslife_status tlsl_handshake_drive(tlslife_conn *conn, const char *verb, bool server,
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
