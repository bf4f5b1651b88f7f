/*
 * fuzz_wire_seal.c: seals records for fuzz_wire, by RFC 8446 sections 5.2 and 7.3 and by RFC 5246
 * sections 6.3 and 6.2.3.3 with RFC 5288.
 */
#include "fuzz_wire_seal.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>

#define TAG_LEN 16

static bool derive(const char *name, const OSSL_PARAM *params, unsigned char *out, size_t len) {
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, name, NULL);
    EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
    bool ok = ctx != NULL && EVP_KDF_derive(ctx, out, len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok;
}

/* HKDF-Expand-Label with an empty context. */
static bool expand(const unsigned char secret[32], const char *label, unsigned char *out,
                   size_t len) {
    unsigned char info[32] = {0, (unsigned char)len, (unsigned char)(6 + strlen(label))};
    char digest[] = "SHA256", mode[] = "EXPAND_ONLY";
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, strlen(label));
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, mode, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret, 32),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, 10 + strlen(label)),
        OSSL_PARAM_construct_end(),
    };
    return derive("HKDF", params, out, len);
}

bool wire_keys_13(const unsigned char secret[32], wire_keys *out) {
    out->tls13 = true;
    out->known = expand(secret, "key", out->key, 16) && expand(secret, "iv", out->iv, 12);
    return out->known;
}

bool wire_keys_12(const unsigned char master[48], const unsigned char client[WIRE_RANDOM],
                  const unsigned char server[WIRE_RANDOM], bool from_client, wire_keys *out) {
    static const char label[] = "key expansion";
    enum { LABEL = sizeof label - 1 };
    unsigned char seed[LABEL + 2 * WIRE_RANDOM], block[40];
    char digest[] = "SHA256";
    memcpy(seed, label, LABEL);
    memcpy(seed + LABEL, server, WIRE_RANDOM);
    memcpy(seed + LABEL + WIRE_RANDOM, client, WIRE_RANDOM);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, (void *)(uintptr_t)master, 48),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof seed),
        OSSL_PARAM_construct_end(),
    };
    out->tls13 = false;
    out->known = derive("TLS1-PRF", params, block, sizeof block);
    memcpy(out->key, block + (from_client ? 0 : 16), 16);
    memcpy(out->iv, block + (from_client ? 32 : 36), 4);
    return out->known;
}

static void put_number(unsigned char *out, uint64_t number, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (unsigned char)(number >> (8 * (bytes - 1 - i)));
    }
}

static bool encrypt(const wire_keys *keys, const unsigned char nonce[12], const unsigned char *aad,
                    int aad_len, const unsigned char *in, size_t len, unsigned char *out) {
    int done = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx != NULL &&
              EVP_EncryptInit_ex2(ctx, EVP_aes_128_gcm(), keys->key, nonce, NULL) == 1 &&
              EVP_EncryptUpdate(ctx, NULL, &done, aad, aad_len) == 1 &&
              (len == 0 || EVP_EncryptUpdate(ctx, out, &done, in, (int)len) == 1) &&
              EVP_EncryptFinal_ex(ctx, out + len, &done) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, out + len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

/* 5 header | ciphertext of the bytes and their type | tag */
static size_t seal_13(const wire_keys *keys, uint64_t nth, unsigned type,
                      const unsigned char *bytes, size_t len, unsigned char *out) {
    unsigned char nonce[12], number[8], inner[512];
    if (len + 1 > sizeof inner) {
        return 0;
    }
    put_number(number, nth, 8);
    memcpy(nonce, keys->iv, 12);
    for (size_t i = 0; i < 8; i++) {
        nonce[4 + i] ^= number[i];
    }
    if (len > 0) {
        memcpy(inner, bytes, len);
    }
    inner[len] = (unsigned char)type;
    out[0] = 23;
    put_number(out + 1, 0x0303, 2);
    put_number(out + 3, len + 1 + TAG_LEN, 2);
    return encrypt(keys, nonce, out, 5, inner, len + 1, out + 5) ? 5 + len + 1 + TAG_LEN : 0;
}

/* 5 header | 8 explicit nonce | ciphertext | tag */
static size_t seal_12(const wire_keys *keys, uint64_t nth, unsigned type,
                      const unsigned char *bytes, size_t len, unsigned char *out) {
    unsigned char nonce[12], aad[13];
    put_number(aad, nth, 8);
    aad[8] = (unsigned char)type;
    put_number(aad + 9, 0x0303, 2);
    put_number(aad + 11, len, 2);
    memcpy(nonce, keys->iv, 4);
    memcpy(nonce + 4, aad, 8);
    out[0] = (unsigned char)type;
    put_number(out + 1, 0x0303, 2);
    put_number(out + 3, 8 + len + TAG_LEN, 2);
    memcpy(out + 5, aad, 8);
    return encrypt(keys, nonce, aad, sizeof aad, bytes, len, out + 13) ? 13 + len + TAG_LEN : 0;
}

size_t wire_seal(const wire_keys *keys, uint64_t nth, unsigned type, const unsigned char *bytes,
                 size_t len, unsigned char *out) {
    return !keys->known  ? 0
           : keys->tls13 ? seal_13(keys, nth, type, bytes, len, out)
                         : seal_12(keys, nth, type, bytes, len, out);
}
