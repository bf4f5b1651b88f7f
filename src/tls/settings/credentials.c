/*
 * credentials.c: the setters of a context's certificate, private key, CAs, CRLs and stapled OCSP
 * response, and the question which certificate a connection shows.
 *
 * Each takes a file, a text in memory, or a URI, in whichever format it is (values/objects.c). An
 * OCSP response is DER. What is trusted is hashed into the policy.
 *
 * An attacker who can replace one file would try to make a key serve a certificate that it does not
 * belong to, or to have a wrong kind of object taken for the right one. Each setter says which kind
 * it expects, and fails on any other.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "tls/context/context.h"
#include "tls/context/policy.h"
#include "tls/context/settle.h"
#include "tls/context/switch.h"
#include "tls/settings/credentials.h"
#include "tls/settings/staple.h"
#include "tls/state/conn.h"
#include "tls/state/ex_data.h"
#include "tlslife.h"
#include "values/objects.h"
#include "values/source.h"

typedef tlslife_status (*setter)(tlslife_context *, const tlsl_source *, const char *,
                                 tlslife_error *);

static tlslife_status from_file(tlslife_context *context, setter set, const char *path,
                                const char *passphrase, tlslife_error *err) {
    tlsl_source source;
    if (tlsl_context_settable(context, err) != TLSLIFE_OK ||
        tlsl_source_open(path, &source, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlslife_status status = set(context, &source, passphrase, err);
    tlsl_source_close(&source);
    return status;
}

static tlslife_status from_memory(tlslife_context *context, setter set, const char *bytes,
                                  size_t len, const char *passphrase, tlslife_error *err) {
    tlsl_source source = tlsl_source_of(bytes, len, "the text in memory");
    return tlsl_context_settable(context, err) != TLSLIFE_OK
               ? TLSLIFE_ERROR
               : set(context, &source, passphrase, err);
}

/* -------------------------------------------------------------------------- certificate and key */

/*
 * Makes the first certificate our leaf, and the others its chain. Setting a leaf makes its type of
 * key the current one, and the chain then belongs to that.
 */
static bool use_certificates(SSL_CTX *ctx, STACK_OF(X509) *certificates) {
    bool ok = SSL_CTX_use_certificate(ctx, sk_X509_value(certificates, 0)) == 1 &&
              SSL_CTX_clear_chain_certs(ctx) == 1;
    for (int i = 1; ok && i < sk_X509_num(certificates); i++) {
        ok = SSL_CTX_add1_chain_cert(ctx, sk_X509_value(certificates, i)) == 1;
    }
    return ok;
}

static tlslife_status use_key(tlslife_context *context, const tlsl_source *source, EVP_PKEY *key,
                              tlslife_error *err) {
    /* If the key belongs to another certificate, libssl drops the certificate: check first. */
    X509 *leaf = SSL_CTX_get0_certificate(context->ctx);
    if (leaf == NULL || X509_check_private_key(leaf, key) != 1) {
        return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "the private key in %s %s", source->name,
                                 leaf == NULL ? "came before its certificate: set that first"
                                              : "is not the key of the certificate");
    }
    return SSL_CTX_use_PrivateKey(context->ctx, key) == 1
               ? TLSLIFE_OK
               : tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "the private key in %s cannot be used",
                                   source->name);
}

static tlslife_status set_certificate(tlslife_context *context, const tlsl_source *source,
                                      const char *passphrase, tlslife_error *err) {
    tlsl_objects got;
    tlslife_status status =
        tlsl_objects_load(source, TLSL_WANTED_CERTIFICATES, passphrase, &got, err);
    if (status == TLSLIFE_OK && !use_certificates(context->ctx, got.certificates)) {
        status = tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "the certificate in %s cannot be used",
                                   source->name);
    }
    tlsl_objects_free(&got);
    return status;
}

static tlslife_status set_private_key(tlslife_context *context, const tlsl_source *source,
                                      const char *passphrase, tlslife_error *err) {
    tlsl_objects got;
    tlslife_status status = tlsl_objects_load(source, TLSL_WANTED_KEY, passphrase, &got, err);
    if (status == TLSLIFE_OK) {
        status = use_key(context, source, got.key, err);
    }
    tlsl_objects_free(&got);
    return status;
}

/* Brings the certificate that the key belongs to, if there is one, to the front. */
static void leaf_of_key_first(STACK_OF(X509) *certificates, EVP_PKEY *key) {
    int i = 0, n = sk_X509_num(certificates);
    while (i < n && X509_check_private_key(sk_X509_value(certificates, i), key) != 1) {
        i++;
    }
    if (i > 0 && i < n) { /* into the place that has become free */
        (void)sk_X509_unshift(certificates, sk_X509_delete(certificates, i));
    }
    ERR_clear_error();
}

static tlslife_status set_identity(tlslife_context *context, const tlsl_source *source,
                                   const char *passphrase, tlslife_error *err) {
    tlsl_objects got;
    tlslife_status status = tlsl_objects_load(source, TLSL_WANTED_CERTIFICATES | TLSL_WANTED_KEY,
                                              passphrase, &got, err);
    if (status == TLSLIFE_OK) {
        leaf_of_key_first(got.certificates, got.key);
        status = use_certificates(context->ctx, got.certificates)
                     ? use_key(context, source, got.key, err)
                     : tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT,
                                         "the certificate in %s cannot be used", source->name);
    }
    tlsl_objects_free(&got);
    return status;
}

tlslife_status tlslife_context_set_identity_file(tlslife_context *context, const char *path,
                                                 const char *passphrase, tlslife_error *err) {
    return from_file(context, set_identity, path, passphrase, err);
}

tlslife_status tlslife_context_set_identity_pem(tlslife_context *context, const char *pem,
                                                size_t pem_len, const char *passphrase,
                                                tlslife_error *err) {
    return from_memory(context, set_identity, pem, pem_len, passphrase, err);
}

tlslife_status tlslife_context_set_certificate_file(tlslife_context *context, const char *path,
                                                    tlslife_error *err) {
    return from_file(context, set_certificate, path, NULL, err);
}

tlslife_status tlslife_context_set_certificate_pem(tlslife_context *context, const char *pem,
                                                   size_t pem_len, tlslife_error *err) {
    return from_memory(context, set_certificate, pem, pem_len, NULL, err);
}

tlslife_status tlslife_context_set_private_key_file(tlslife_context *context, const char *path,
                                                    const char *passphrase, tlslife_error *err) {
    return from_file(context, set_private_key, path, passphrase, err);
}

tlslife_status tlslife_context_set_private_key_pem(tlslife_context *context, const char *pem,
                                                   size_t pem_len, const char *passphrase,
                                                   tlslife_error *err) {
    return from_memory(context, set_private_key, pem, pem_len, passphrase, err);
}

/* ------------------------------------------------------------------------------------------ CAs */

static bool trust(tlslife_context *context, const tlsl_objects *got) {
    X509_STORE *store = SSL_CTX_get_cert_store(context->ctx);
    bool ok = true;
    for (int i = 0; ok && i < sk_X509_num(got->certificates); i++) {
        X509 *x509 = sk_X509_value(got->certificates, i);
        ok = tlsl_policy_add_certificate(&context->policy, TLSL_FACT_CA, x509) &&
             X509_STORE_add_cert(store, x509) == 1;
    }
    for (int i = 0; ok && i < sk_X509_CRL_num(got->crls); i++) {
        X509_CRL *crl = sk_X509_CRL_value(got->crls, i);
        ok = tlsl_policy_add_crl(&context->policy, crl) && X509_STORE_add_crl(store, crl) == 1;
    }
    return ok;
}

/* Trusts the CAs, and adds the CRLs, of a source. what names them in a message. */
static tlslife_status trust_source(tlslife_context *context, const tlsl_source *source, int wanted,
                                   const char *what, tlslife_error *err) {
    tlsl_objects got;
    tlslife_status status = tlsl_objects_load(source, wanted, NULL, &got, err);
    if (status == TLSLIFE_OK && !trust(context, &got)) {
        status = tlsl_fail_openssl(err, TLSLIFE_ERR_MEMORY, "out of memory for the %s in %s", what,
                                   source->name);
    }
    tlsl_objects_free(&got);
    return status;
}

static tlslife_status add_ca(tlslife_context *context, const tlsl_source *source,
                             const char *passphrase, tlslife_error *err) {
    (void)passphrase;
    tlslife_status status =
        trust_source(context, source, TLSL_WANTED_CERTIFICATES | TLSL_WELCOME_CRLS, "CAs", err);
    context->ca_given = context->ca_given || status == TLSLIFE_OK;
    return status;
}

tlslife_status tlslife_context_add_ca_file(tlslife_context *context, const char *path,
                                           tlslife_error *err) {
    return from_file(context, add_ca, path, NULL, err);
}

tlslife_status tlslife_context_add_ca_pem(tlslife_context *context, const char *pem, size_t pem_len,
                                          tlslife_error *err) {
    return from_memory(context, add_ca, pem, pem_len, NULL, err);
}

static tlslife_status add_crl(tlslife_context *context, const tlsl_source *source,
                              const char *passphrase, tlslife_error *err) {
    (void)passphrase;
    tlslife_status status = trust_source(context, source, TLSL_WANTED_CRLS, "CRLs", err);
    if (status == TLSLIFE_OK) {
        X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context->ctx), X509_V_FLAG_CRL_CHECK);
    }
    return status;
}

tlslife_status tlslife_context_add_crl_file(tlslife_context *context, const char *path,
                                            tlslife_error *err) {
    return from_file(context, add_crl, path, NULL, err);
}

tlslife_status tlslife_context_add_crl_pem(tlslife_context *context, const char *pem,
                                           size_t pem_len, tlslife_error *err) {
    return from_memory(context, add_crl, pem, pem_len, NULL, err);
}

tlslife_status tlslife_context_add_ca_directory(tlslife_context *context, const char *path,
                                                tlslife_error *err) {
    struct stat status;
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        return tlsl_fail(err, TLSLIFE_ERR_INPUT, "%s is no directory of CA certificates", path);
    }
    if (!tlsl_policy_add(&context->policy, TLSL_FACT_CA_PLACE, path, strlen(path)) ||
        SSL_CTX_load_verify_dir(context->ctx, path) != 1) {
        return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "the CA directory %s cannot be used",
                                 path);
    }
    context->ca_given = true;
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_use_system_ca(tlslife_context *context, tlslife_error *err) {
    return tlsl_context_settable(context, err) == TLSLIFE_OK
               ? tlsl_context_trust_system(context, err)
               : TLSLIFE_ERROR;
}

static tlslife_status add_client_ca(tlslife_context *context, const tlsl_source *source,
                                    const char *passphrase, tlslife_error *err) {
    (void)passphrase;
    tlsl_objects got;
    tlslife_status status = tlsl_objects_load(source, TLSL_WANTED_CERTIFICATES, NULL, &got, err);
    for (int i = 0; status == TLSLIFE_OK && i < sk_X509_num(got.certificates); i++) {
        if (SSL_CTX_add_client_CA(context->ctx, sk_X509_value(got.certificates, i)) != 1) {
            status = tlsl_fail_openssl(err, TLSLIFE_ERR_MEMORY, "out of memory for the CAs in %s",
                                       source->name);
        }
    }
    tlsl_objects_free(&got);
    return status;
}

/* A frozen context says that it is frozen. */
static tlslife_status clients_ca(tlslife_context *context, tlslife_error *err) {
    tlslife_status status = tlsl_context_settable(context, err);
    return status != TLSLIFE_OK ? status
                                : tlsl_settings_role(context, TLSLIFE_SERVER, "client_ca",
                                                     "servers ask for certificates", err);
}

tlslife_status tlslife_context_set_client_ca_file(tlslife_context *context, const char *path,
                                                  tlslife_error *err) {
    if (clients_ca(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    return from_file(context, add_client_ca, path, NULL, err);
}

tlslife_status tlslife_context_set_client_ca_pem(tlslife_context *context, const char *pem,
                                                 size_t pem_len, tlslife_error *err) {
    if (clients_ca(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    return from_memory(context, add_client_ca, pem, pem_len, NULL, err);
}

/* ----------------------------------------------------------------------------------------- OCSP */

static tlslife_status set_ocsp_response(tlslife_context *context, const tlsl_source *source,
                                        const char *passphrase, tlslife_error *err) {
    (void)passphrase;
    return tlsl_staple(context, (const unsigned char *)source->bytes, source->len, source->name,
                       err);
}

tlslife_status tlslife_context_set_ocsp_response_file(tlslife_context *context, const char *path,
                                                      tlslife_error *err) {
    return from_file(context, set_ocsp_response, path, NULL, err);
}

/* ------------------------------------------------------------------------- those that are shown */

/*
 * An SSL keeps the certificates that an earlier answer gave it. Where this one gives none, those of
 * the connection's own context take their place.
 */
static bool present(tlslife_conn *conn, SSL *ssl) {
    const tlslife_context *chosen = conn->asked.chosen;
    if (chosen == NULL && !conn->asked.other_shown) {
        return true;
    }
    bool ok = tlsl_context_present(chosen != NULL ? chosen : conn->context, ssl);
    conn->asked.other_shown = chosen != NULL || !ok;
    return ok;
}

static int on_certificate(SSL *ssl, void *unused) {
    (void)unused;
    tlslife_conn *conn = tlsl_conn_of(ssl);
    if (conn == NULL || !(conn->context->questions & TLSLIFE_ASK_CERTIFICATE)) {
        return 1;
    }
    if (conn->asked.certificate == TLSL_REFUSED) {
        return 0;
    }
    if (conn->asked.certificate != TLSL_ACCEPTED) {
        conn->asked.certificate = TLSL_ASKED;
        return -1;
    }
    bool ok = present(conn, ssl);
    tlslife_context_free(conn->asked.chosen);
    conn->asked.chosen = NULL;
    conn->asked.certificate = TLSL_UNASKED; /* a renegotiation asks again */
    return ok;
}

void tlsl_credentials_ask(tlslife_context *context) {
    bool asks = context->questions & TLSLIFE_ASK_CERTIFICATE;
    SSL_CTX_set_cert_cb(context->ctx, asks ? on_certificate : NULL, NULL);
}
