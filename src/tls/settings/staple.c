/*
 * staple.c: OCSP responses, which a server staples to its certificate, and a client verifies.
 *
 * An attacker who has the key of a revoked certificate leaves the response out, or sends an old
 * one. A certificate that demands a response (RFC 7633) and a client that requires one are not
 * satisfied then. values/ocsp.c judges the response itself.
 */
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "tls/context/agree.h"
#include "tls/context/context.h"
#include "tls/context/settle.h"
#include "tls/settings/staple.h"
#include "tls/state/conn.h"
#include "tls/state/ex_data.h"
#include "tlslife.h"
#include "values/objects.h"
#include "values/ocsp.h"

#define OCSP_MAX 65535 /* bytes */

/* -------------------------------------------------------------------------------- the callbacks */

static int on_ocsp(SSL *ssl, void *unused) {
    (void)unused;
    const tlslife_conn *conn = tlsl_conn_of(ssl);
    const tlslife_context *context = conn == NULL ? NULL : conn->context;
    unsigned char *copy = context == NULL || context->ocsp == NULL
                              ? NULL
                              : OPENSSL_memdup(context->ocsp, context->ocsp_len);
    if (copy == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)context->ocsp_len);
    return SSL_TLSEXT_ERR_OK;
}

/* What is wrong with the response, or with its absence. NULL: nothing. */
static const char *judge_staple(const tlslife_conn *conn, X509 *leaf, X509 *issuer,
                                long *out_result) {
    const unsigned char *der = NULL;
    long len = SSL_get_tlsext_status_ocsp_resp(conn->ssl, &der);
    if (der != NULL && len > 0) {
        return tlsl_ocsp_judge(der, (size_t)len, leaf, issuer, out_result);
    }
    *out_result = X509_V_ERR_OCSP_VERIFY_NEEDED;
    if (tlsl_must_staple(leaf)) {
        return "the server sent none, and its certificate demands one (RFC 7633)";
    }
    return conn->context->ocsp_verify == TLSLIFE_VERIFY_REQUIRED
               ? "the server sent none, and this client requires one"
               : NULL;
}

/*
 * SSL_CTX_set_tlsext_status_cb(3), on a client: called when the server's flight is complete, also
 * where no response came. A server without a certificate has shown a PSK, and one that resumes has
 * been judged before.
 */
static int on_staple(SSL *ssl, void *unused) {
    (void)unused;
    tlslife_conn *conn = tlsl_conn_of(ssl);
    if (conn == NULL || conn->context->ocsp_verify == TLSLIFE_VERIFY_NONE ||
        SSL_session_reused(ssl) || SSL_get0_peer_certificate(ssl) == NULL) {
        return 1;
    }
    STACK_OF(X509) *chain = conn->found.chain;
    X509 *leaf = sk_X509_value(chain, 0), *issuer = sk_X509_value(chain, 1);
    if (leaf != NULL && issuer == NULL && X509_check_issued(leaf, leaf) == X509_V_OK) {
        issuer = leaf;
    }
    long result = X509_V_ERR_OUT_OF_MEM; /* without a leaf: keep_chain has failed */
    const char *fault =
        leaf == NULL ? "out of memory for it" : judge_staple(conn, leaf, issuer, &result);
    if (fault != NULL) {
        conn->found.ocsp_fault = fault;
        conn->found.verify_result = (int)result;
    }
    sk_X509_pop_free(chain, X509_free);
    conn->found.chain = NULL;
    return fault == NULL;
}

static void install(tlslife_context *context) {
    if (context->role == TLSLIFE_SERVER) {
        SSL_CTX_set_tlsext_status_cb(context->ctx, on_ocsp);
    } else {
        SSL_CTX_set_tlsext_status_cb(context->ctx, on_staple);
    }
}

/* --------------------------------------------------------------------------------- the settings */

static tlslife_status check_staple(tlslife_context *context, const unsigned char *der,
                                   size_t der_len, const char *name, tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK ||
        tlsl_settings_role(context, TLSLIFE_SERVER, "ocsp_response", "servers staple responses",
                           err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (der == NULL || der_len == 0 || der_len > OCSP_MAX ||
        tlsl_sequence_len(der, der_len) != der_len) {
        return tlsl_fail(err, TLSLIFE_ERR_INPUT,
                         "%s is no OCSP response in DER of at most %d bytes", name, OCSP_MAX);
    }
    tlsl_errors_clear();
    return tlsl_ocsp_can_be_stapled(der, der_len)
               ? TLSLIFE_OK
               : tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "%s cannot be read as an OCSP response",
                                   name);
}

tlslife_status tlsl_staple(tlslife_context *context, const unsigned char *der, size_t der_len,
                           const char *name, tlslife_error *err) {
    if (check_staple(context, der, der_len, name, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    unsigned char *copy = malloc(der_len);
    if (copy == NULL) {
        return tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for an OCSP response");
    }
    memcpy(copy, der, der_len);
    free(context->ocsp);
    context->ocsp = copy;
    context->ocsp_len = der_len;
    install(context);
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_set_ocsp_response(tlslife_context *context, const unsigned char *der,
                                                 size_t der_len, tlslife_error *err) {
    return tlsl_staple(context, der, der_len, "what was given", err);
}

tlslife_status tlslife_context_set_ocsp_request(tlslife_context *context, bool request,
                                                tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (context->role == TLSLIFE_SERVER) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE, "only a client asks for an OCSP response");
    }
    bool declined = context->ocsp_declined;
    context->ocsp_declined = !request;
    if (tlsl_settings_agree(context, err) != TLSLIFE_OK) {
        context->ocsp_declined = declined;
        return TLSLIFE_ERROR;
    }
    SSL_CTX_set_tlsext_status_type(context->ctx, request ? TLSEXT_STATUSTYPE_ocsp : -1);
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_set_ocsp_verify(tlslife_context *context, tlslife_verify verify,
                                               tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (context->role == TLSLIFE_SERVER || verify > TLSLIFE_VERIFY_REQUIRED) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "a client verifies OCSP responses: never (none), those that come "
                         "(optional), or always (required)");
    }
    tlslife_verify before = context->ocsp_verify;
    context->ocsp_verify = verify;
    if (tlsl_settings_agree(context, err) != TLSLIFE_OK) {
        context->ocsp_verify = before;
        return TLSLIFE_ERROR;
    }
    if (verify != TLSLIFE_VERIFY_NONE) {
        SSL_CTX_set_tlsext_status_type(context->ctx, TLSEXT_STATUSTYPE_ocsp);
        install(context);
    }
    return TLSLIFE_OK;
}
