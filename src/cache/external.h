/*
 * external.h: how a session goes to the external store of a cache and comes back. external.c.
 */
#ifndef TLSLIFE_EXTERNAL_H
#define TLSLIFE_EXTERNAL_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "cache/cache.h"

/*
 * The key of an entry in a store, which is a hash of key, because anyone who knows a session id may
 * offer the session.
 */
void tlsl_external_key(const tlsl_cache_key *key, unsigned char out[TLSL_STORE_KEY]);
/*
 * Seconds for which session may still be offered, by its own timeout and the cache's; 0: no longer.
 */
long tlsl_lifetime_left(const tlslife_cache *cache, const SSL_SESSION *session);
/*
 * Seals session for key and tells the store. sid_ctx binds it to its policy. out_head, unless it is
 * NULL, gets the first bytes of the entry, by which tlsl_external_remove_if knows it; zeros if
 * there is none.
 */
void tlsl_external_put(tlslife_cache *cache, const tlsl_cache_key *key, SSL_SESSION *session,
                       tlslife_bytes sid_ctx, unsigned char out_head[TLSL_STORE_HEAD]);
/*
 * Puts the permit of a ticket (tls/session/permit.c) into the store, which must exist, for lifetime
 * seconds.
 */
void tlsl_external_put_permit(tlslife_cache *cache, const tlsl_cache_key *key, long lifetime,
                              tlslife_bytes sid_ctx);
/* Whether the bytes that a store has returned are such a permit. If not, that is counted. */
bool tlsl_external_is_permit(tlslife_cache *cache, const tlsl_cache_key *key,
                             const unsigned char *sealed, size_t sealed_len,
                             tlslife_bytes sid_ctx);
/* Tells the store, if there is one, that what it has for key is not to be used any more. */
void tlsl_external_remove(tlslife_cache *cache, const tlsl_cache_key *key);
/* The same, if it is the entry that begins with head. */
void tlsl_external_remove_if(tlslife_cache *cache, const tlsl_cache_key *key,
                             const unsigned char head[TLSL_STORE_HEAD]);
/* Puts back what the store has given for session, as it was. */
void tlsl_external_put_back(tlslife_cache *cache, const tlsl_cache_key *key,
                            const SSL_SESSION *session, tlslife_bytes sealed);
/*
 * Opens what a store has returned. NULL is counted; *out_expired: because it was too old. Not to be
 * called under a lock.
 */
SSL_SESSION *tlsl_external_open(tlslife_cache *cache, const tlsl_cache_key *key,
                                const unsigned char *sealed, size_t sealed_len,
                                tlslife_bytes sid_ctx, bool *out_expired);

#endif
