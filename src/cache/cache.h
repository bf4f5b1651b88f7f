/*
 * cache.h: the cache as the core's own files see it.
 *
 * A session lives under a key of 32 bytes: a server's under its session id (padded with zeros), a client's
 * under a hash of its peer. Memory holds live SSL_SESSIONs, by reference; a far home holds sealed bytes
 * (seal.c) and is asked and told through store.h. The functions below take no lock that a store's I/O could
 * hold, do no I/O under an OpenSSL callback, and are called from any thread.
 */
#ifndef TLSLIFE_CACHE_H
#define TLSLIFE_CACHE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "cache/store/store.h"
#include "tlslife.h"

typedef struct tlsl_cache_key {
    unsigned char bytes[TLSL_STORE_KEY];
    bool client;
} tlsl_cache_key;

/* Makes the key of an id, which is the id padded with zeros. false: an id has 1 to 32 bytes. */
bool tlsl_id_key(const unsigned char *id, size_t id_len, unsigned char key[TLSL_STORE_KEY]);
/* Makes the key of the session's own id. false: the session has none. */
bool tlsl_session_key(const SSL_SESSION *session, unsigned char key[TLSL_STORE_KEY]);

/*
 * Keeps session under key, with a reference of its own, for as long as it and the cache say; a client's TLS
 * 1.3 sessions queue up under their peer, at most sessions_per_peer, the oldest goes; a TLS 1.2 one
 * replaces. peer: "host:port" for the metadata, or NULL.
 */
bool tlsl_cache_keep(tlslife_cache *cache, const tlsl_cache_key *key, SSL_SESSION *session, const char *peer);
/*
 * The session under key, or NULL. take: it leaves memory with the call. A client's TLS 1.3 session is
 * always taken, newest first. On NULL *why is NOT_CACHED, EXPIRED, NOT_CLOSED (the last that was there
 * became bad) or SPENT. Counts hit or miss only if count is true (a far home is asked next otherwise).
 */
SSL_SESSION *tlsl_cache_find(tlslife_cache *cache, const tlsl_cache_key *key, bool take, bool count,
                             tlslife_outcome *why);
/*
 * The session became bad, or is not wanted any more: out of memory by its own id, and out of the store. No
 * I/O: under SSL_free. bad: counted, and remembered for NOT_CLOSED.
 */
void tlsl_cache_drop(tlslife_cache *cache, SSL_SESSION *session, bool bad);
long tlsl_cache_timeout(const tlslife_cache *cache); /* seconds; 0: as long as a session says itself */
/*
 * Shows every session of a client in memory, those of one peer oldest first. Under a lock: the visitor takes
 * references and copies, nothing else.
 */
typedef void (*tlsl_cache_visitor)(void *user, const tlsl_cache_key *key, SSL_SESSION *session,
                                   const char *peer);
void tlsl_cache_each_client(tlslife_cache *cache, tlsl_cache_visitor visit, void *user);

tlslife_store *tlsl_cache_store(const tlslife_cache *cache); /* NULL: none */
tlslife_keyring *tlsl_cache_keyring(const tlslife_cache *cache);
bool tlsl_cache_near(const tlslife_cache *cache); /* whether memory is used */

typedef enum tlsl_count {
    TLSL_COUNT_HIT,
    TLSL_COUNT_MISS,
    TLSL_COUNT_FAR_HIT,
    TLSL_COUNT_STORE_ERROR,
    TLSL_COUNT_NOT_OPENED,
    TLSL_COUNT_EXPIRED,
    TLSL_COUNT_BAD,
    TLSL_COUNT_TOO_BIG
} tlsl_count;
void tlsl_cache_count(tlslife_cache *cache, tlsl_count what);

#endif
