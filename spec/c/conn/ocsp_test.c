/*
 * ocsp_test: tests tlsl_ocsp_judge on responses of every kind, made here by OpenSSL's functions,
 * and tlsl_must_staple. In the table below each row is what a responder, or a server whose
 * certificate was revoked, might send.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "tlslife.h"
#include "values/ocsp.h"

enum { DAY = 86400 };

/* ------------------------------------------------------------------------------- certificates */

typedef struct identity {
    X509 *x509;
    EVP_PKEY *key;
} identity;

static void extend(X509 *x509, int nid, const char *value) {
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x509, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    CHECK(extension != NULL && X509_add_ext(x509, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

/* issuer NULL: by itself. nid 0: without an extension. */
static identity issue(const char *name, long serial, const identity *issuer, int nid,
                      const char *value) {
    identity made = {X509_new(), EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")};
    const identity *by = issuer == NULL ? &made : issuer;
    (void)X509_set_version(made.x509, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(made.x509), serial);
    (void)X509_gmtime_adj(X509_getm_notBefore(made.x509), -DAY);
    (void)X509_gmtime_adj(X509_getm_notAfter(made.x509), DAY);
    (void)X509_NAME_add_entry_by_txt(X509_get_subject_name(made.x509), "CN", MBSTRING_ASC,
                                     (const unsigned char *)name, -1, -1, 0);
    (void)X509_set_pubkey(made.x509, made.key);
    (void)X509_set_issuer_name(made.x509, X509_get_subject_name(by->x509));
    if (nid != 0) {
        extend(made.x509, nid, value);
    }
    CHECK(X509_sign(made.x509, by->key, EVP_sha256()) > 0);
    return made;
}

static void forget(identity *one) {
    X509_free(one->x509);
    EVP_PKEY_free(one->key);
}

/* The leaf was issued by ca. other_ca has the name of ca, and another key. */
static identity ca, other_ca, leaf, delegate, not_delegate, strangers_delegate;

static void make_identities(void) {
    ca = issue("ca", 1, NULL, NID_basic_constraints, "critical,CA:TRUE");
    other_ca = issue("ca", 1, NULL, NID_basic_constraints, "critical,CA:TRUE");
    leaf = issue("leaf", 1234, &ca, 0, NULL);
    delegate = issue("delegate", 2, &ca, NID_ext_key_usage, "OCSPSigning");
    not_delegate = issue("not a delegate", 3, &ca, NID_ext_key_usage, "serverAuth");
    strangers_delegate = issue("delegate", 2, &other_ca, NID_ext_key_usage, "OCSPSigning");
}

/* ---------------------------------------------------------------------------------- responses */

/* Seconds from now; NONE: left out. */
#define NONE INT32_MAX

typedef struct answer {
    const identity *issuer; /* NULL: there is no answer of this number */
    long serial;
    int status;
    int made, next;
    const EVP_MD *(*hash)(void); /* NULL: SHA-1 */
} answer;

static ASN1_GENERALIZEDTIME *in(int seconds) {
    return seconds == NONE ? NULL : ASN1_GENERALIZEDTIME_set(NULL, time(NULL) + seconds);
}

static void add(OCSP_BASICRESP *basic, const answer *one) {
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    (void)ASN1_INTEGER_set(serial, one->serial);
    OCSP_CERTID *id = OCSP_cert_id_new(one->hash == NULL ? EVP_sha1() : one->hash(),
                                       X509_get_subject_name(one->issuer->x509),
                                       X509_get0_pubkey_bitstr(one->issuer->x509), serial);
    ASN1_GENERALIZEDTIME *made = in(one->made), *next = in(one->next), *revoked = in(-DAY);
    CHECK(OCSP_basic_add1_status(basic, id, one->status, OCSP_REVOKED_STATUS_KEYCOMPROMISE, revoked,
                                 made, next) != NULL);
    ASN1_GENERALIZEDTIME_free(made);
    ASN1_GENERALIZEDTIME_free(next);
    ASN1_GENERALIZEDTIME_free(revoked);
    OCSP_CERTID_free(id);
    ASN1_INTEGER_free(serial);
}

/* The bytes of a response with these answers; without a signer there are none in it. */
static unsigned char *respond(const identity *signer, const answer answers[2], int status,
                              unsigned long flags, size_t *out_len) {
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    for (int i = 0; i < 2; i++) {
        if (answers[i].issuer != NULL) {
            add(basic, &answers[i]);
        }
    }
    if (signer != NULL) {
        CHECK(OCSP_basic_sign(basic, signer->x509, signer->key, EVP_sha256(), NULL, flags) == 1);
    }
    OCSP_RESPONSE *response = OCSP_response_create(status, signer == NULL ? NULL : basic);
    unsigned char *der = NULL;
    int len = i2d_OCSP_RESPONSE(response, &der);
    CHECK(len > 0);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    *out_len = (size_t)len;
    return der;
}

/* ---------------------------------------------------------------------------------- the table */

typedef struct row {
    const char *what;
    const identity *signer;
    answer answers[2];
    int response_status;
    const char *fault; /* what is said begins so; NULL: good */
    long result;
} row;

#define GOOD V_OCSP_CERTSTATUS_GOOD
#define REVOKED V_OCSP_CERTSTATUS_REVOKED
#define UNKNOWN V_OCSP_CERTSTATUS_UNKNOWN
#define FAILED X509_V_ERR_OCSP_VERIFY_FAILED
#define NOT_SIGNED "it is not signed"
#define NOT_NOW "it is not of this time"

static const row rows[] = {
    {"good, by the issuer", &ca, {{&ca, 1234, GOOD, -60, DAY, NULL}}, 0, NULL, 0},
    {"good, by a delegate", &delegate, {{&ca, 1234, GOOD, -60, DAY, NULL}}, 0, NULL, 0},
    {"good, named by other hashes", &ca, {{&ca, 1234, GOOD, -60, DAY, EVP_sha256}}, 0, NULL, 0},
    {"good, beside others",
     &ca,
     {{&ca, 99, REVOKED, -60, DAY, NULL}, {&ca, 1234, GOOD, -60, DAY, NULL}},
     0,
     NULL,
     0},
    {"good within the leeway, early", &ca, {{&ca, 1234, GOOD, 240, DAY, NULL}}, 0, NULL, 0},
    {"good within the leeway, late", &ca, {{&ca, 1234, GOOD, -DAY, -240, NULL}}, 0, NULL, 0},
    {"good without an end, young", &ca, {{&ca, 1234, GOOD, -6 * DAY, NONE, NULL}}, 0, NULL, 0},
    {"good without an end, old",
     &ca,
     {{&ca, 1234, GOOD, -8 * DAY, NONE, NULL}},
     0,
     NOT_NOW,
     FAILED},
    {"of the past", &ca, {{&ca, 1234, GOOD, -2 * DAY, -DAY, NULL}}, 0, NOT_NOW, FAILED},
    {"of the future", &ca, {{&ca, 1234, GOOD, DAY, 2 * DAY, NULL}}, 0, NOT_NOW, FAILED},
    {"that ends before it begins", &ca, {{&ca, 1234, GOOD, 0, -60, NULL}}, 0, NOT_NOW, FAILED},
    {"revoked",
     &ca,
     {{&ca, 1234, REVOKED, -60, DAY, NULL}},
     0,
     "it says that the certificate was revoked",
     X509_V_ERR_CERT_REVOKED},
    {"revoked, of the past",
     &ca,
     {{&ca, 1234, REVOKED, -9 * DAY, -8 * DAY, NULL}},
     0,
     "it says that the certificate was revoked",
     X509_V_ERR_CERT_REVOKED},
    {"good and revoked at once",
     &ca,
     {{&ca, 1234, GOOD, -60, DAY, NULL}, {&ca, 1234, REVOKED, -60, DAY, NULL}},
     0,
     "it says that the certificate was revoked",
     X509_V_ERR_CERT_REVOKED},
    {"unknown",
     &ca,
     {{&ca, 1234, UNKNOWN, -60, DAY, NULL}},
     0,
     "it says that the certificate is not known",
     X509_V_ERR_OCSP_CERT_UNKNOWN},
    {"of another certificate",
     &ca,
     {{&ca, 1235, GOOD, -60, DAY, NULL}},
     0,
     "it is about another certificate",
     FAILED},
    {"of this serial number under another issuer",
     &other_ca,
     {{&other_ca, 1234, GOOD, -60, DAY, NULL}},
     0,
     NOT_SIGNED,
     FAILED},
    {"by another CA of the issuer's name",
     &other_ca,
     {{&ca, 1234, GOOD, -60, DAY, NULL}},
     0,
     NOT_SIGNED,
     FAILED},
    {"by the certificate itself",
     &leaf,
     {{&ca, 1234, GOOD, -60, DAY, NULL}},
     0,
     NOT_SIGNED,
     FAILED},
    {"by one that is no delegate",
     &not_delegate,
     {{&ca, 1234, GOOD, -60, DAY, NULL}},
     0,
     NOT_SIGNED,
     FAILED},
    {"by another CA's delegate",
     &strangers_delegate,
     {{&ca, 1234, GOOD, -60, DAY, NULL}},
     0,
     NOT_SIGNED,
     FAILED},
    {"without an answer", &ca, {{NULL, 0, 0, 0, 0, NULL}}, 0, "it ", FAILED},
    {"that says: later",
     NULL,
     {{NULL, 0, 0, 0, 0, NULL}},
     OCSP_RESPONSE_STATUS_TRYLATER,
     "it says that the responder has no answer",
     FAILED},
    {"that says all is well, and nothing more",
     NULL,
     {{NULL, 0, 0, 0, 0, NULL}},
     OCSP_RESPONSE_STATUS_SUCCESSFUL,
     "it cannot be read",
     FAILED},
};

static void judged(const char *what, const unsigned char *der, size_t len, const char *fault,
                   long result) {
    long said = 0;
    const char *why = tlsl_ocsp_judge(der, len, leaf.x509, ca.x509, &said);
    bool right = fault == NULL
                     ? why == NULL
                     : why != NULL && strncmp(why, fault, strlen(fault)) == 0 && said == result;
    if (!CHECK(right && ERR_peek_error() == 0)) {
        fprintf(stderr, "a response %s: %s (%ld)\n", what, why == NULL ? "good" : why, said);
    }
}

static void test_rows(void) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const row *one = &rows[i];
        size_t len = 0;
        unsigned char *der = respond(one->signer, one->answers, one->response_status, 0, &len);
        judged(one->what, der, len, one->fault, one->result);
        OPENSSL_free(der);
    }
}

/* Every byte of a good response, changed. It has no certificates, which nobody signs. */
static void test_changed(void) {
    const answer good[2] = {{&ca, 1234, GOOD, -60, DAY, NULL}};
    size_t len = 0, accepted = 0;
    unsigned char *der = respond(&ca, good, OCSP_RESPONSE_STATUS_SUCCESSFUL, OCSP_NOCERTS, &len);
    long result = 0;
    CHECK(tlsl_ocsp_judge(der, len, leaf.x509, ca.x509, &result) == NULL);
    for (size_t i = 0; i < len; i++) {
        der[i] ^= 1;
        accepted += tlsl_ocsp_judge(der, len, leaf.x509, ca.x509, &result) == NULL;
        der[i] ^= 1;
    }
    CHECK(accepted == 0);
    unsigned char *longer = OPENSSL_zalloc(len + 1);
    memcpy(longer, der, len);
    judged("with a byte more", longer, len + 1, "it cannot be read", FAILED);
    OPENSSL_free(longer);
    for (size_t cut = 0; cut < len; cut += 7) {
        judged("that was cut", der, cut, "it cannot be read", FAILED);
    }
    long said = 0;
    CHECK(tlsl_ocsp_judge(der, len, leaf.x509, NULL, &said) != NULL && said == FAILED);
    OPENSSL_free(der);
    static const unsigned char garbage[] = {0x30, 0x03, 0x0a, 0x01, 0x05};
    judged("of garbage", garbage, sizeof garbage, "it ", FAILED);
}

/* ------------------------------------------------------------------------------ to be stapled */

/* A good response in which the digest that names the certificate, SHA-1, is changed to none. */
static void test_unknown_digest(void) {
    static const unsigned char sha1[] = {0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a};
    const answer good[2] = {{&ca, 1234, GOOD, -60, DAY, NULL}};
    size_t len = 0, at = 0;
    unsigned char *der = respond(&ca, good, OCSP_RESPONSE_STATUS_SUCCESSFUL, 0, &len);
    CHECK(tlsl_ocsp_can_be_stapled(der, len));
    while (at + sizeof sha1 < len && memcmp(der + at, sha1, sizeof sha1) != 0) {
        at++;
    }
    der[at + sizeof sha1 - 1] ^= 1;
    CHECK(!tlsl_ocsp_can_be_stapled(der, len) && ERR_peek_error() != 0);
    ERR_clear_error();
    OPENSSL_free(der);
}

static void test_can_be_stapled(void) {
    static const unsigned char garbage[] = {0x30, 0x03, 0x02, 0x01, 0x05};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const row *one = &rows[i];
        size_t len = 0;
        unsigned char *der = respond(one->signer, one->answers, one->response_status, 0, &len);
        CHECK(tlsl_ocsp_can_be_stapled(der, len) && ERR_peek_error() == 0);
        CHECK(!tlsl_ocsp_can_be_stapled(der, len - 1));
        ERR_clear_error();
        OPENSSL_free(der);
    }
    CHECK(!tlsl_ocsp_can_be_stapled(garbage, sizeof garbage) && ERR_peek_error() != 0);
    ERR_clear_error();
    test_unknown_digest();
}

/* -------------------------------------------------------------------------------- must-staple */

static void test_must_staple(void) {
    CHECK(!tlsl_must_staple(leaf.x509));
    identity must = issue("must", 4, &ca, NID_tlsfeature, "status_request");
    CHECK(tlsl_must_staple(must.x509));
    forget(&must);
    identity other = issue("other", 5, &ca, NID_tlsfeature, "17");
    CHECK(!tlsl_must_staple(other.x509));
    extend(other.x509, NID_tlsfeature, "17");
    CHECK(tlsl_must_staple(other.x509)); /* twice: which one counts? */
    forget(&other);
    identity damaged = issue("damaged", 6, &ca, NID_tlsfeature, "DER:0c0178");
    CHECK(tlsl_must_staple(damaged.x509));
    forget(&damaged);
    CHECK(ERR_peek_error() == 0);
}

int main(void) {
    make_identities();
    test_rows();
    test_changed();
    test_can_be_stapled();
    test_must_staple();
    forget(&ca);
    forget(&other_ca);
    forget(&leaf);
    forget(&delegate);
    forget(&not_delegate);
    forget(&strangers_delegate);
    return checks_end();
}
