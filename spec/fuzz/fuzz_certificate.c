/*
 * fuzz_certificate: reads bytes that claim to be a certificate or a private key. The first byte
 * says how they arrive. They are the DER of a peer's certificate, which becomes plain values, or a
 * source that a program loads, in any format, as certificates, a key (encrypted or not), CAs or
 * CRLs.
 *
 * The values must be those that libcrypto has: the PEM and the DER parse to an equal certificate,
 * and the fingerprint is its digest.
 *
 * Seeds: certificates with many names, with odd ones, keys and CRLs, in PEM, DER, PKCS#12 and
 * PKCS#7. A PKCS#12 is neither encrypted nor has it a MAC: of one that has, a changed number of
 * iterations would cost hours.
 *
 * floor: src/values/certificate.c 28
 * floor: src/values/objects.c 27
 * floor: src/tls/settings/credentials.c 27
 */
#include "fuzz.h"
#include "tlslife.h"
#include "values/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>

/* ------------------------------------------------------------------------------ as plain values */

static void check_pem(const tlslife_certificate *values, X509 *x509) {
    BIO *bio = BIO_new_mem_buf(values->pem, -1);
    X509 *again = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    must(again != NULL && X509_cmp(again, x509) == 0);
    X509_free(again);
    BIO_free(bio);
}

static void check_fingerprint(const tlslife_certificate *values, X509 *x509) {
    unsigned char digest[32];
    char text[65];
    must(X509_digest(x509, EVP_sha256(), digest, NULL) == 1);
    for (size_t i = 0; i < sizeof digest; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
    must(strcmp(text, values->fingerprint) == 0);
}

static void read_values(const uint8_t *bytes, size_t len) {
    tlslife_certificate values;
    char name[64];
    const unsigned char *at = bytes;
    X509 *x509 = d2i_X509(NULL, &at, (long)len);
    if (x509 == NULL) {
        return;
    }
    must(tlsl_certificate_fill(&values, x509));
    must(values.subject != NULL && values.issuer != NULL && values.serial != NULL &&
         values.names != NULL);
    check_pem(&values, x509);
    check_fingerprint(&values, x509);
    at = values.der;
    X509 *again = d2i_X509(NULL, &at, (long)values.der_len);
    must(again != NULL && X509_cmp(again, x509) == 0);
    X509_free(again);
    must(tlsl_name_text(X509_get_subject_name(x509), name, sizeof name) == name &&
         strlen(name) < sizeof name);
    tlslife_certificate_clear(&values);
    X509_free(x509);
}

/* ---------------------------------------------------------------------------------- as a source */

static void check_status(tlslife_status status, const tlslife_error *err) {
    must(status == TLSLIFE_OK || (status == TLSLIFE_ERROR && err->message[0] != '\0'));
    must(ERR_peek_error() == 0);
}

static void load(const char *pem, size_t len, const char *passphrase) {
    tlslife_error err;
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, NULL);
    must(context != NULL);
    check_status(tlslife_context_set_certificate_pem(context, pem, len, &err), &err);
    check_status(tlslife_context_set_private_key_pem(context, pem, len, passphrase, &err), &err);
    check_status(tlslife_context_add_ca_pem(context, pem, len, &err), &err);
    check_status(tlslife_context_add_crl_pem(context, pem, len, &err), &err);
    check_status(tlslife_context_set_client_ca_pem(context, pem, len, &err), &err);
    check_status(tlslife_context_set_identity_pem(context, pem, len, passphrase, &err), &err);
    tlslife_conn_free(tlslife_conn_new(context, &err));
    tlslife_context_free(context);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    fuzz_input input = {bytes, len};
    unsigned how = take_byte(&input);
    if (how % 2 == 0) {
        read_values(input.at, input.left);
    } else {
        char *pem = text_of(input.at, input.left);
        load(pem, input.left, (how & 2) != 0 ? "passphrase" : NULL);
        free(pem);
    }
    ERR_clear_error();
    return 0;
}

/* ------------------------------------------------------------------------------------ the seeds */

static void extend(X509 *x509, int nid, const char *value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, x509, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    must(extension != NULL && X509_add_ext(x509, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static X509 *new_certificate(EVP_PKEY *key, const char *name, const char *names) {
    X509 *x509 = X509_new();
    must(x509 != NULL && X509_set_version(x509, 2) == 1 && X509_set_pubkey(x509, key) == 1);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(x509), 0x7fffffff);
    (void)X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_UTF8,
                                     (const unsigned char *)name, -1, -1, 0);
    (void)X509_set_issuer_name(x509, X509_get_subject_name(x509));
    (void)ASN1_TIME_set_string(X509_getm_notBefore(x509), "19500101000000Z");
    (void)ASN1_TIME_set_string(X509_getm_notAfter(x509), "99991231235959Z");
    if (names != NULL) {
        extend(x509, NID_subject_alt_name, names);
    }
    must(X509_sign(x509, key, NULL) > 0);
    return x509;
}

static void write_der(const char *name, EVP_PKEY *key, const char *subject, const char *names) {
    unsigned char seed[4096] = {0}, *at = seed + 1;
    X509 *x509 = new_certificate(key, subject, names);
    int len = i2d_X509(x509, NULL);
    must(len > 0 && (size_t)len + 1 < sizeof seed && i2d_X509(x509, &at) == len);
    write_seed(name, seed, (size_t)len + 1);
    X509_free(x509);
}

static void write_pem(const char *name, char how, const char *first, const char *second) {
    char seed[8192];
    int len = snprintf(seed, sizeof seed, "%c%s%s", how, first, second);
    write_seed(name, seed, (size_t)len);
}

static void write_encrypted(EVP_PKEY *key) {
    char text[4096];
    BIO *bio = BIO_new(BIO_s_mem());
    must(PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), "passphrase", 10, NULL, NULL) ==
         1);
    int len = BIO_read(bio, text, sizeof text - 1);
    text[len > 0 ? len : 0] = '\0';
    BIO_free(bio);
    write_pem("encrypted", 1, text, "");
    write_pem("passphrase", 3, fuzz_certificate, text);
}

static void write_bio(const char *name, BIO *bio) {
    char seed[8192] = {1};
    int len = BIO_read(bio, seed + 1, sizeof seed - 1);
    must(len > 0);
    write_seed(name, seed, (size_t)len + 1);
    BIO_free(bio);
}

static void write_containers(EVP_PKEY *key) {
    X509 *x509 = new_certificate(key, "contained", NULL);
    PKCS12 *p12 = PKCS12_create(NULL, "name", key, x509, NULL, -1, -1, 0, -1, 0);
    PKCS7 *p7 = PKCS7_new();
    BIO *out[4] = {BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()),
                   BIO_new(BIO_s_mem())};
    must(p12 != NULL && p7 != NULL && PKCS7_set_type(p7, NID_pkcs7_signed) == 1 &&
         PKCS7_content_new(p7, NID_pkcs7_data) == 1 && PKCS7_add_certificate(p7, x509) == 1);
    must(i2d_PKCS12_bio(out[0], p12) == 1 && i2d_PKCS7_bio(out[1], p7) == 1 &&
         PEM_write_bio_PKCS7(out[2], p7) == 1 && i2d_PrivateKey_bio(out[3], key) == 1);
    write_bio("pkcs12", out[0]);
    write_bio("pkcs7", out[1]);
    write_bio("pkcs7-pem", out[2]);
    write_bio("key-der", out[3]);
    PKCS12_free(p12);
    PKCS7_free(p7);
    X509_free(x509);
}

static void write_crls(EVP_PKEY *key) {
    X509 *x509 = new_certificate(key, "revoker", NULL);
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *now = ASN1_TIME_set(NULL, FUZZ_NOW);
    BIO *out[2] = {BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem())};
    must(crl != NULL && now != NULL && X509_CRL_set_version(crl, 1) == 1 &&
         X509_CRL_set_issuer_name(crl, X509_get_subject_name(x509)) == 1 &&
         X509_CRL_set1_lastUpdate(crl, now) == 1 && X509_CRL_set1_nextUpdate(crl, now) == 1 &&
         X509_CRL_sign(crl, key, NULL) > 0);
    must(i2d_X509_CRL_bio(out[0], crl) == 1 && PEM_write_bio_X509_CRL(out[1], crl) == 1);
    write_bio("crl-der", out[0]);
    write_bio("crl-pem", out[1]);
    ASN1_TIME_free(now);
    X509_CRL_free(crl);
    X509_free(x509);
}

static void make_seeds(void) {
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    write_der("plain", key, "plain", NULL);
    write_der("names", key, "names",
              "DNS:a.example,DNS:*.b.example,IP:127.0.0.1,IP:::1,email:a@b.example,"
              "URI:https://c.example/,RID:1.2.3.4");
    write_der("odd", key, "odd,=\"+<>#; \xc3\xa4", "otherName:1.2.3.4;UTF8:other");
    write_pem("both", 1, fuzz_certificate, fuzz_key);
    write_pem("chain", 1, fuzz_certificate, fuzz_certificate);
    write_encrypted(key);
    write_containers(key);
    write_crls(key);
    EVP_PKEY_free(key);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    seeds_if_asked(make_seeds);
    return 0;
}
