/*
 * permit.h: which tickets may still send early data. permit.c.
 */
#ifndef TLSLIFE_PERMIT_H
#define TLSLIFE_PERMIT_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "cache/cache.h"
#include "tls/state/conn.h"
#include "tlslife.h"

/* Makes the key under which the cache has a ticket's permit. false: the bytes are no ticket. */
bool tlsl_permit_key(tlslife_bytes ticket, tlsl_cache_key *out);
/* Called in libssl's callback: session is that of the ticket that was made last. */
void tlsl_permit_give(tlslife_conn *conn, const SSL_SESSION *session);
/* Puts the permits that were given meanwhile into the external store, after the SSL_ call. */
void tlsl_permits_tell(tlslife_conn *conn);
void tlsl_permits_free(tlslife_conn *conn);
/* Called in libssl's callback: whether the early data that follow this ClientHello are accepted. */
bool tlsl_permit_allows(const tlslife_conn *conn);

#endif
