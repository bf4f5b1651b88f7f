/*
 * cache.h: the cache as the core's own files see it.
 *
 * A session has a key of 32 bytes: a server's is its session id, padded with zeros, and a client's
 * is a hash of its peer. Memory holds live SSL_SESSIONs, by reference. An external store holds
 * sealed bytes (seal.c) and is reached through store.h. The functions below may be called from any
 * thread. They do no I/O and take no lock that a store holds during I/O.
 */
#ifndef TLSLIFE_CACHE_H
#define TLSLIFE_CACHE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "cache/key.h"
#include "cache/store/store.h"
#include "tlslife.h"

/*
 * Keeps session in memory under key, with a reference of its own, until its timeout or the cache's
 * is over. A client's TLS 1.3 sessions are queued under their peer, at most sessions_per_peer of
 * them. A TLS 1.2 session replaces what its peer has. peer is "host:port" for
 * tlslife_cache_entries, or NULL.
 */
bool tlsl_cache_keep(tlslife_cache *cache, const tlsl_cache_key *key, SSL_SESSION *session,
                     const char *peer);
/*
 * The same, and tells which sessions are removed for it, under no lock: EXPIRED ones, and others
 * (NOT_CACHED), which had to make room or whose place this one takes.
 */
typedef void (*tlsl_cache_removal)(void *user, const SSL_SESSION *session, tlslife_outcome why);
bool tlsl_cache_keep_told(tlslife_cache *cache, const tlsl_cache_key *key, SSL_SESSION *session,
                          const char *peer, tlsl_cache_removal tell, void *user);
/*
 * Notes for a client's session in memory that the store has it, too, as the entry that begins with
 * head. When the session becomes bad, that entry is removed, and no newer one of the peer.
 */
void tlsl_cache_note_stored(tlslife_cache *cache, const SSL_SESSION *session,
                            const unsigned char head[TLSL_STORE_HEAD]);
/*
 * Returns the session under key in memory, or NULL. With take it is removed from memory. A client's
 * TLS 1.3 session is always removed, the newest first. On NULL *why is NOT_CACHED, EXPIRED,
 * NOT_CLOSED (the last one became bad) or SPENT. count says whether to count a hit or a miss; a
 * caller that asks an external store next does that itself.
 */
SSL_SESSION *tlsl_cache_find(tlslife_cache *cache, const tlsl_cache_key *key, bool take, bool count,
                             tlslife_outcome *why);
/*
 * Removes session from memory, by its own id, and from the store. Called under SSL_free, so it does
 * no I/O. bad says that libssl made it not resumable; this is counted, and remembered for
 * NOT_CLOSED.
 */
void tlsl_cache_drop(tlslife_cache *cache, SSL_SESSION *session, bool bad);
long tlsl_cache_timeout(const tlslife_cache *cache); /* seconds; 0: sessions have their own */
/*
 * Shows every client's session in memory to the visitor, those of one peer oldest first. This
 * happens under a lock, so the visitor may only take references and copies.
 */
typedef void (*tlsl_cache_visitor)(void *user, const tlsl_cache_key *key, SSL_SESSION *session,
                                   const char *peer);
void tlsl_cache_each_client(tlslife_cache *cache, tlsl_cache_visitor visit, void *user);

tlslife_store *tlsl_cache_store(const tlslife_cache *cache); /* NULL: none */
tlslife_keyring *tlsl_cache_keyring(const tlslife_cache *cache);
bool tlsl_cache_in_memory(const tlslife_cache *cache); /* whether memory is used */

typedef enum tlsl_count {
    TLSL_COUNT_HIT,
    TLSL_COUNT_MISS,
    TLSL_COUNT_STORE_HIT,
    TLSL_COUNT_STORE_ERROR,
    TLSL_COUNT_NOT_OPENED,
    TLSL_COUNT_EXPIRED,
    TLSL_COUNT_BAD,
    TLSL_COUNT_TOO_BIG
} tlsl_count;
void tlsl_cache_count(tlslife_cache *cache, tlsl_count what);

#endif
