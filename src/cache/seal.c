/*
 * seal.c: seals what leaves the process, by AES-256-GCM under the keys of a ring.
 *
 *   1 version | 8 key id | 24 nonce | ciphertext | 16 tag          49 bytes more than the plaintext
 *
 * Random nonces of 12 bytes are good for 2^32 messages under one key. A fleet of servers that share
 * a secret puts that many sessions into one Redis in weeks, and a nonce that occurs twice reveals
 * GCM's authentication key. So each message has a key of its own. XAES-256-GCM, a published
 * construction, takes 24 random bytes. It derives the message's key from the first 12 (CMAC in
 * counter mode, which is two blocks of AES) and uses the other 12 as GCM's nonce. That way 2^80
 * messages are safe. HKDF for each message would do the same at fifteen times the cost of the two
 * blocks.
 *
 * Keys and their ids are derived from secrets by HKDF-SHA-256. So all who have the secret have the
 * same id, opening tries one key and not eight, and the id reveals nothing of the secret.
 *
 * An attacker who controls the store would change or cut bytes, or return those of another entry,
 * of another policy or of an earlier time. The tag covers the version, the key id and everything
 * that the caller names (aad). Earlier bytes of the same entry do open, but the session inside has
 * its own time of expiry. Everything else gives the same result: it does not open.
 */
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "cache/seal.h"
#include "cache/store/store.h"
#include "tlslife.h"

#define SEAL_VERSION 1
#define SECRET_MIN 32
#define KEYS_MAX 8
#define LABEL_MAX 32

enum { ID_LEN = 8, KEY_LEN = 32, BLOCK_LEN = 16, SALT_LEN = 12, NONCE_LEN = 24, TAG_LEN = 16 };
enum { LABELLED_LEN = 1 + ID_LEN, HEAD_LEN = LABELLED_LEN + NONCE_LEN };
_Static_assert(HEAD_LEN == TLSL_STORE_HEAD, "a store tells entries apart by it");

typedef struct seal_key {
    unsigned char id[ID_LEN];
    unsigned char bytes[KEY_LEN];
    unsigned char mask[BLOCK_LEN]; /* CMAC's first subkey, which masks a complete block */
} seal_key;

struct tlslife_keyring {
    atomic_uint refs;
    EVP_CIPHER *block; /* fetched once, since a fetch costs more than a seal */
    EVP_CIPHER *aead;
    /* Protects the fields below. It is held for a copy only, never for a computation. */
    pthread_mutex_t lock;
    size_t keys_len;
    seal_key keys[KEYS_MAX];
};

/* ------------------------------------------------------------------------------------- deriving */

bool tlsl_derive(const unsigned char *secret, size_t secret_len, const char *label, uint64_t number,
                 unsigned char *out, size_t out_len) {
    unsigned char info[LABEL_MAX + sizeof number];
    size_t info_len = 0;
    while (*label != '\0' && info_len < LABEL_MAX) {
        info[info_len++] = (unsigned char)*label++;
    }
    for (int shift = 56; shift >= 0; shift -= 8) {
        info[info_len++] = (unsigned char)(number >> shift);
    }
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret,
                                          secret_len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, info_len),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = hkdf == NULL ? NULL : EVP_KDF_CTX_new(hkdf);
    bool ok = ctx != NULL && EVP_KDF_derive(ctx, out, out_len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(hkdf);
    return ok;
}

static bool encrypt_blocks(const tlslife_keyring *keyring, EVP_CIPHER_CTX *ctx, const seal_key *key,
                           const unsigned char *in, int len, unsigned char *out) {
    int done = 0;
    return EVP_EncryptInit_ex2(ctx, keyring->block, key->bytes, NULL, NULL) == 1 &&
           EVP_EncryptUpdate(ctx, out, &done, in, len) == 1 && done == len;
}

/*
 * Derives a message's key from its salt. NIST SP 800-108 in counter mode, with CMAC of exactly one
 * block.
 */
static bool message_key(const tlslife_keyring *keyring, EVP_CIPHER_CTX *ctx, const seal_key *key,
                        const unsigned char *salt, unsigned char out[KEY_LEN]) {
    unsigned char blocks[KEY_LEN] = {0, 1, 'X', 0, [BLOCK_LEN] = 0, 2, 'X', 0};
    memcpy(blocks + BLOCK_LEN - SALT_LEN, salt, SALT_LEN);
    memcpy(blocks + KEY_LEN - SALT_LEN, salt, SALT_LEN);
    for (size_t i = 0; i < KEY_LEN; i++) {
        blocks[i] ^= key->mask[i % BLOCK_LEN];
    }
    return encrypt_blocks(keyring, ctx, key, blocks, KEY_LEN, out);
}

/* Doubles a block in GF(2^128). It takes constant time, since the block is as secret as the key. */
static void double_block(const unsigned char in[BLOCK_LEN], unsigned char out[BLOCK_LEN]) {
    unsigned carry = 0;
    for (size_t i = BLOCK_LEN; i-- > 0;) {
        unsigned shifted = ((unsigned)in[i] << 1) | carry;
        out[i] = (unsigned char)shifted;
        carry = shifted >> 8;
    }
    out[BLOCK_LEN - 1] ^= (unsigned char)(0x87u * carry);
}

static bool key_make(const tlslife_keyring *keyring, const unsigned char *secret, size_t secret_len,
                     seal_key *out) {
    unsigned char derived[KEY_LEN + ID_LEN], block[BLOCK_LEN] = {0};
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx != NULL && tlsl_derive(secret, secret_len, "tlslife seal", SEAL_VERSION, derived,
                                         sizeof derived);
    if (ok) {
        memcpy(out->bytes, derived, KEY_LEN);
        memcpy(out->id, derived + KEY_LEN, ID_LEN);
        /* Encrypts zeros in place. */
        ok = encrypt_blocks(keyring, ctx, out, block, BLOCK_LEN, block);
        double_block(block, out->mask);
    }
    EVP_CIPHER_CTX_free(ctx);
    OPENSSL_cleanse(derived, sizeof derived);
    OPENSSL_cleanse(block, sizeof block);
    return ok;
}

/* ------------------------------------------------------------------------------------ key rings */

/* Derives the key of a secret. If it returns false, err has the reason. */
static bool key_of(const tlslife_keyring *keyring, const unsigned char *secret, size_t secret_len,
                   seal_key *out, tlslife_error *err) {
    ERR_clear_error();
    if (secret_len < SECRET_MIN) {
        tlsl_fail(err, TLSLIFE_ERR_USAGE,
                  "a keyring's secret has %d bytes or more, all of them random, not %zu",
                  SECRET_MIN, secret_len);
        return false;
    }
    if (!key_make(keyring, secret, secret_len, out)) {
        OPENSSL_cleanse(out, sizeof *out);
        tlsl_fail_making(err, "cannot derive a key");
        return false;
    }
    return true;
}

tlslife_keyring *tlslife_keyring_new(const unsigned char *secret, size_t secret_len,
                                     tlslife_error *err) {
    ERR_clear_error();
    tlslife_keyring *keyring = calloc(1, sizeof *keyring);
    if (keyring == NULL) {
        tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for a keyring");
        return NULL;
    }
    atomic_init(&keyring->refs, 1);
    pthread_mutex_init(&keyring->lock, NULL);
    keyring->block = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
    keyring->aead = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    keyring->keys_len = 1;
    bool fetched = keyring->block != NULL && keyring->aead != NULL;
    if (!fetched) {
        tlsl_fail_making(err, "cannot make a keyring");
    }
    if (!fetched || !key_of(keyring, secret, secret_len, &keyring->keys[0], err)) {
        tlslife_keyring_free(keyring);
        return NULL;
    }
    return keyring;
}

tlslife_keyring *tlslife_keyring_up_ref(tlslife_keyring *keyring) {
    atomic_fetch_add_explicit(&keyring->refs, 1, memory_order_relaxed);
    return keyring;
}

void tlslife_keyring_free(tlslife_keyring *keyring) {
    if (keyring == NULL ||
        atomic_fetch_sub_explicit(&keyring->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    EVP_CIPHER_free(keyring->block);
    EVP_CIPHER_free(keyring->aead);
    pthread_mutex_destroy(&keyring->lock);
    OPENSSL_cleanse(keyring->keys, sizeof keyring->keys);
    free(keyring);
}

/*
 * The index of a key in the ring, whose lock is held; keys_len if it is not there. Ids are public,
 * so memcmp's time reveals nothing.
 */
static size_t place_of(const tlslife_keyring *keyring, const unsigned char id[ID_LEN]) {
    size_t at = 0;
    while (at < keyring->keys_len && memcmp(keyring->keys[at].id, id, ID_LEN) != 0) {
        at++;
    }
    return at;
}

tlslife_status tlslife_keyring_add(tlslife_keyring *keyring, const unsigned char *secret,
                                   size_t secret_len, tlslife_error *err) {
    seal_key key;
    if (!key_of(keyring, secret, secret_len, &key, err)) {
        return TLSLIFE_ERROR;
    }
    pthread_mutex_lock(&keyring->lock);
    bool known = place_of(keyring, key.id) < keyring->keys_len;
    bool full = !known && keyring->keys_len == KEYS_MAX;
    if (!known && !full) {
        keyring->keys[keyring->keys_len++] = key;
    }
    pthread_mutex_unlock(&keyring->lock);
    OPENSSL_cleanse(&key, sizeof key);
    return full ? tlsl_fail(err, TLSLIFE_ERR_USAGE,
                            "a keyring holds at most %d keys: rotate adds one and drops the oldest",
                            KEYS_MAX)
                : TLSLIFE_OK;
}

/*
 * The new key becomes the first. If the ring has it already, it only moves. Otherwise, if the ring
 * is full, the oldest key goes.
 */
tlslife_status tlslife_keyring_rotate(tlslife_keyring *keyring, const unsigned char *secret,
                                      size_t secret_len, tlslife_error *err) {
    seal_key key;
    if (!key_of(keyring, secret, secret_len, &key, err)) {
        return TLSLIFE_ERROR;
    }
    pthread_mutex_lock(&keyring->lock);
    size_t moved = place_of(keyring, key.id);
    if (moved == keyring->keys_len && moved < KEYS_MAX) {
        keyring->keys_len++;
    } else if (moved == KEYS_MAX) {
        moved--;
    }
    memmove(keyring->keys + 1, keyring->keys, moved * sizeof key);
    keyring->keys[0] = key;
    pthread_mutex_unlock(&keyring->lock);
    OPENSSL_cleanse(&key, sizeof key);
    return TLSLIFE_OK;
}

/*
 * Copies the first key (id NULL) or the key with that id. Returns false if there is none. The
 * caller wipes the copy.
 */
static bool key_get(tlslife_keyring *keyring, const unsigned char *id, seal_key *out) {
    pthread_mutex_lock(&keyring->lock);
    size_t at = id == NULL ? 0 : place_of(keyring, id);
    bool found = at < keyring->keys_len;
    if (found) {
        *out = keyring->keys[at];
    }
    pthread_mutex_unlock(&keyring->lock);
    return found;
}

/* -------------------------------------------------------------------------- sealing and opening */

/*
 * Starts GCM for a message with that head, up to the point where its bytes follow. The caller frees
 * the result; NULL if memory runs out or OpenSSL fails.
 */
static EVP_CIPHER_CTX *begin(const tlslife_keyring *keyring, const seal_key *key,
                             const unsigned char *head, tlslife_bytes aad, bool sealing) {
    const unsigned char *nonce = head + LABELLED_LEN;
    unsigned char own[KEY_LEN];
    int done = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx != NULL && message_key(keyring, ctx, key, nonce, own) &&
              EVP_CipherInit_ex2(ctx, keyring->aead, own, nonce + SALT_LEN, sealing, NULL) == 1 &&
              EVP_CipherUpdate(ctx, NULL, &done, head, LABELLED_LEN) == 1 &&
              (aad.len == 0 || EVP_CipherUpdate(ctx, NULL, &done, aad.data, (int)aad.len) == 1);
    OPENSSL_cleanse(own, sizeof own);
    if (!ok) {
        EVP_CIPHER_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

/*
 * Encrypts or decrypts the message's bytes. GCM takes a call with length 0 for the end, so there is
 * no such call.
 */
static bool cipher_bytes(EVP_CIPHER_CTX *ctx, const unsigned char *in, size_t len,
                         unsigned char *out) {
    int done = 0;
    return len == 0 ||
           (EVP_CipherUpdate(ctx, out, &done, in, (int)len) == 1 && (size_t)done == len);
}

static bool finish(EVP_CIPHER_CTX *ctx, unsigned char *out) {
    int done = 0;
    return EVP_CipherFinal_ex(ctx, out, &done) == 1;
}

static bool seal_into(const tlslife_keyring *keyring, const seal_key *key, tlslife_bytes bytes,
                      tlslife_bytes aad, unsigned char *out) {
    unsigned char *body = out + HEAD_LEN, *tag = body + bytes.len;
    out[0] = SEAL_VERSION;
    memcpy(out + 1, key->id, ID_LEN);
    if (RAND_bytes(out + LABELLED_LEN, NONCE_LEN) != 1) {
        return false;
    }
    EVP_CIPHER_CTX *ctx = begin(keyring, key, out, aad, true);
    bool ok = ctx != NULL && cipher_bytes(ctx, bytes.data, bytes.len, body) && finish(ctx, tag) &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

bool tlsl_seal(tlslife_keyring *keyring, tlslife_bytes bytes, tlslife_bytes aad,
               unsigned char **out, size_t *out_len) {
    seal_key key;
    if (bytes.len > INT_MAX - HEAD_LEN - TAG_LEN || aad.len > INT_MAX ||
        !key_get(keyring, NULL, &key)) {
        return false;
    }
    size_t sealed_len = HEAD_LEN + bytes.len + TAG_LEN;
    unsigned char *sealed = malloc(sealed_len);
    ERR_set_mark();
    bool ok = sealed != NULL && seal_into(keyring, &key, bytes, aad, sealed);
    ERR_pop_to_mark();
    OPENSSL_cleanse(&key, sizeof key);
    if (!ok) {
        free(sealed);
        return false;
    }
    *out = sealed;
    *out_len = sealed_len;
    return true;
}

/*
 * Forgets why OpenSSL has failed since the mark, because bytes that do not open are no error. If
 * memory was short, that is in the queue.
 */
static void forget_causes(bool tried) {
    ERR_pop_to_mark();
    if (!tried) {
        ERR_raise(ERR_LIB_CRYPTO, ERR_R_MALLOC_FAILURE);
    }
}

/*
 * *out_tried is false if it ended before the bytes were tried. Only lack of memory does that, which
 * OpenSSL does not always say.
 */
static bool open_into(const tlslife_keyring *keyring, const seal_key *key, tlslife_bytes sealed,
                      tlslife_bytes aad, unsigned char *out, bool *out_tried) {
    const unsigned char *body = sealed.data + HEAD_LEN;
    size_t out_len = sealed.len - HEAD_LEN - TAG_LEN;
    unsigned char tag[TAG_LEN];
    memcpy(tag, body + out_len, TAG_LEN);
    EVP_CIPHER_CTX *ctx = begin(keyring, key, sealed.data, aad, false);
    *out_tried = ctx != NULL &&
                 EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1 &&
                 cipher_bytes(ctx, body, out_len, out);
    bool ok = *out_tried && finish(ctx, tag);
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

bool tlsl_open(tlslife_keyring *keyring, tlslife_bytes sealed, tlslife_bytes aad,
               unsigned char **out, size_t *out_len) {
    seal_key key;
    if (sealed.len < HEAD_LEN + TAG_LEN || sealed.len > INT_MAX || aad.len > INT_MAX ||
        sealed.data[0] != SEAL_VERSION || !key_get(keyring, sealed.data + 1, &key)) {
        return false;
    }
    size_t bytes_len = sealed.len - HEAD_LEN - TAG_LEN;
    unsigned char *bytes = malloc(bytes_len + 1); /* never 0, for which malloc may return NULL */
    ERR_set_mark();
    bool tried = false;
    bool ok = bytes != NULL && open_into(keyring, &key, sealed, aad, bytes, &tried);
    OPENSSL_cleanse(&key, sizeof key);
    if (ok) {
        ERR_pop_to_mark();
    } else {
        forget_causes(tried);
        if (bytes != NULL) {
            OPENSSL_cleanse(bytes, bytes_len);
        }
        free(bytes);
        return false;
    }
    *out = bytes;
    *out_len = bytes_len;
    return true;
}
