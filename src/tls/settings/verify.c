/*
 * verify.c: verifies the certificate of a peer, and asks the program about it.
 *
 * OpenSSL verifies the chain. What it finds wrong is recorded, for the error and for the program,
 * which may accept the peer nevertheless. A client is suspended until the program has answered; a
 * server, which cannot be, asks when the handshake has ended.
 *
 * An attacker shows a certificate that does not verify, and hopes for a verification that was left
 * out: where memory for the name that is demanded was short, or where an answer about an earlier
 * certificate still stands. The first is an error here, and an answer is used once.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "tls/context/context.h"
#include "tls/settings/verify.h"
#include "tls/state/conn.h"
#include "tls/state/ex_data.h"
#include "tlslife.h"
#include "values/certificate.h"

#define TICKET_EXTENSION 65400 /* for private use (RFC 8447 section 7): it is never sent */

/*
 * Records the certificate that a verification is about, and what was found at which depth, for the
 * error.
 */
static void record_culprit(tlslife_conn *conn, X509_STORE_CTX *store) {
    X509 *culprit = X509_STORE_CTX_get_current_cert(store);
    conn->found.verify_result = X509_STORE_CTX_get_error(store);
    conn->found.verify_depth = X509_STORE_CTX_get_error_depth(store);
    if (culprit != NULL) {
        char subject[256];
        conn->found.verify_subject =
            strdup(tlsl_name_text(X509_get_subject_name(culprit), subject, sizeof subject));
    }
}

static void forget_verification(tlslife_conn *conn) {
    free(conn->found.verify_subject);
    conn->found.verify_subject = NULL;
    conn->found.verify_depth = -1;
    conn->found.verify_result = X509_V_OK;
    conn->found.verify_errors_len = 0;
}

/*
 * X509_STORE_CTX_set_verify_cb(3), where the program decides about a peer that was refused. It goes
 * on after each error, so that all are known; the first one is the result. Where memory is short
 * the verification ends, and that is its result.
 */
static int on_verify_error(int ok, X509_STORE_CTX *store) {
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    tlslife_conn *conn = ok ? NULL : tlsl_conn_of(ssl);
    if (conn == NULL) {
        return ok;
    }
    tlsl_found_facts *found = &conn->found;
    if (found->verify_errors == NULL) {
        found->verify_errors = calloc(TLSL_VERIFY_ERRORS_MAX, sizeof *found->verify_errors);
    }
    if (found->verify_errors == NULL) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM);
        return 0;
    }
    if (found->verify_errors_len == 0) {
        record_culprit(conn, store);
    }
    if (found->verify_errors_len < TLSL_VERIFY_ERRORS_MAX) {
        found->verify_errors[found->verify_errors_len++] = (tlslife_verify_error){
            X509_STORE_CTX_get_error_depth(store), X509_STORE_CTX_get_error(store)};
    }
    return 1;
}

/* OpenSSL copies the address out. unknown is the answer if there is no memory for that. */
static bool demands_address(X509_VERIFY_PARAM *param, bool unknown) {
    ERR_set_mark();
    char *address = X509_VERIFY_PARAM_get1_ip_asc(param);
    /* Where there is no address, that is an error. */
    bool none = ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_PASSED_NULL_PARAMETER;
    ERR_pop_to_mark();
    bool demands = address != NULL || (!none && unknown);
    OPENSSL_free(address);
    return demands;
}

bool tlsl_verifies_name(X509_VERIFY_PARAM *copy, X509_VERIFY_PARAM *original) {
    return (X509_VERIFY_PARAM_get0_host(original, 0) == NULL ||
            X509_VERIFY_PARAM_get0_host(copy, 0) != NULL) &&
           (!demands_address(original, true) || demands_address(copy, false));
}

/*
 * The leaf and its issuer are in the chain that was built here. It is kept for the OCSP response,
 * which in TLS 1.2 comes later. false: out of memory.
 */
static bool keep_chain(tlslife_conn *conn, X509_STORE_CTX *store) {
    if (conn->context->ocsp_verify == TLSLIFE_VERIFY_NONE) {
        return true;
    }
    sk_X509_pop_free(conn->found.chain, X509_free);
    conn->found.chain = X509_STORE_CTX_get1_chain(store);
    return conn->found.chain != NULL;
}

/* The built-in verification. */
static bool verify(X509_STORE_CTX *store, SSL *ssl) {
    if (!tlsl_verifies_name(X509_STORE_CTX_get0_param(store), SSL_get0_param(ssl))) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM);
        return false;
    }
    return X509_verify_cert(store) > 0;
}

/* Verifies, and records the result, which is the first of several errors. */
static bool verify_peer(tlslife_conn *conn, X509_STORE_CTX *store, bool all) {
    forget_verification(conn);
    if (all) {
        X509_STORE_CTX_set_verify_cb(store, on_verify_error);
    }
    bool ok = verify(store, conn->ssl);
    if (conn->found.verify_errors_len > 0) {
        X509_STORE_CTX_set_error(store, (int)conn->found.verify_result);
        return false;
    }
    if (!ok) {
        record_culprit(conn, store);
    }
    return ok;
}

/* The verify result for which libssl sends this alert; else one for handshake_failure. */
static int result_for(int alert) {
    static const struct {
        int alert, result;
    } results[] = {
        {SSL_AD_BAD_CERTIFICATE, X509_V_ERR_CERT_REJECTED},
        {SSL_AD_UNSUPPORTED_CERTIFICATE, X509_V_ERR_INVALID_PURPOSE},
        {SSL_AD_CERTIFICATE_REVOKED, X509_V_ERR_CERT_REVOKED},
        {SSL_AD_CERTIFICATE_EXPIRED, X509_V_ERR_CERT_HAS_EXPIRED},
        {SSL_AD_CERTIFICATE_UNKNOWN, X509_V_ERR_OCSP_CERT_UNKNOWN},
        {SSL_AD_UNKNOWN_CA, X509_V_ERR_INVALID_CA},
        {SSL_AD_DECRYPT_ERROR, X509_V_ERR_CERT_SIGNATURE_FAILURE},
        {SSL_AD_INTERNAL_ERROR, X509_V_ERR_OUT_OF_MEM},
    };
    size_t i = 0, len = sizeof results / sizeof results[0];
    while (i < len && results[i].alert != alert) {
        i++;
    }
    return i < len ? results[i].result : X509_V_ERR_APPLICATION_VERIFICATION;
}

/*
 * libssl makes the callback again when a client's question has been answered. The answer is used
 * once, because a renegotiation may bring another certificate.
 */
static int answered_verification(tlslife_conn *conn, X509_STORE_CTX *store) {
    bool accepted = conn->asked.verify == TLSL_ACCEPTED;
    conn->asked.verify = TLSL_UNASKED;
    if (!accepted && conn->found.verify_result == X509_V_OK) {
        conn->found.verify_result = X509_V_ERR_APPLICATION_VERIFICATION;
    }
    X509_STORE_CTX_set_error(store, !accepted && conn->asked.alert_chosen
                                        ? result_for(conn->asked.refuse_alert)
                                        : (int)conn->found.verify_result);
    return accepted;
}

static int on_verify(X509_STORE_CTX *store, void *unused) {
    (void)unused;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    tlslife_conn *conn = tlsl_conn_of(ssl);
    if (conn == NULL) {
        return verify(store, ssl);
    }
    bool server = SSL_is_server(ssl);
    if (!server && conn->asked.verify >= TLSL_ACCEPTED) {
        return answered_verification(conn, store);
    }
    unsigned asks = conn->context->questions & (TLSLIFE_ASK_VERIFY | TLSLIFE_ASK_VERIFY_ALL);
    bool ok = verify_peer(conn, store, asks & TLSLIFE_ASK_VERIFY_ALL);
    if (!server && !keep_chain(conn, store)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM);
        record_culprit(conn, store);
        ok = false;
    }
    /* The program does not decide about what could not be verified for lack of memory. */
    bool decides = ok || ((asks & TLSLIFE_ASK_VERIFY_ALL) &&
                          X509_STORE_CTX_get_error(store) != X509_V_ERR_OUT_OF_MEM);
    if (asks == 0 || !decides) {
        return ok;
    }
    /*
     * A server cannot suspend here. It asks when the handshake has ended or, about a certificate
     * that comes after the handshake, before it reads or writes data.
     */
    conn->asked.verify = TLSL_ASKED;
    if (server) {
        conn->open = false;
    } else {
        SSL_set_retry_verify(ssl);
    }
    return 1;
}

/*
 * SSL_custom_ext_add_cb_ex(3). No ticket has this extension. A ticket that is begun for a refused
 * peer fails here, so that libssl sends the alert.
 */
/* NOLINTNEXTLINE(readability-function-size): OpenSSL calls it with nine arguments. */
static int on_ticket_extension(SSL *ssl, unsigned type, unsigned where, const unsigned char **out,
                               size_t *out_len, X509 *x509, size_t index, int *alert,
                               void *unused) {
    (void)type, (void)where, (void)out, (void)out_len, (void)x509, (void)index, (void)unused;
    const tlslife_conn *conn = tlsl_conn_of(ssl);
    if (conn == NULL || conn->asked.verify != TLSL_REFUSED) {
        return 0;
    }
    *alert = conn->asked.refuse_alert;
    return -1;
}

bool tlsl_verify_ask(tlslife_context *context) {
    if (!tlsl_asks_verify(context) || context->role != TLSLIFE_SERVER || context->refuses) {
        return true;
    }
    context->refuses =
        SSL_CTX_add_custom_ext(context->ctx, TICKET_EXTENSION, SSL_EXT_TLS1_3_NEW_SESSION_TICKET,
                               on_ticket_extension, NULL, NULL, NULL, NULL) == 1;
    return context->refuses;
}

void tlsl_verify_install(tlslife_context *context) {
    SSL_CTX_set_cert_verify_callback(context->ctx, on_verify, NULL);
}
