/*
 * hold.h: declares how what the peer sends is kept unread. hold.c.
 */
#ifndef TLSLIFE_HOLD_H
#define TLSLIFE_HOLD_H

#include <stdbool.h>

#include "tls/state/conn.h"
#include "tlslife.h"

/*
 * Prepares the transport so that what the program is asked about first is not read before it has
 * answered: on a server, once its context for the ClientHello is known, the Finished of a TLS 1.2
 * client, which can then be refused within the handshake; and what names a PSK, or hints at one.
 */
void tlsl_handshake_hold(tlslife_conn *conn);
void tlsl_handshake_let_go(tlslife_conn *conn);
/* Undoes tlsl_handshake_hold. */
static inline void tlsl_handshake_unhold(tlslife_conn *conn) {
    if (conn->transport.holds) {
        tlsl_handshake_let_go(conn);
    }
}
/* Whether the client's Finished must not be read yet. */
bool tlsl_handshake_held(const tlslife_conn *conn);

#endif
