/*
 * external.c: turns a session into sealed bytes for an external store, and back.
 *
 * The bytes are one byte of notes and the session's DER, sealed for its key, its side and its
 * policy, so that an entry under a wrong key does not open. What a store returns is opened, decoded
 * and compared with the key outside of every lock, because a session with a client's certificate
 * takes 100 us to decode. A permit (tls/session/permit.c) is the byte of notes alone.
 *
 * An attacker who can read the store learns how many entries there are and how long they are. The
 * keys are hashes, because anyone who knows a session id may offer it and so learn whether it is
 * alive. An attacker who can write to the store gains nothing. Made-up bytes do not open, and old
 * bytes of the same entry are a session that has its own time of expiry.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cache/cache.h"
#include "cache/external.h"
#include "cache/key.h"
#include "cache/seal.h"
#include "cache/store/store.h"
#include "tlslife.h"
#include "values/session_value.h"

#define BINDING_MAX (TLSL_STORE_KEY + 1 + SSL_MAX_SID_CTX_LENGTH)
#define SEALED_MORE 49 /* bytes that sealing adds */

enum { NOTE_CERTIFICATE = 1, NOTE_PERMIT = 2 };

void tlsl_external_key(const tlsl_cache_key *key, unsigned char out[TLSL_STORE_KEY]) {
    static const char label[] = "tlslife far entry";
    unsigned char named[sizeof label + 1 + sizeof key->bytes];
    memcpy(named, label, sizeof label);
    named[sizeof label] = key->client;
    memcpy(named + sizeof label + 1, key->bytes, sizeof key->bytes);
    memset(out, 0, TLSL_STORE_KEY); /* if hashing fails, entries share a key and do not open */
    (void)EVP_Digest(named, sizeof named, out, NULL, EVP_sha256(), NULL);
}

/*
 * What a sealed session is bound to. key and side are of fixed length, so no two bindings look
 * alike.
 */
static tlslife_bytes binding(const tlsl_cache_key *key, tlslife_bytes sid_ctx,
                             unsigned char out[BINDING_MAX]) {
    size_t len = sid_ctx.len <= SSL_MAX_SID_CTX_LENGTH ? sid_ctx.len : SSL_MAX_SID_CTX_LENGTH;
    memcpy(out, key->bytes, sizeof key->bytes);
    out[sizeof key->bytes] = key->client;
    if (len > 0) {
        memcpy(out + sizeof key->bytes + 1, sid_ctx.data, len);
    }
    return (tlslife_bytes){out, sizeof key->bytes + 1 + len};
}

long tlsl_lifetime_left(const tlslife_cache *cache, const SSL_SESSION *session) {
    return SSL_SESSION_is_resumable(session)
               ? tlsl_session_left(session, tlsl_cache_timeout(cache), time(NULL))
               : 0;
}

/* -------------------------------------------------------------------------------------- sealing */

/* The bytes to seal, malloc'ed. NULL: out of memory, or the session cannot be encoded. */
static unsigned char *plain_of(SSL_SESSION *session, size_t *out_len) {
    int der_len = i2d_SSL_SESSION(session, NULL);
    unsigned char *plain = der_len > 0 ? malloc(1 + (size_t)der_len) : NULL;
    if (plain == NULL) {
        return NULL;
    }
    unsigned char *at = plain + 1;
    plain[0] = tlsl_session_has_mark(session, TLSL_MARK_CERTIFICATE) ? NOTE_CERTIFICATE : 0;
    i2d_SSL_SESSION(session, &at);
    *out_len = 1 + (size_t)der_len;
    return plain;
}

static bool tell(tlslife_cache *cache, const tlsl_cache_key *key, tlslife_bytes sealed,
                 long lifetime) {
    unsigned char store_key[TLSL_STORE_KEY];
    tlslife_store *store = tlsl_cache_store(cache);
    tlsl_external_key(key, store_key);
    return store->verbs->put(store, store_key, sealed.data, sealed.len, lifetime);
}

static bool put(tlslife_cache *cache, const tlsl_cache_key *key, tlslife_bytes plain,
                tlslife_bytes sid_ctx, long lifetime, unsigned char *out_head) {
    unsigned char bound[BINDING_MAX];
    unsigned char *sealed = NULL;
    size_t sealed_len = 0;
    if (!tlsl_seal(tlsl_cache_keyring(cache), plain, binding(key, sid_ctx, bound), &sealed,
                   &sealed_len)) {
        return false;
    }
    bool told = tell(cache, key, (tlslife_bytes){sealed, sealed_len}, lifetime);
    if (told && out_head != NULL) {
        memcpy(out_head, sealed, TLSL_STORE_HEAD);
    }
    free(sealed);
    return told;
}

void tlsl_external_put(tlslife_cache *cache, const tlsl_cache_key *key, SSL_SESSION *session,
                       tlslife_bytes sid_ctx, unsigned char out_head[TLSL_STORE_HEAD]) {
    long lifetime = tlsl_lifetime_left(cache, session);
    if (out_head != NULL) {
        memset(out_head, 0, TLSL_STORE_HEAD);
    }
    if (tlsl_cache_store(cache) == NULL || lifetime == 0) {
        return;
    }
    size_t plain_len = 0;
    ERR_set_mark();
    unsigned char *plain = plain_of(session, &plain_len);
    ERR_pop_to_mark();
    if (plain != NULL && plain_len > TLSL_STORE_BYTES_MAX - SEALED_MORE) {
        tlsl_cache_count(cache, TLSL_COUNT_TOO_BIG);
    } else if (plain == NULL ||
               !put(cache, key, (tlslife_bytes){plain, plain_len}, sid_ctx, lifetime, out_head)) {
        tlsl_cache_count(cache, TLSL_COUNT_STORE_ERROR);
    }
    if (plain != NULL) {
        OPENSSL_cleanse(plain, plain_len);
    }
    free(plain);
}

void tlsl_external_put_permit(tlslife_cache *cache, const tlsl_cache_key *key, long lifetime,
                              tlslife_bytes sid_ctx) {
    static const unsigned char permit = NOTE_PERMIT;
    if (lifetime > 0 && !put(cache, key, (tlslife_bytes){&permit, 1}, sid_ctx, lifetime, NULL)) {
        tlsl_cache_count(cache, TLSL_COUNT_STORE_ERROR);
    }
}

void tlsl_external_put_back(tlslife_cache *cache, const tlsl_cache_key *key,
                            const SSL_SESSION *session, tlslife_bytes sealed) {
    long lifetime = tlsl_lifetime_left(cache, session);
    if (lifetime > 0 && !tell(cache, key, sealed, lifetime)) {
        tlsl_cache_count(cache, TLSL_COUNT_STORE_ERROR);
    }
}

void tlsl_external_remove_if(tlslife_cache *cache, const tlsl_cache_key *key,
                             const unsigned char head[TLSL_STORE_HEAD]) {
    unsigned char far_key[TLSL_STORE_KEY];
    tlslife_store *store = tlsl_cache_store(cache);
    if (store == NULL) {
        return;
    }
    tlsl_external_key(key, far_key);
    if (!store->verbs->remove_if(store, far_key, head)) {
        tlsl_cache_count(cache, TLSL_COUNT_STORE_ERROR);
    }
}

void tlsl_external_remove(tlslife_cache *cache, const tlsl_cache_key *key) {
    unsigned char far_key[TLSL_STORE_KEY];
    tlslife_store *store = tlsl_cache_store(cache);
    if (store == NULL) {
        return;
    }
    tlsl_external_key(key, far_key);
    if (!store->verbs->remove(store, far_key)) {
        tlsl_cache_count(cache, TLSL_COUNT_STORE_ERROR);
    }
}

/* -------------------------------------------------------------------------------------- opening */

static SSL_SESSION *parse(const unsigned char *plain, size_t plain_len) {
    const unsigned char *at = plain + 1;
    ERR_set_mark();
    SSL_SESSION *session = plain_len < 2 ? NULL : d2i_SSL_SESSION(NULL, &at, (long)(plain_len - 1));
    ERR_pop_to_mark();
    if (session != NULL && at != plain + plain_len) {
        SSL_SESSION_free(session);
        session = NULL;
    }
    if (session != NULL && (plain[0] & NOTE_CERTIFICATE) &&
        !tlsl_session_set_mark(session, TLSL_MARK_CERTIFICATE)) {
        SSL_SESSION_free(session); /* without its mark an export could hold it */
        session = NULL;
    }
    return session;
}

/* A client's session does not hold its key; the seal has compared it. */
static bool is_of_key(const SSL_SESSION *session, const tlsl_cache_key *key) {
    unsigned char own[TLSL_STORE_KEY];
    return SSL_SESSION_is_resumable(session) &&
           (key->client ||
            (tlsl_session_key(session, own) && memcmp(own, key->bytes, sizeof own) == 0));
}

static SSL_SESSION *refuse(tlslife_cache *cache, SSL_SESSION *session, tlsl_count why) {
    SSL_SESSION_free(session);
    tlsl_cache_count(cache, why);
    return NULL;
}

SSL_SESSION *tlsl_external_open(tlslife_cache *cache, const tlsl_cache_key *key,
                                const unsigned char *sealed, size_t sealed_len,
                                tlslife_bytes sid_ctx, bool *out_expired) {
    unsigned char bound[BINDING_MAX];
    unsigned char *plain = NULL;
    size_t plain_len = 0;
    *out_expired = false;
    if (sealed_len > TLSL_STORE_BYTES_MAX ||
        !tlsl_open(tlsl_cache_keyring(cache), (tlslife_bytes){sealed, sealed_len},
                   binding(key, sid_ctx, bound), &plain, &plain_len)) {
        return refuse(cache, NULL, TLSL_COUNT_NOT_OPENED);
    }
    SSL_SESSION *session = parse(plain, plain_len);
    OPENSSL_cleanse(plain, plain_len);
    free(plain);
    if (session == NULL || !is_of_key(session, key)) {
        return refuse(cache, session, TLSL_COUNT_STORE_ERROR);
    }
    *out_expired = tlsl_lifetime_left(cache, session) == 0;
    return *out_expired ? refuse(cache, session, TLSL_COUNT_EXPIRED) : session;
}

bool tlsl_external_is_permit(tlslife_cache *cache, const tlsl_cache_key *key,
                             const unsigned char *sealed, size_t sealed_len,
                             tlslife_bytes sid_ctx) {
    unsigned char bound[BINDING_MAX];
    unsigned char *plain = NULL;
    size_t plain_len = 0;
    bool opened = sealed_len <= TLSL_STORE_BYTES_MAX &&
                  tlsl_open(tlsl_cache_keyring(cache), (tlslife_bytes){sealed, sealed_len},
                            binding(key, sid_ctx, bound), &plain, &plain_len);
    bool is_permit = opened && plain_len == 1 && plain[0] == NOTE_PERMIT;
    if (!is_permit) {
        tlsl_cache_count(cache, opened ? TLSL_COUNT_STORE_ERROR : TLSL_COUNT_NOT_OPENED);
    }
    free(plain);
    return is_permit;
}
