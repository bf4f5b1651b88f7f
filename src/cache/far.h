/*
 * far.h: how a session goes to the external store of a cache and comes back. far.c.
 */
#ifndef TLSLIFE_FAR_H
#define TLSLIFE_FAR_H

#include <openssl/ssl.h>

#include "cache/cache.h"

/*
 * What a store calls an entry: a hash of key, since a session id is all that it takes to offer a session.
 * Whoever puts, asks or removes goes by it.
 */
void tlsl_far_key(const tlsl_cache_key *key, unsigned char out[TLSL_STORE_KEY]);
/* Seconds that session may still be offered, by its own word and the cache's; 0: no more, or never. */
long tlsl_lifetime_left(const tlslife_cache *cache, const SSL_SESSION *session);
/* Seals session for key and tells the store. sid_ctx binds it to its policy. */
void tlsl_far_put(tlslife_cache *cache, const tlsl_cache_key *key, SSL_SESSION *session,
                  tlslife_bytes sid_ctx);
/* The session in what a store gave, or NULL (counted). Not under any lock. */
SSL_SESSION *tlsl_far_open(tlslife_cache *cache, const tlsl_cache_key *key, const unsigned char *sealed,
                           size_t sealed_len, tlslife_bytes sid_ctx);

#endif
