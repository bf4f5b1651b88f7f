/*
 * file.c: exports a cache's client sessions as one sealed block, and imports such a block, for a
 * program that restarts.
 *
 * Inside the seal, numbers are big endian:
 *
 *   "tlslife cache" | 1 version | 4 number of sessions
 *   and for each session   1 notes | 32 key | 2 + peer | 4 + DER
 *
 * The block is read to its end before its first session enters the cache, so a damaged block adds
 * nothing. A session keeps the policy and the host under which it was verified. It loses the number
 * of its context, which had a meaning in the exporting process only. The context that finds the
 * session under its key puts its own number there.
 *
 * A thief of a session of a client that showed a certificate can act as that client without its
 * private key, as long as the session lives. So these sessions are exported only on request. libssl
 * does not record whether a session's client had a certificate, so this library marks it in the
 * session's ex_data, which a dup copies.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "base/reader.h"
#include "cache/cache.h"
#include "cache/external.h"
#include "cache/seal.h"
#include "cache/store/store.h"
#include "tlslife.h"
#include "values/session_value.h"

#define FILE_VERSION 1
#define PEER_MAX 65535

static const char magic[] = "tlslife cache";
static const char purpose[] = "tlslife cache file"; /* what the seal is bound to (aad) */

enum {
    MAGIC_LEN = sizeof magic - 1,
    HEAD_LEN = MAGIC_LEN + 1 + 4,
    /* Without the peer and the DER, which have lengths of their own. */
    ENTRY_LEN = 1 + TLSL_STORE_KEY + 2 + 4
};
enum { NOTE_CERTIFICATE = 1 };

typedef struct file_entry {
    tlsl_cache_key key;
    SSL_SESSION *session;
    char *peer;
    unsigned char *der; /* set during an export */
    size_t der_len;
} file_entry;

typedef struct file_entries {
    file_entry *all;
    size_t len, room;
    bool with_certificates;
    bool failed; /* memory ran out */
} file_entries;

/* -------------------------------------------------------------------------------------- entries */

static void entries_free(file_entries *entries) {
    for (size_t i = 0; i < entries->len; i++) {
        SSL_SESSION_free(entries->all[i].session);
        OPENSSL_clear_free(entries->all[i].der, entries->all[i].der_len);
        free(entries->all[i].peer);
    }
    free(entries->all);
}

/* Appends a zeroed entry; NULL if memory runs out. */
static file_entry *entries_add(file_entries *entries) {
    if (entries->len == entries->room) {
        size_t room = entries->room == 0 ? 64 : 2 * entries->room;
        file_entry *all = realloc(entries->all, room * sizeof *all);
        if (all == NULL) {
            ERR_raise(ERR_LIB_CRYPTO, ERR_R_MALLOC_FAILURE);
            return NULL;
        }
        entries->all = all;
        entries->room = room;
    }
    file_entry *entry = &entries->all[entries->len++];
    memset(entry, 0, sizeof *entry);
    return entry;
}

/* --------------------------------------------------------------------------------------- export */

static void collect(void *user, const tlsl_cache_key *key, SSL_SESSION *session, const char *peer) {
    file_entries *entries = user;
    if (!entries->with_certificates && tlsl_session_has_mark(session, TLSL_MARK_CERTIFICATE)) {
        return;
    }
    file_entry *entry = entries_add(entries);
    char *text = entry == NULL ? NULL : strndup(peer == NULL ? "" : peer, PEER_MAX);
    if (text == NULL) {
        entries->failed = true;
        return;
    }
    SSL_SESSION_up_ref(session);
    *entry = (file_entry){.key = *key, .session = session, .peer = text};
}

/*
 * Drops expired sessions and encodes the others. Returns the number of bytes of the block, or 0 if
 * memory runs out.
 */
static size_t encode(const tlslife_cache *cache, file_entries *entries) {
    size_t total = HEAD_LEN;
    size_t kept = 0;
    for (size_t i = 0; i < entries->len; i++) {
        file_entry entry = entries->all[i];
        if (tlsl_lifetime_left(cache, entry.session) == 0) {
            SSL_SESSION_free(entry.session);
            free(entry.peer);
            memset(&entries->all[i], 0, sizeof entry);
            continue;
        }
        int len = i2d_SSL_SESSION(entry.session, &entry.der);
        entries->failed = entries->failed || len <= 0;
        entry.der_len = len <= 0 ? 0 : (size_t)len;
        memset(&entries->all[i], 0, sizeof entry);
        entries->all[kept++] = entry;
        total += ENTRY_LEN + strlen(entry.peer) + entry.der_len;
    }
    entries->len = kept;
    return entries->failed ? 0 : total;
}

static unsigned char *put_number(unsigned char *at, size_t number, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
        *at++ = (unsigned char)(number >> shift);
    }
    return at;
}

static unsigned char *put_bytes(unsigned char *at, const void *bytes, size_t len) {
    memcpy(at, bytes, len);
    return at + len;
}

static void write_plain(const file_entries *entries, unsigned char *at) {
    at = put_bytes(at, magic, MAGIC_LEN);
    *at++ = FILE_VERSION;
    at = put_number(at, entries->len, 4);
    for (size_t i = 0; i < entries->len; i++) {
        const file_entry *entry = &entries->all[i];
        size_t peer_len = strlen(entry->peer);
        *at++ = tlsl_session_has_mark(entry->session, TLSL_MARK_CERTIFICATE) ? NOTE_CERTIFICATE : 0;
        at = put_bytes(at, entry->key.bytes, sizeof entry->key.bytes);
        at = put_bytes(put_number(at, peer_len, 2), entry->peer, peer_len);
        at = put_bytes(put_number(at, entry->der_len, 4), entry->der, entry->der_len);
    }
}

/* The sealed block, which tlslife_session_bytes_free frees; NULL if memory runs out. */
static unsigned char *seal_entries(tlslife_keyring *keyring, const file_entries *entries,
                                   size_t plain_len, size_t *out_len) {
    unsigned char *sealed = NULL, *out = NULL;
    unsigned char *plain = plain_len == 0 ? NULL : malloc(plain_len);
    if (plain == NULL) {
        return NULL;
    }
    write_plain(entries, plain);
    if (tlsl_seal(keyring, (tlslife_bytes){plain, plain_len},
                  (tlslife_bytes){(const unsigned char *)purpose, sizeof purpose}, &sealed,
                  out_len)) {
        out = OPENSSL_memdup(sealed, *out_len);
    }
    OPENSSL_cleanse(plain, plain_len);
    free(plain);
    free(sealed);
    return out;
}

tlslife_status tlslife_cache_export(tlslife_cache *cache, tlslife_keyring *keyring,
                                    bool with_client_certificates, unsigned char **out,
                                    size_t *out_len, tlslife_error *err) {
    ERR_clear_error();
    file_entries entries = {.with_certificates = with_client_certificates};
    tlsl_cache_each_client(cache, collect, &entries);
    size_t sealed_len = 0;
    unsigned char *sealed = seal_entries(keyring, &entries, encode(cache, &entries), &sealed_len);
    entries_free(&entries);
    if (sealed == NULL) {
        return tlsl_fail_openssl(err, TLSLIFE_ERR_MEMORY,
                                 "out of memory for the export of a cache");
    }
    *out = sealed;
    *out_len = sealed_len;
    return TLSLIFE_OK;
}

/* --------------------------------------------------------------------------------------- import */

/*
 * Clears the number of the session's context, which means nothing in another process. false also
 * for a session that is none of a client's connection of ours: no cache has such a one.
 */
static bool forget_context(SSL_SESSION *session) {
    tlsl_client_id id;
    unsigned len = 0;
    const unsigned char *now = SSL_SESSION_get0_id_context(session, &len);
    if (len != sizeof id) {
        return false;
    }
    memcpy(&id, now, sizeof id);
    id.number = 0;
    return SSL_SESSION_set1_id_context(session, (const unsigned char *)&id, sizeof id) == 1;
}

static SSL_SESSION *read_session(tlsl_reader *reader, bool certificate) {
    tlsl_reader der = {NULL, 0};
    bool whole = tlsl_take_vector(reader, 4, &der);
    const unsigned char *end = der.at;
    SSL_SESSION *session = whole ? d2i_SSL_SESSION(NULL, &end, (long)der.left) : NULL;
    if (session == NULL || end != der.at + der.left || !forget_context(session)) {
        SSL_SESSION_free(session);
        return NULL;
    }
    if (certificate && !tlsl_session_set_mark(session, TLSL_MARK_CERTIFICATE)) {
        SSL_SESSION_free(session); /* without its mark it could leave the process again */
        return NULL;
    }
    return session;
}

static bool read_entry(tlsl_reader *reader, file_entry *entry) {
    size_t notes = 0;
    tlsl_reader key, peer;
    if (!tlsl_take_number(reader, 1, &notes) || !tlsl_take(reader, sizeof entry->key.bytes, &key) ||
        !tlsl_take_vector(reader, 2, &peer)) {
        return false;
    }
    entry->key.client = true;
    memcpy(entry->key.bytes, key.at, sizeof entry->key.bytes);
    entry->peer = tlsl_copy_text(peer);
    if (entry->peer == NULL) {
        ERR_raise(ERR_LIB_CRYPTO, ERR_R_MALLOC_FAILURE);
        return false;
    }
    entry->session = read_session(reader, notes & NOTE_CERTIFICATE);
    return entry->session != NULL;
}

static bool read_plain(tlsl_reader reader, file_entries *entries) {
    size_t count = 0;
    tlsl_reader head;
    bool ok = tlsl_take(&reader, MAGIC_LEN + 1, &head) && memcmp(head.at, magic, MAGIC_LEN) == 0 &&
              head.at[MAGIC_LEN] == FILE_VERSION && tlsl_take_number(&reader, 4, &count);
    for (size_t i = 0; ok && i < count; i++) {
        file_entry *entry = entries_add(entries);
        ok = entry != NULL && read_entry(&reader, entry);
    }
    return ok && reader.left == 0;
}

static size_t keep_all(tlslife_cache *cache, const file_entries *entries) {
    size_t kept = 0;
    for (size_t i = 0; i < entries->len; i++) {
        const file_entry *entry = &entries->all[i];
        kept += tlsl_lifetime_left(cache, entry->session) > 0 &&
                tlsl_cache_keep(cache, &entry->key, entry->session, entry->peer);
    }
    return kept;
}

tlslife_status tlslife_cache_import(tlslife_cache *cache, tlslife_keyring *keyring,
                                    const unsigned char *bytes, size_t bytes_len,
                                    size_t *out_sessions, tlslife_error *err) {
    ERR_clear_error();
    unsigned char *plain = NULL;
    size_t plain_len = 0;
    if (!tlsl_open(keyring, (tlslife_bytes){bytes, bytes_len},
                   (tlslife_bytes){(const unsigned char *)purpose, sizeof purpose}, &plain,
                   &plain_len)) {
        if (ERR_peek_error() != 0) {
            return tlsl_fail_openssl(err, TLSLIFE_ERR_MEMORY, "cannot open these %zu bytes",
                                     bytes_len);
        }
        return tlsl_fail(
            err, TLSLIFE_ERR_INPUT,
            "these %zu bytes do not open: they are damaged, no export of a cache, or sealed "
            "under a key that this keyring does not have",
            bytes_len);
    }
    file_entries entries = {0};
    bool ok = read_plain((tlsl_reader){plain, plain_len}, &entries);
    size_t kept = ok ? keep_all(cache, &entries) : 0;
    entries_free(&entries);
    OPENSSL_cleanse(plain, plain_len);
    free(plain);
    if (!ok) {
        return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT,
                                 "these %zu bytes are no export of a cache of this version",
                                 bytes_len);
    }
    if (out_sessions != NULL) {
        *out_sessions = kept;
    }
    return TLSLIFE_OK;
}
