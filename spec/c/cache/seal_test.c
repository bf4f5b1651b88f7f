/*
 * seal_test.c: tests the ring of keys (src/cache/seal.c) and what is sealed under it.
 *
 * Sealed bytes must open under their key, and nothing else may open. The construction must be
 * XAES-256-GCM as published. Keys may change while other threads seal and open.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "cache/cache.h"
#include "cache/seal.h"
#include "tlslife.h"

#include "check.h"

#include <openssl/err.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>

enum {
    ID_LEN = 8,
    NONCE_AT = 1 + ID_LEN,
    BODY_AT = NONCE_AT + 24,
    TAG_LEN = 16,
    MORE = BODY_AT + TAG_LEN
};

static const tlslife_bytes nothing = {NULL, 0};

static tlslife_bytes text(const char *string) {
    return (tlslife_bytes){(const unsigned char *)string, strlen(string)};
}

/* A secret of 32 bytes, another for each number. */
static const unsigned char *secret(unsigned char number) {
    static _Thread_local unsigned char bytes[32];
    memset(bytes, number, sizeof bytes);
    return bytes;
}

static tlslife_keyring *ring(unsigned char number) {
    tlslife_keyring *keyring = tlslife_keyring_new(secret(number), 32, NULL);
    CHECK(keyring != NULL);
    return keyring;
}

static bool opens(tlslife_keyring *keyring, const unsigned char *sealed, size_t sealed_len,
                  tlslife_bytes aad) {
    unsigned char *out = NULL;
    size_t out_len = 0;
    bool opened = tlsl_open(keyring, (tlslife_bytes){sealed, sealed_len}, aad, &out, &out_len);
    free(out);
    return opened;
}

/* -------------------------------------------------------------------------------------- one key */

static void test_round_trip(size_t len) {
    static unsigned char bytes[70000];
    tlslife_keyring *keyring = ring(1);
    unsigned char *sealed = NULL, *out = NULL;
    size_t sealed_len = 0, out_len = 1;
    RAND_bytes(bytes, (int)len);
    CHECK(tlsl_seal(keyring, (tlslife_bytes){bytes, len}, text("for this"), &sealed, &sealed_len));
    CHECK(sealed_len == len + MORE);
    CHECK(len < 8 || memmem(sealed, sealed_len, bytes, len < 16 ? len : 16) == NULL);
    CHECK(
        tlsl_open(keyring, (tlslife_bytes){sealed, sealed_len}, text("for this"), &out, &out_len));
    CHECK(out_len == len && memcmp(out, bytes, len) == 0);
    CHECK(!opens(keyring, sealed, sealed_len, text("for that")));
    free(sealed);
    free(out);
    tlslife_keyring_free(keyring);
}

static void test_no_aad(void) {
    tlslife_keyring *keyring = ring(1);
    unsigned char *sealed = NULL;
    size_t sealed_len = 0;
    CHECK(tlsl_seal(keyring, text("bytes"), nothing, &sealed, &sealed_len));
    CHECK(opens(keyring, sealed, sealed_len, nothing));
    CHECK(!opens(keyring, sealed, sealed_len, text("x")));
    free(sealed);
    tlslife_keyring_free(keyring);
}

static void test_never_the_same(void) {
    tlslife_keyring *keyring = ring(1);
    unsigned char *one = NULL, *other = NULL;
    size_t one_len = 0, other_len = 0;
    CHECK(tlsl_seal(keyring, text("the same bytes"), nothing, &one, &one_len));
    CHECK(tlsl_seal(keyring, text("the same bytes"), nothing, &other, &other_len));
    CHECK(one_len == other_len && memcmp(one, other, NONCE_AT) == 0);
    CHECK(memcmp(one + NONCE_AT, other + NONCE_AT, 12) != 0);
    CHECK(memcmp(one + NONCE_AT + 12, other + NONCE_AT + 12, 12) != 0);
    CHECK(memcmp(one + BODY_AT, other + BODY_AT, one_len - BODY_AT) != 0);
    free(one);
    free(other);
    tlslife_keyring_free(keyring);
}

/* Changes each bit of the sealed bytes, and of the data that they are bound to. */
static void test_every_bit(void) {
    tlslife_keyring *keyring = ring(1);
    unsigned char bytes[100] = {1}, aad[65] = {2};
    unsigned char *sealed = NULL;
    size_t sealed_len = 0, opened = 0;
    CHECK(tlsl_seal(keyring, (tlslife_bytes){bytes, sizeof bytes}, (tlslife_bytes){aad, sizeof aad},
                    &sealed, &sealed_len));
    for (size_t bit = 0; bit < 8 * sealed_len; bit++) {
        sealed[bit / 8] ^= (unsigned char)(1u << bit % 8);
        opened += opens(keyring, sealed, sealed_len, (tlslife_bytes){aad, sizeof aad});
        sealed[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    CHECK(opened == 0);
    for (size_t bit = 0; bit < 8 * sizeof aad; bit++) {
        aad[bit / 8] ^= (unsigned char)(1u << bit % 8);
        opened += opens(keyring, sealed, sealed_len, (tlslife_bytes){aad, sizeof aad});
        aad[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    CHECK(opened == 0);
    CHECK(!opens(keyring, sealed, sealed_len, (tlslife_bytes){aad, sizeof aad - 1}));
    CHECK(opens(keyring, sealed, sealed_len, (tlslife_bytes){aad, sizeof aad}));
    free(sealed);
    tlslife_keyring_free(keyring);
}

/*
 * Cuts the sealed bytes at every length, in a buffer of that length, so that AddressSanitizer sees
 * a read beyond it.
 */
static void test_every_length(void) {
    tlslife_keyring *keyring = ring(1);
    unsigned char *sealed = NULL;
    size_t sealed_len = 0, opened = 0;
    CHECK(tlsl_seal(keyring, text("some bytes to be cut"), text("aad"), &sealed, &sealed_len));
    for (size_t len = 0; len < sealed_len; len++) {
        unsigned char *cut = malloc(len + 1);
        memcpy(cut + 1, sealed, len);
        opened += opens(keyring, cut + 1, len, text("aad"));
        free(cut);
    }
    CHECK(opened == 0);
    sealed = realloc(sealed, sealed_len + 1);
    sealed[sealed_len] = 0;
    CHECK(!opens(keyring, sealed, sealed_len + 1, text("aad")));
    CHECK(opens(keyring, sealed, sealed_len, text("aad")));
    free(sealed);
    tlslife_keyring_free(keyring);
}

/* A failure leaves no error in OpenSSL's queue, and removes none that was there. */
static void test_error_queue(void) {
    tlslife_keyring *keyring = ring(1);
    unsigned char *sealed = NULL;
    size_t sealed_len = 0;
    CHECK(tlsl_seal(keyring, text("bytes"), nothing, &sealed, &sealed_len));
    sealed[sealed_len - 1] ^= 1;
    ERR_clear_error();
    CHECK(!opens(keyring, sealed, sealed_len, nothing) && ERR_peek_error() == 0);
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_EXTENSION);
    CHECK(!opens(keyring, sealed, sealed_len, nothing));
    CHECK(ERR_GET_REASON(ERR_get_error()) == SSL_R_BAD_EXTENSION && ERR_get_error() == 0);
    free(sealed);
    tlslife_keyring_free(keyring);
}

/* ------------------------------------------------------------------------------------ published */

static bool cmac(const unsigned char key[32], const unsigned char block[16],
                 unsigned char out[16]) {
    char cipher[] = "AES-256-CBC";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    size_t len = 0;
    bool ok = EVP_MAC_init(ctx, key, 32, params) == 1 && EVP_MAC_update(ctx, block, 16) == 1 &&
              EVP_MAC_final(ctx, out, &len, 16) == 1 && len == 16;
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
    return ok;
}

/* XAES-256-GCM by OpenSSL's own CMAC: ciphertext and tag at out. */
static bool xaes(const unsigned char key[32], const unsigned char nonce[24], tlslife_bytes bytes,
                 tlslife_bytes aad, unsigned char *out) {
    unsigned char own[32], block[16] = {0, 1, 'X', 0};
    int len = 0;
    memcpy(block + 4, nonce, 12);
    bool ok = cmac(key, block, own);
    block[1] = 2;
    ok = ok && cmac(key, block, own + 16);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    ok = ok && EVP_EncryptInit_ex2(ctx, EVP_aes_256_gcm(), own, nonce + 12, NULL) == 1 &&
         EVP_EncryptUpdate(ctx, NULL, &len, aad.data, (int)aad.len) == 1 &&
         EVP_EncryptUpdate(ctx, out, &len, bytes.data, (int)bytes.len) == 1 &&
         EVP_EncryptFinal_ex(ctx, out + bytes.len, &len) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, out + bytes.len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

/*
 * The two test vectors of C2SP's XAES-256-GCM, with and without the carry of the doubling. They
 * show that this file's own implementation is right.
 */
static void test_yardstick(void) {
    static const unsigned char nonce[] = "ABCDEFGHIJKLMNOPQRSTUVWX";
    static const unsigned char first[] = {
        0xce, 0x54, 0x6e, 0xf6, 0x3c, 0x9c, 0xc6, 0x07, 0x65, 0x92, 0x36, 0x09, 0xb3, 0x3a,
        0x9a, 0x19, 0x74, 0xe9, 0x6e, 0x52, 0xda, 0xf2, 0xfc, 0xf7, 0x07, 0x5e, 0x22, 0x71};
    static const unsigned char second[] = {
        0x98, 0x6e, 0xc1, 0x83, 0x25, 0x93, 0xdf, 0x54, 0x43, 0xa1, 0x79, 0x43, 0x7f, 0xd0,
        0x83, 0xbf, 0x3f, 0xdb, 0x41, 0xab, 0xd7, 0x40, 0xa2, 0x1f, 0x71, 0xeb, 0x76, 0x9d};
    unsigned char out[28];
    CHECK(xaes(secret(1), nonce, text("XAES-256-GCM"), text(""), out) &&
          memcmp(out, first, 28) == 0);
    CHECK(xaes(secret(3), nonce, text("XAES-256-GCM"), text("c2sp.org/XAES-256-GCM"), out) &&
          memcmp(out, second, 28) == 0);
}

/*
 * Bytes that were sealed by this file's own implementation, under a key derived as documented,
 * open. There are many keys, so that both carries come.
 */
static void test_as_published(void) {
    size_t opened = 0;
    for (unsigned char number = 0; number < 32; number++) {
        unsigned char derived[40],
            sealed[1 + ID_LEN + 24 + 12 + TAG_LEN] = {1},
                                          aad[] = {1, [1 + ID_LEN] = 'm', 'o', 'r', 'e'};
        unsigned char *out = NULL;
        size_t out_len = 0;
        tlslife_keyring *keyring = ring(number);
        CHECK(tlsl_derive(secret(number), 32, "tlslife seal", 1, derived, sizeof derived));
        memcpy(sealed + 1, derived + 32, ID_LEN);
        memcpy(aad + 1, derived + 32, ID_LEN);
        RAND_bytes(sealed + NONCE_AT, 24);
        CHECK(xaes(derived, sealed + NONCE_AT, text("twelve bytes"),
                   (tlslife_bytes){aad, sizeof aad}, sealed + BODY_AT));
        opened += tlsl_open(keyring, (tlslife_bytes){sealed, sizeof sealed}, text("more"), &out,
                            &out_len) &&
                  out_len == 12 && memcmp(out, "twelve bytes", 12) == 0;
        free(out);
        tlslife_keyring_free(keyring);
    }
    CHECK(opened == 32);
}

/* RFC 5869 with an info of label and number, made of HMACs. */
static void test_derive(void) {
    unsigned char zeros[32] = {0}, pseudo[32], wanted[32], got[32];
    unsigned char info[] = {'l', 'a', 'b', 'e', 'l', 0, 0, 0, 0, 0, 0, 1, 2, 1};
    size_t len = 0;
    CHECK(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, zeros, 32, secret(9), 32, pseudo, 32,
                    &len) != NULL);
    CHECK(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, pseudo, 32, info, sizeof info, wanted, 32,
                    &len) != NULL);
    CHECK(tlsl_derive(secret(9), 32, "label", 0x0102, got, sizeof got));
    CHECK(memcmp(got, wanted, sizeof got) == 0);
}

/* ------------------------------------------------------------------------------------ many keys */

static void test_short_secrets(void) {
    tlslife_error err;
    memset(&err, 0, sizeof err);
    CHECK(tlslife_keyring_new(secret(1), 31, &err) == NULL && err.kind == TLSLIFE_ERR_USAGE);
    CHECK(tlslife_keyring_new(secret(1), 0, NULL) == NULL);
    tlslife_keyring *keyring = ring(1);
    CHECK(tlslife_keyring_add(keyring, secret(2), 31, &err) == TLSLIFE_ERROR &&
          err.kind == TLSLIFE_ERR_USAGE);
    CHECK(tlslife_keyring_rotate(keyring, secret(2), 31, &err) == TLSLIFE_ERROR &&
          err.kind == TLSLIFE_ERR_USAGE);
    CHECK_TEXT(err.message, "a keyring's secret has 32 bytes or more, all of them random, not 31");
    CHECK(tlslife_keyring_up_ref(keyring) == keyring);
    tlslife_keyring_free(keyring);
    tlslife_keyring_free(keyring);
    tlslife_keyring_free(NULL);
}

static void test_other_keys(void) {
    tlslife_keyring *one = ring(1), *other = ring(2), *same = ring(1);
    unsigned char *sealed = NULL;
    size_t sealed_len = 0;
    CHECK(tlsl_seal(one, text("bytes"), nothing, &sealed, &sealed_len));
    CHECK(opens(one, sealed, sealed_len, nothing) && opens(same, sealed, sealed_len, nothing));
    CHECK(!opens(other, sealed, sealed_len, nothing));
    CHECK(tlslife_keyring_add(other, secret(1), 32, NULL) == TLSLIFE_OK);
    CHECK(opens(other, sealed, sealed_len, nothing));
    free(sealed);
    CHECK(tlsl_seal(other, text("bytes"), nothing, &sealed, &sealed_len));
    CHECK(!opens(one, sealed, sealed_len, nothing)); /* what was added does not seal */
    CHECK(tlslife_keyring_rotate(one, secret(2), 32, NULL) == TLSLIFE_OK);
    CHECK(opens(one, sealed, sealed_len, nothing));
    free(sealed);
    tlslife_keyring_free(one);
    tlslife_keyring_free(other);
    tlslife_keyring_free(same);
}

/* One block sealed under each of many secrets. */
typedef struct sealed_block {
    unsigned char *bytes;
    size_t len;
} sealed_block;

static sealed_block block_of(unsigned char number) {
    sealed_block block = {NULL, 0};
    tlslife_keyring *keyring = ring(number);
    CHECK(tlsl_seal(keyring, text("block"), nothing, &block.bytes, &block.len));
    tlslife_keyring_free(keyring);
    return block;
}

/* Returns a bit for each of the 20 blocks, which is set if the block opens. */
static unsigned which_open(tlslife_keyring *keyring, const sealed_block blocks[20]) {
    unsigned mask = 0;
    for (unsigned i = 0; i < 20; i++) {
        mask |= opens(keyring, blocks[i].bytes, blocks[i].len, nothing) ? 1u << i : 0;
    }
    return mask;
}

static void test_ring_of_eight(void) {
    sealed_block blocks[20];
    tlslife_error err;
    for (unsigned char i = 0; i < 20; i++) {
        blocks[i] = block_of(i);
    }
    tlslife_keyring *keyring = ring(0);
    for (unsigned char i = 1; i < 8; i++) {
        CHECK(tlslife_keyring_add(keyring, secret(i), 32, NULL) == TLSLIFE_OK);
    }
    CHECK(which_open(keyring, blocks) == 0xff);
    CHECK(tlslife_keyring_add(keyring, secret(8), 32, &err) == TLSLIFE_ERROR &&
          err.kind == TLSLIFE_ERR_USAGE);
    CHECK(tlslife_keyring_add(keyring, secret(3), 32, NULL) == TLSLIFE_OK); /* there already */
    CHECK(which_open(keyring, blocks) == 0xff);
    for (unsigned char i = 8; i < 12; i++) { /* the last of the ring goes: 7, then 6, ... */
        CHECK(tlslife_keyring_rotate(keyring, secret(i), 32, NULL) == TLSLIFE_OK);
    }
    CHECK(which_open(keyring, blocks) == 0xf0f);
    CHECK(tlslife_keyring_rotate(keyring, secret(3), 32, NULL) ==
          TLSLIFE_OK); /* moves to the front */
    CHECK(which_open(keyring, blocks) == 0xf0f);
    for (unsigned char i = 12; i < 19; i++) {
        CHECK(tlslife_keyring_rotate(keyring, secret(i), 32, NULL) == TLSLIFE_OK);
    }
    CHECK(which_open(keyring, blocks) == 0x7f008);
    for (size_t i = 0; i < 20; i++) {
        free(blocks[i].bytes);
    }
    tlslife_keyring_free(keyring);
}

/* -------------------------------------------------------------------------------------- threads */

typedef struct turning {
    tlslife_keyring *keyring;
    atomic_bool over;
    atomic_uint opened, failed;
} turning;

static void *seal_and_open(void *argument) {
    turning *scene = argument;
    do {
        unsigned char *sealed = NULL;
        size_t sealed_len = 0;
        bool good = tlsl_seal(scene->keyring, text("bytes"), nothing, &sealed, &sealed_len) &&
                    opens(scene->keyring, sealed, sealed_len, nothing);
        atomic_fetch_add(good ? &scene->opened : &scene->failed, 1);
        free(sealed);
    } while (!atomic_load(&scene->over));
    OPENSSL_thread_stop();
    return NULL;
}

/*
 * Two secrets take turns as the first of the ring. Bytes that were sealed under either open at any
 * time.
 */
static void test_rotation_under_threads(void) {
    turning scene = {.keyring = ring(1)};
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++) {
        CHECK(pthread_create(&threads[i], NULL, seal_and_open, &scene) == 0);
    }
    for (unsigned i = 0; i < 2000; i++) {
        (void)tlslife_keyring_rotate(scene.keyring, secret(i % 2 == 0 ? 2 : 1), 32, NULL);
    }
    atomic_store(&scene.over, true);
    for (size_t i = 0; i < 3; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    CHECK(atomic_load(&scene.opened) >= 3 && atomic_load(&scene.failed) == 0);
    tlslife_keyring_free(scene.keyring);
}

int main(void) {
    static const size_t lengths[] = {0, 1, 15, 16, 17, 150, 900, 65536};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        test_round_trip(lengths[i]);
    }
    test_no_aad();
    test_never_the_same();
    test_every_bit();
    test_every_length();
    test_error_queue();
    test_yardstick();
    test_as_published();
    test_derive();
    test_short_secrets();
    test_other_keys();
    test_ring_of_eight();
    test_rotation_under_threads();
    return checks_end();
}
