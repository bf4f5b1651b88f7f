/*
 * identity.h: makes a self-signed certificate for localhost and its key, in PEM, for the C test
 * programs.
 */
#ifndef TLSLIFE_SPEC_IDENTITY_H
#define TLSLIFE_SPEC_IDENTITY_H

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

typedef struct test_identity {
    char certificate[4096];
    char key[4096];
} test_identity;

static inline void identity_text(BIO *bio, char *out, size_t out_len) {
    int len = BIO_read(bio, out, (int)out_len - 1);
    out[len > 0 ? len : 0] = '\0';
    BIO_free(bio);
}

static inline void identity_describe(X509 *x509, EVP_PKEY *key) {
    X509_NAME *name = X509_get_subject_name(x509);
    (void)X509_set_version(x509, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    (void)X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
                                     -1, -1, 0);
    (void)X509_set_issuer_name(x509, name);
    (void)X509_set_pubkey(x509, key);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
    (void)X509_add_ext(x509, names, -1);
    X509_EXTENSION_free(names);
}

static inline bool identity_make(test_identity *out) {
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *x509 = X509_new();
    BIO *certificate_text = BIO_new(BIO_s_mem());
    BIO *key_text = BIO_new(BIO_s_mem());
    identity_describe(x509, key);
    bool good = X509_sign(x509, key, EVP_sha256()) > 0 &&
                PEM_write_bio_X509(certificate_text, x509) == 1 &&
                PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) == 1;
    identity_text(certificate_text, out->certificate, sizeof out->certificate);
    identity_text(key_text, out->key, sizeof out->key);
    X509_free(x509);
    EVP_PKEY_free(key);
    return good;
}

#endif
