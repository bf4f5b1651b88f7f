/*
 * identity.c: a certificate authority and a server's certificate under it, P-256 both.
 *
 * A client that trusts the server's own certificate has no signature to check, which no real client
 * enjoys: so there are two certificates, and each full handshake verifies a chain. They live for a
 * day and only in the benchmark's memory; nobody else can use them.
 */
#include "identity.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool set_name(X509 *certificate, const char *common_name) {
    X509_NAME *name = X509_get_subject_name(certificate);
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common_name,
                                      -1, -1, 0) == 1;
}

/* All but the issuer's name, the extensions and the signature. NULL: out of memory. */
static X509 *new_certificate(EVP_PKEY *key, const char *common_name, long serial) {
    X509 *certificate = X509_new();
    if (certificate == NULL) {
        return NULL;
    }
    bool ok = X509_set_version(certificate, X509_VERSION_3) == 1 &&
              ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) != NULL &&
              X509_gmtime_adj(X509_getm_notAfter(certificate), 86400) != NULL &&
              X509_set_pubkey(certificate, key) == 1 && set_name(certificate, common_name);
    if (ok) {
        return certificate;
    }
    X509_free(certificate);
    return NULL;
}

static bool sign(X509 *certificate, X509 *issuer, EVP_PKEY *issuer_key) {
    return X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
           X509_sign(certificate, issuer_key, EVP_sha256()) > 0;
}

static bool make_authority(X509 *ca, EVP_PKEY *key) {
    return add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE") &&
           add_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_extension(ca, ca, NID_subject_key_identifier, "hash") && sign(ca, ca, key);
}

static bool make_leaf(X509 *leaf, X509 *ca, EVP_PKEY *ca_key) {
    return add_extension(leaf, ca, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(leaf, ca, NID_key_usage, "critical,digitalSignature") &&
           add_extension(leaf, ca, NID_ext_key_usage, "serverAuth") &&
           add_extension(leaf, ca, NID_subject_alt_name, "DNS:localhost") &&
           add_extension(leaf, ca, NID_authority_key_identifier, "keyid") && sign(leaf, ca, ca_key);
}

/* What was written to a memory BIO, as a string of our own. NULL: out of memory. */
static char *take_text(BIO *bio, bool written) {
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    char *text = written && len > 0 ? OPENSSL_strndup(data, (size_t)len) : NULL;
    BIO_free(bio);
    return text;
}

static char *certificate_text(X509 *certificate) {
    BIO *bio = BIO_new(BIO_s_mem());
    return bio == NULL ? NULL : take_text(bio, PEM_write_bio_X509(bio, certificate) == 1);
}

static char *key_text(EVP_PKEY *key) {
    BIO *bio = BIO_new(BIO_s_mem());
    return bio == NULL
               ? NULL
               : take_text(bio, PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
}

static bool fill(identity *out, X509 *ca, X509 *leaf, EVP_PKEY *key) {
    out->ca = certificate_text(ca);
    out->certificate = certificate_text(leaf);
    out->private_key = key_text(key);
    return out->ca != NULL && out->certificate != NULL && out->private_key != NULL;
}

bool identity_make(identity *out) {
    EVP_PKEY *ca_key = EVP_EC_gen("P-256");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *ca = ca_key == NULL ? NULL : new_certificate(ca_key, "tlslife bench authority", 1);
    X509 *leaf = key == NULL ? NULL : new_certificate(key, "localhost", 2);
    bool ok = ca != NULL && leaf != NULL && make_authority(ca, ca_key) &&
              make_leaf(leaf, ca, ca_key) && fill(out, ca, leaf, key);
    X509_free(leaf);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
    return ok;
}

void identity_clear(identity *made) {
    OPENSSL_free(made->ca);
    OPENSSL_free(made->certificate);
    OPENSSL_clear_free(made->private_key,
                       made->private_key == NULL ? 0 : strlen(made->private_key));
    *made = (identity){NULL, NULL, NULL};
}
