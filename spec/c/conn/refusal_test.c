/*
 * refusal_test.c: tests that a program which refuses a client's certificate
 * (tlslife_conn_answer_verify) sends the alert that libssl would send.
 *
 * Each certificate goes to two servers. One asks its program, and the other lets libssl judge.
 */
#include "tlslife.h"
#include "tlslife_openssl.h"

#include "check.h"
#include "identity.h"

#include <openssl/ssl.h>
#include <stdlib.h>

enum { SERIAL_REVOKED = 66 };

typedef struct flaw {
    const char *what;
    long begins, ends; /* seconds from now */
    const char *purpose;
    long serial;
    bool self_signed;
} flaw;

static const flaw flaws[] = {
    {"expired", -7200, -3600, NULL, 2, false},
    {"not yet valid", 3600, 7200, NULL, 2, false},
    {"for servers alone", -60, 3600, "serverAuth", 2, false},
    {"revoked", -60, 3600, NULL, SERIAL_REVOKED, false},
    {"signed by itself", -60, 3600, NULL, 2, true},
};

static EVP_PKEY *ca_key;
static X509 *ca;
static X509_CRL *crl;
static test_identity servers; /* what the servers show */

static void must(bool holds) {
    if (!holds) {
        abort();
    }
}

/* --------------------------------------------------------------------------------- certificates */

static void extend(X509 *x509, int nid, const char *value) {
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    must(extension != NULL && X509_add_ext(x509, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static X509 *certificate_for(EVP_PKEY *key, const char *name, const flaw *how) {
    X509 *x509 = X509_new();
    must(x509 != NULL && X509_set_version(x509, 2) == 1 && X509_set_pubkey(x509, key) == 1);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(x509), how->serial);
    (void)X509_gmtime_adj(X509_getm_notBefore(x509), how->begins);
    (void)X509_gmtime_adj(X509_getm_notAfter(x509), how->ends);
    (void)X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                                     (const unsigned char *)name, -1, -1, 0);
    if (how->purpose != NULL) {
        extend(x509, NID_ext_key_usage, how->purpose);
    }
    return x509;
}

static void sign(X509 *x509, EVP_PKEY *key, const X509 *issuer) {
    must(X509_set_issuer_name(x509, X509_get_subject_name(issuer)) == 1 &&
         X509_sign(x509, key, EVP_sha256()) > 0);
}

static void make_ca(void) {
    static const flaw none = {"CA", -7200, 7200, NULL, 1, true};
    ca_key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    ca = certificate_for(ca_key, "CA", &none);
    extend(ca, NID_basic_constraints, "critical,CA:TRUE");
    extend(ca, NID_key_usage, "critical,keyCertSign,cRLSign");
    sign(ca, ca_key, ca);
}

static void make_crl(void) {
    ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *then = X509_gmtime_adj(NULL, 3600);
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    X509_REVOKED *revoked = X509_REVOKED_new();
    crl = X509_CRL_new();
    must(ASN1_INTEGER_set(serial, SERIAL_REVOKED) == 1 && X509_CRL_set_version(crl, 1) == 1 &&
         X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) == 1 &&
         X509_CRL_set1_lastUpdate(crl, now) == 1 && X509_CRL_set1_nextUpdate(crl, then) == 1 &&
         X509_REVOKED_set_serialNumber(revoked, serial) == 1 &&
         X509_REVOKED_set_revocationDate(revoked, now) == 1 &&
         X509_CRL_add0_revoked(crl, revoked) == 1 && X509_CRL_sign(crl, ca_key, EVP_sha256()) > 0);
    ASN1_TIME_free(now);
    ASN1_TIME_free(then);
    ASN1_INTEGER_free(serial);
}

static void make_flawed(const flaw *how, test_identity *out) {
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *x509 = certificate_for(key, "client", how);
    BIO *text = BIO_new(BIO_s_mem()), *key_text = BIO_new(BIO_s_mem());
    sign(x509, how->self_signed ? key : ca_key, how->self_signed ? x509 : ca);
    must(PEM_write_bio_X509(text, x509) == 1 &&
         PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) == 1);
    identity_text(text, out->certificate, sizeof out->certificate);
    identity_text(key_text, out->key, sizeof out->key);
    X509_free(x509);
    EVP_PKEY_free(key);
}

/* ------------------------------------------------------------------------------------- contexts */

static void show(tlslife_context *context, const test_identity *shown) {
    must(tlslife_context_set_certificate_pem(context, shown->certificate,
                                             strlen(shown->certificate), NULL) == TLSLIFE_OK &&
         tlslife_context_set_private_key_pem(context, shown->key, strlen(shown->key), NULL, NULL) ==
             TLSLIFE_OK);
}

/* Trusts the CA and knows what it has revoked. */
static tlslife_context *new_server(int version, bool asks) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_SERVER, NULL);
    must(context != NULL);
    X509_STORE *store = SSL_CTX_get_cert_store(tlslife_context_ssl_ctx(context));
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem = NULL;
    must(PEM_write_bio_X509(bio, ca) == 1);
    long len = BIO_get_mem_data(bio, &pem);
    show(context, &servers);
    must(tlslife_context_add_ca_pem(context, pem, (size_t)len, NULL) == TLSLIFE_OK &&
         tlslife_context_set_verify(context, TLSLIFE_VERIFY_REQUIRED, NULL) == TLSLIFE_OK &&
         tlslife_context_set_versions(context, version, version, NULL) == TLSLIFE_OK &&
         tlslife_context_set_questions(context, asks ? TLSLIFE_ASK_VERIFY_ALL : 0, NULL) ==
             TLSLIFE_OK);
    must(X509_STORE_add_crl(store, crl) == 1 &&
         X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1);
    BIO_free(bio);
    return context;
}

static tlslife_context *new_client(const test_identity *shown) {
    tlslife_context *context = tlslife_context_new(TLSLIFE_CLIENT, NULL);
    must(context != NULL &&
         tlslife_context_set_verify(context, TLSLIFE_VERIFY_NONE, NULL) == TLSLIFE_OK);
    show(context, shown);
    return context;
}

/* ----------------------------------------------------------------------------------- handshakes */

/* One call of each end. The server refuses when it is asked. */
static void step(tlslife_conn *client, tlslife_conn *server) {
    char byte = 0;
    size_t len = 0;
    if (tlslife_conn_handshake_done(client)) {
        (void)tlslife_conn_read(client, &byte, 1, &len);
    } else {
        (void)tlslife_conn_connect(client);
    }
    if (tlslife_conn_error(server)->kind == TLSLIFE_ERR_NONE &&
        tlslife_conn_accept(server) == TLSLIFE_WANT_VERIFY) {
        CHECK(tlslife_conn_verify_result(server) != X509_V_OK);
        CHECK(tlslife_conn_answer_verify(server, false) == TLSLIFE_OK);
        (void)tlslife_conn_accept(server);
    }
}

/* The alert that the client gets; -1: none. */
static int alert_of(const test_identity *shown, int version, bool asks) {
    tlslife_context *servers_context = new_server(version, asks), *clients = new_client(shown);
    tlslife_conn *client = tlslife_conn_new(clients, NULL);
    tlslife_conn *server = tlslife_conn_new(servers_context, NULL);
    must(client != NULL && server != NULL && tlslife_conn_pair(client, server, 0) == TLSLIFE_OK);
    for (int i = 0; i < 6 && tlslife_conn_error(client)->kind == TLSLIFE_ERR_NONE; i++) {
        step(client, server);
    }
    const tlslife_error *err = tlslife_conn_error(client);
    int alert = err->kind == TLSLIFE_ERR_ALERT && err->alert_received ? err->alert : -1;
    CHECK(tlslife_conn_error(server)->kind == TLSLIFE_ERR_VERIFY);
    tlslife_conn_free(client);
    tlslife_conn_free(server);
    tlslife_context_free(clients);
    tlslife_context_free(servers_context);
    return alert;
}

static void is_refused_alike(const flaw *how, int version) {
    test_identity shown;
    make_flawed(how, &shown);
    int of_libssl = alert_of(&shown, version, false);
    int of_program = alert_of(&shown, version, true);
    if (!CHECK(of_libssl >= 0 && of_program == of_libssl)) {
        fprintf(stderr, "%s, 0x%04x: libssl sends %s, the program %s\n", how->what,
                (unsigned)version, tlslife_alert_name(of_libssl), tlslife_alert_name(of_program));
    }
}

int main(void) {
    must(identity_make(&servers));
    make_ca();
    make_crl();
    for (size_t i = 0; i < sizeof flaws / sizeof flaws[0]; i++) {
        is_refused_alike(&flaws[i], TLSLIFE_TLS1_2);
        is_refused_alike(&flaws[i], TLSLIFE_TLS1_3);
    }
    X509_CRL_free(crl);
    X509_free(ca);
    EVP_PKEY_free(ca_key);
    return checks_end();
}
