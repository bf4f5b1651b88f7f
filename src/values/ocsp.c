/*
 * ocsp.c: judges an OCSP response about a certificate (RFC 6960), and whether a certificate demands
 * one (RFC 7633).
 *
 * The response comes from the server, whose certificate may be revoked. Such a server would try to
 * staple: a good response from before the revocation; one about another certificate, or about its
 * own serial number under another issuer; one that it has signed itself, by a certificate that the
 * same CA issued for something else, or by a responder of another CA; one that says that the
 * responder is busy; bytes that cannot be read; or none. So a response counts only if its signer is
 * the certificate's issuer, or has a certificate for OCSP that this issuer itself has signed, and
 * if it is about this certificate, says that it is good, and is of this time. Whatever cannot be
 * read is not good. No other certificate is trusted as a signer, not even a CA of the program's.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/tls1.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "values/ocsp.h"

/* -------------------------------------------------------------------------------- the signature */

/*
 * The issuer is all that is trusted, so that a chain ends there. OpenSSL demands of a signer that
 * is not the issuer that its certificate is for OCSP.
 */
static bool is_signed_for(OCSP_BASICRESP *basic, X509 *issuer) {
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *candidates = sk_X509_new_null();
    bool ok =
        store != NULL && candidates != NULL && X509_STORE_add_cert(store, issuer) == 1 &&
        sk_X509_push(candidates, issuer) > 0 &&
        OCSP_basic_verify(basic, candidates, store, OCSP_PARTIAL_CHAIN | OCSP_NOEXPLICIT) == 1;
    sk_X509_free(candidates);
    X509_STORE_free(store);
    return ok;
}

/* ----------------------------------------------------------------------------------- the status */

/* A response names a certificate by hashes of its issuer, of a kind that the responder chooses. */
static bool is_about(const OCSP_SINGLERESP *single, X509 *leaf, X509 *issuer) {
    ASN1_OBJECT *hash = NULL;
    OCSP_CERTID *named = (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single);
    const EVP_MD *md =
        OCSP_id_get0_info(NULL, &hash, NULL, NULL, named) == 1 ? EVP_get_digestbyobj(hash) : NULL;
    OCSP_CERTID *own = md == NULL ? NULL : OCSP_cert_to_id(md, leaf, issuer);
    bool same = own != NULL && OCSP_id_cmp(own, named) == 0;
    OCSP_CERTID_free(own);
    return same;
}

/*
 * Returns NULL if the status is good, or what is wrong. A revoked certificate stays revoked,
 * however old the response is.
 */
static const char *status_of(OCSP_SINGLERESP *single, long *out_result) {
    ASN1_GENERALIZEDTIME *made = NULL, *next = NULL;
    int status = OCSP_single_get0_status(single, NULL, NULL, &made, &next);
    if (status == V_OCSP_CERTSTATUS_REVOKED) {
        *out_result = X509_V_ERR_CERT_REVOKED;
        return "it says that the certificate was revoked";
    }
    if (OCSP_check_validity(made, next, TLSL_OCSP_LEEWAY, next == NULL ? TLSL_OCSP_AGE_MAX : -1) !=
        1) {
        return "it is not of this time";
    }
    if (status != V_OCSP_CERTSTATUS_GOOD) {
        *out_result = X509_V_ERR_OCSP_CERT_UNKNOWN;
        return "it says that the certificate is not known";
    }
    return NULL;
}

/* All that is said of the certificate must be good. */
static const char *judge_statuses(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer,
                                  long *out_result) {
    const char *why = "it is about another certificate";
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        if (!is_about(single, leaf, issuer)) {
            continue;
        }
        why = status_of(single, out_result);
        if (why != NULL) {
            break;
        }
    }
    return why;
}

/* --------------------------------------------------------------------------------- the response */

static const char *judge_basic(OCSP_RESPONSE *response, X509 *leaf, X509 *issuer,
                               long *out_result) {
    if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
        return "it says that the responder has no answer";
    }
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
    const char *why = basic == NULL ? "it cannot be read"
                      : !is_signed_for(basic, issuer)
                          ? "it is not signed by the issuer of the certificate, nor for it"
                          : judge_statuses(basic, leaf, issuer, out_result);
    OCSP_BASICRESP_free(basic);
    return why;
}

const char *tlsl_ocsp_judge(const unsigned char *der, size_t der_len, X509 *leaf, X509 *issuer,
                            long *out_result) {
    const unsigned char *at = der;
    *out_result = X509_V_ERR_OCSP_VERIFY_FAILED;
    if (issuer == NULL) {
        return "the issuer of the certificate is not known";
    }
    (void)ERR_set_mark();
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der_len);
    const char *why = response == NULL || at != der + der_len
                          ? "it cannot be read"
                          : judge_basic(response, leaf, issuer, out_result);
    OCSP_RESPONSE_free(response);
    (void)ERR_pop_to_mark();
    return why;
}

/* ------------------------------------------------------------------------ what is to be stapled */

static bool is_known_digest(const OCSP_SINGLERESP *single) {
    ASN1_OBJECT *hash = NULL;
    char name[80];
    OCSP_CERTID *named = (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single);
    bool has_name = OCSP_id_get0_info(NULL, &hash, NULL, NULL, named) == 1 &&
                    OBJ_obj2txt(name, sizeof name, hash, 1) > 0;
    EVP_MD *md = has_name ? EVP_MD_fetch(NULL, name, NULL) : NULL;
    EVP_MD_free(md);
    return md != NULL;
}

static bool are_known_digests(OCSP_RESPONSE *response) {
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
    bool known = true;
    for (int i = 0; known && i < OCSP_resp_count(basic); i++) {
        known = is_known_digest(OCSP_resp_get0(basic, i));
    }
    OCSP_BASICRESP_free(basic);
    return known;
}

bool tlsl_ocsp_can_be_stapled(const unsigned char *der, size_t der_len) {
    const unsigned char *at = der;
    (void)ERR_set_mark();
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der_len);
    bool can = response != NULL && at == der + der_len && are_known_digests(response);
    OCSP_RESPONSE_free(response);
    if (can) {
        (void)ERR_pop_to_mark(); /* what only clients read may be of any form */
    } else {
        (void)ERR_clear_last_mark();
    }
    return can;
}

/* -------------------------------------------------------------------------------- must-staple */

bool tlsl_must_staple(const X509 *leaf) {
    int critical = -1; /* stays -1 if there is no such extension */
    (void)ERR_set_mark();
    TLS_FEATURE *features = X509_get_ext_d2i(leaf, NID_tlsfeature, &critical, NULL);
    (void)ERR_pop_to_mark();
    bool must = features == NULL && critical != -1;
    for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++) {
        must = must ||
               ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == TLSEXT_TYPE_status_request;
    }
    TLS_FEATURE_free(features);
    return must;
}
