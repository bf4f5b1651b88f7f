/*
 * hint.h: what a failure of the protocol means to whoever has to act. hint.c.
 */
#ifndef TLSLIFE_HINT_H
#define TLSLIFE_HINT_H

#include <stdbool.h>
#include <stddef.h>

#include "tls/conn.h"

/*
 * Fills out with half a sentence for the end of the message, from libssl's code, the alert that came,
 * and what the peer sent in place of TLS. false: there is nothing to add.
 */
bool tlsl_hint(const tlslife_conn *conn, unsigned long code, char *out, size_t out_len);

#endif
