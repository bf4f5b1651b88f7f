/*
 * handshake.h: the beginning and the end of a handshake, for the verbs that run one. handshake.c.
 */
#ifndef TLSLIFE_HANDSHAKE_H
#define TLSLIFE_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "tlslife.h"

/* What must hold before a handshake goes on; server is the side whose verb it is. */
tlslife_status tlsl_handshake_begin(tlslife_conn *conn, const char *verb, bool server, int64_t *deadline);

/* Between libssl's end of a handshake and ours. OK and not *done: libssl has tickets to send. */
tlslife_status tlsl_handshake_finish(tlslife_conn *conn, bool *done);

#endif
