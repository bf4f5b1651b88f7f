/*
 * handshake.h: the beginning and the end of a handshake, for the verbs that run one. handshake.c.
 */
#ifndef TLSLIFE_HANDSHAKE_H
#define TLSLIFE_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "tls/conn.h"
#include "tlslife.h"

/* What must hold before a handshake goes on; server is the side whose verb it is. */
tlslife_status tlsl_handshake_begin(tlslife_conn *conn, const char *verb, bool server, int64_t *deadline);

/* Between libssl's end of a handshake and ours. OK and not *done: libssl has tickets to send. */
tlslife_status tlsl_handshake_finish(tlslife_conn *conn, bool *done);

/*
 * Server, when its ClientHello has been answered: a TLS 1.2 client whose Finished is not read
 * before the answer about it can be refused within the handshake.
 */
void tlsl_handshake_hold(tlslife_conn *conn);
void tlsl_handshake_unhold(const tlslife_conn *conn);
/* Whether it is held now; and what the question about the peer has come to. */
bool tlsl_handshake_held(const tlslife_conn *conn);
tlslife_status tlsl_handshake_question(tlslife_conn *conn);

#endif
