/*
 * begin.h: declares what comes before a handshake. begin.c.
 */
#ifndef TLSLIFE_BEGIN_H
#define TLSLIFE_BEGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "tlslife.h"

/*
 * Checks and sets up what a handshake needs before it goes on. verb is the name of the call, for
 * messages; server is the side that the call belongs to.
 */
tlslife_status tlsl_handshake_begin(tlslife_conn *conn, const char *verb, bool server,
                                    int64_t *deadline);
/* Client: whether the ClientHello that begins now offers conn's session as a ticket of TLS 1.3. */
bool tlsl_ticket_is_offered(const tlslife_conn *conn);
/* OK if conn is on this side, or the error says that it is not (USAGE). */
tlslife_status tlsl_check_side(tlslife_conn *conn, const char *verb, bool server);

#endif
