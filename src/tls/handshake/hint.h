/*
 * hint.h: finds the likely reason of a failed handshake. hint.c.
 */
#ifndef TLSLIFE_HINT_H
#define TLSLIFE_HINT_H

#include <stdbool.h>
#include <stddef.h>

#include "tls/state/conn.h"

/*
 * Writes into out the clause with which the message ends. It follows from libssl's code, from the
 * alert that the peer sent, and from the first bytes of a peer that speaks no TLS. false: there is
 * nothing to add.
 */
bool tlsl_hint(const tlslife_conn *conn, unsigned long code, char *out, size_t out_len);

#endif
