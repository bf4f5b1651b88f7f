/*
 * hold.h: declares how a TLS 1.2 client's Finished is kept unread. hold.c.
 */
#ifndef TLSLIFE_HOLD_H
#define TLSLIFE_HOLD_H

#include <stdbool.h>

#include "tlslife.h"

/*
 * Server, once its context for the ClientHello is known: prepares the transport so that the
 * Finished of a TLS 1.2 client is not read before the program has answered. Then the client can be
 * refused within the handshake.
 */
void tlsl_handshake_hold(tlslife_conn *conn);
void tlsl_handshake_unhold(const tlslife_conn *conn);
/* Whether the client's Finished must not be read yet. */
bool tlsl_handshake_held(const tlslife_conn *conn);

#endif
