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

#include "core.h"
#include "store/store.h"

typedef struct tlsl_cache_key {
    unsigned char bytes[TLSL_STORE_KEY];
    bool client;
} tlsl_cache_key;

/* -- memory.  memory home: cache.c */

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

/* -- far.c: the far home of a cache */

tlslife_store *tlsl_cache_store(const tlslife_cache *cache); /* NULL: none */
tlslife_keyring *tlsl_cache_keyring(const tlslife_cache *cache);
bool tlsl_cache_near(const tlslife_cache *cache); /* whether memory is used */
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

/* -- cache_file.c: export and import */

/*
 * Notes that a client made session while it had a certificate of its own to show: such sessions leave the
 * process only when asked for. Before anybody else has the session; the note goes with dup and the homes.
 */
void tlsl_session_mark_certificate(SSL_SESSION *session);
bool tlsl_session_has_certificate(const SSL_SESSION *session);

/* -- seal.c */

/*
 * HKDF-SHA-256 of secret, without salt, with label (32 bytes at most) and then number (big endian) as its
 * info.
 */
bool tlsl_derive(const unsigned char *secret, size_t secret_len, const char *label, uint64_t number,
                 unsigned char *out, size_t out_len);

/*
 * Seals bytes under the ring's first key, bound to aad. *out malloc'ed. false: out of memory, or OpenSSL
 * failed.
 */
bool tlsl_seal(tlslife_keyring *keyring, tlslife_bytes bytes, tlslife_bytes aad, unsigned char **out,
               size_t *out_len);
/*
 * Opens what was sealed under any key of the ring. *out malloc'ed; wipe it. false: it does not open.
 * Constant in what it tells: nothing.
 */
bool tlsl_open(tlslife_keyring *keyring, tlslife_bytes sealed, tlslife_bytes aad, unsigned char **out,
               size_t *out_len);

/*
 * -- ticket_keys.c: SSL_CTX_set_tlsext_ticket_key_evp_cb's callback, for a context whose ticket_keys are
 * set. Sets conn->ticket_failed where a ticket does not open.
 */
int tlsl_on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac, int making);
/*
 * The same with the keys and the time (seconds since 1970) given: 1, 2 (opens, and is to be renewed), 0 (no
 * key of that name), -1.
 */
int tlsl_ticket_key_at(tlslife_ticket_keys *keys, int64_t now, unsigned char *name, unsigned char *iv,
                       EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool making);

#endif
