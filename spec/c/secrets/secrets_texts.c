/*
 * secrets_texts.c: makes the certificates and private keys that secrets.c gives to lives, in each
 * format in which the library takes them.
 */
#include "secrets_texts.h"
#include "identity.h"

#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <string.h>

static test_identity identity, other;

static test_text texts[] = {
    {.name = "PEM certificate"},
    {.name = "PEM key", .key = identity.key},
    {.name = "PEM key of another", .key = other.key},
    {.name = "PEM encrypted key", .key = identity.key},
    {.name = "PEM key, encrypted as in RFC 1421", .key = identity.key},
    {.name = "DER key", .key = identity.key},
    {.name = "DER encrypted key", .key = identity.key},
    {.name = "PKCS#12", .key = identity.key},
    {.name = "PEM certificate and key", .key = identity.key},
    {.name = "passphrase", .secret = true},
    {.name = "passphrase of PKCS#12", .secret = true}, /* the same: OpenSSL leaves it */
};

const test_text *texts_find(const char *name) {
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(name, texts[i].name) == 0) {
            return &texts[i];
        }
    }
    return NULL;
}

static void set(const char *name, const char *bytes, size_t len) {
    test_text *one = (test_text *)texts_find(name); /* NOLINT: it is ours */
    if (one != NULL && len < sizeof one->bytes) {
        memcpy(one->bytes, bytes, len);
        one->len = len;
    }
}

/* Takes what was written to bio, and empties it. */
static void set_from(const char *name, BIO *bio) {
    char *bytes = NULL;
    long len = BIO_get_mem_data(bio, &bytes);
    set(name, bytes, len > 0 ? (size_t)len : 0);
    (void)BIO_reset(bio);
}

static void make_keys(EVP_PKEY *key, X509 *x509, char *word) {
    BIO *bio = BIO_new(BIO_s_mem());
    int len = (int)strlen(word);
    const EVP_CIPHER *aes = EVP_aes_256_cbc();
    (void)PEM_write_bio_PKCS8PrivateKey(bio, key, aes, word, len, NULL, NULL);
    set_from("PEM encrypted key", bio);
    (void)PEM_write_bio_PrivateKey_traditional(bio, key, aes, (unsigned char *)word, len, NULL,
                                               NULL);
    set_from("PEM key, encrypted as in RFC 1421", bio);
    (void)i2d_PKCS8PrivateKey_bio(bio, key, NULL, NULL, 0, NULL, NULL);
    set_from("DER key", bio);
    (void)i2d_PKCS8PrivateKey_bio(bio, key, aes, word, len, NULL, NULL);
    set_from("DER encrypted key", bio);
    PKCS12 *both = PKCS12_create(word, NULL, key, x509, NULL, 0, 0, 0, 0, 0);
    (void)i2d_PKCS12_bio(bio, both);
    set_from("PKCS#12", bio);
    (void)BIO_puts(bio, identity.certificate);
    (void)BIO_puts(bio, identity.key);
    set_from("PEM certificate and key", bio);
    PKCS12_free(both);
    BIO_free(bio);
}

/* A passphrase of letters. */
static bool make_word(char *out, size_t out_len) {
    bool good = RAND_bytes((unsigned char *)out, (int)out_len - 1) == 1;
    for (size_t i = 0; i + 1 < out_len; i++) {
        out[i] = (char)('a' + (unsigned char)out[i] % 26);
    }
    out[out_len - 1] = '\0';
    return good;
}

bool texts_make(void) {
    char word[33]; /* random, since a literal would be in the program's memory for ever */
    if (!identity_make(&identity) || !identity_make(&other) || !make_word(word, sizeof word)) {
        return false;
    }
    BIO *key_bio = BIO_new_mem_buf(identity.key, -1);
    BIO *x509_bio = BIO_new_mem_buf(identity.certificate, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL);
    X509 *x509 = PEM_read_bio_X509(x509_bio, NULL, NULL, NULL);
    set("PEM certificate", identity.certificate, strlen(identity.certificate));
    set("PEM key", identity.key, strlen(identity.key));
    set("PEM key of another", other.key, strlen(other.key));
    set("passphrase", word, strlen(word));
    set("passphrase of PKCS#12", word, strlen(word));
    make_keys(key, x509, word);
    X509_free(x509);
    EVP_PKEY_free(key);
    BIO_free(x509_bio);
    BIO_free(key_bio);
    bool good = true;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        good = good && texts[i].len > 0;
    }
    return good;
}
