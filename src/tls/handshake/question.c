/*
 * question.c: records the program's answers to the questions of a handshake.
 *
 * An answer takes effect when the program makes the suspended call again and libssl makes its
 * callback. Each question is answered once. An answer to a question that was not asked is a mistake
 * of the program, and is reported, because an attacker would profit from a policy decision that has
 * no effect.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tls/context/context.h"
#include "tls/context/switch.h"
#include "tls/handshake/hold.h"
#include "tls/handshake/psk_question.h"
#include "tls/handshake/question.h"
#include "tls/session/hello.h"
#include "tls/state/conn.h"
#include "tls/state/descriptor.h"
#include "tls/state/failure.h"
#include "tls/state/measured.h"
#include "tlslife.h"
#include "values/certificate.h"

static tlslife_status check_asked(tlslife_conn *conn, uint8_t answer, const char *verb) {
    return answer == TLSL_ASKED
               ? TLSLIFE_OK
               : tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "%s, but nothing was asked", verb);
}

/* ---------------------------------------------------------------------------------- ClientHello */

const tlslife_hello *tlslife_conn_hello(const tlslife_conn *conn) {
    return conn->asked.client_hello;
}

static void hello_answered(tlslife_conn *conn, tlsl_answer answer) {
    conn->asked.hello = (uint8_t)answer;
    tlsl_hello_free(conn->asked.client_hello);
    conn->asked.client_hello = NULL;
}

/*
 * The listener serves other clients, too. So the mistake ends this handshake alone, and the call
 * that runs the handshake reports it.
 */
static void refuse_unfit(tlslife_conn *conn, const tlslife_error *failure) {
    (void)tlsl_conn_fail_as(conn, failure);
    free(conn->asked.refuse_reason);
    conn->asked.refuse_reason = strdup(failure->message);
    conn->asked.refuse_alert = SSL_AD_INTERNAL_ERROR;
    hello_answered(conn, TLSL_REFUSED);
}

tlslife_status tlslife_conn_answer_hello(tlslife_conn *conn, tlslife_context *context) {
    if (check_asked(conn, conn->asked.hello, "answer_hello") != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlslife_error failure;
    if (context == NULL) {
        context = tlsl_context_match(conn->context, conn->asked.client_hello->server_name);
    } else if (tlsl_switch_check(conn->context, context, &failure) != TLSLIFE_OK ||
               tlsl_context_ready(context, &failure) != TLSLIFE_OK) {
        refuse_unfit(conn, &failure);
        return TLSLIFE_OK;
    }
    conn->asked.chosen = context == NULL ? NULL : tlslife_context_up_ref(context);
    hello_answered(conn, TLSL_ACCEPTED);
    return TLSLIFE_OK;
}

/* --------------------------------------------------------------------------------- certificates */

tlslife_status tlslife_conn_answer_certificate(tlslife_conn *conn, tlslife_context *context) {
    if (check_asked(conn, conn->asked.certificate, "answer_certificate") != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlslife_error failure;
    if (context != NULL && tlsl_context_freeze(context, &failure) != TLSLIFE_OK) {
        return tlsl_conn_fail_as(conn, &failure);
    }
    if (context != NULL && context->credentials_len == 0) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE,
                              "answer_certificate: that context has no certificate with a key");
    }
    conn->asked.chosen = context == NULL ? NULL : tlslife_context_up_ref(context);
    conn->asked.certificate = TLSL_ACCEPTED;
    return TLSLIFE_OK;
}

/* A server has them from a TLS 1.3 ClientHello with the extension certificate_authorities. */
static const STACK_OF(X509_NAME) *ca_names(const tlslife_conn *conn) {
    bool known = conn->known && SSL_get0_session(conn->ssl) != NULL;
    return known || conn->asked.certificate == TLSL_ASKED ? SSL_get0_peer_CA_list(conn->ssl) : NULL;
}

size_t tlslife_conn_ca_names_len(tlslife_conn *conn) {
    const STACK_OF(X509_NAME) *names = ca_names(conn);
    return names == NULL ? 0 : (size_t)sk_X509_NAME_num(names);
}

const char *tlslife_conn_ca_name(tlslife_conn *conn, size_t index) {
    if (index >= tlslife_conn_ca_names_len(conn)) {
        return NULL;
    }
    const size_t text_len = 512;
    OPENSSL_free(conn->asked.ca_name);
    conn->asked.ca_name = OPENSSL_zalloc(text_len);
    return conn->asked.ca_name == NULL
               ? NULL
               : tlsl_name_text(sk_X509_NAME_value(ca_names(conn), (int)index), conn->asked.ca_name,
                                text_len);
}

/* ----------------------------------------------------------------------------------------- peer */

/* The alert for a verify result, as RFC 8446 section 6.2 defines the alerts. */
static int alert_for(long verify_result) {
    switch (verify_result) {
    case X509_V_OK:
    case X509_V_ERR_APPLICATION_VERIFICATION: return SSL_AD_HANDSHAKE_FAILURE;
    case X509_V_ERR_OUT_OF_MEM: return SSL_AD_INTERNAL_ERROR;
    case X509_V_ERR_CERT_REVOKED: return SSL_AD_CERTIFICATE_REVOKED;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CRL_HAS_EXPIRED: return SSL_AD_CERTIFICATE_EXPIRED;
    case X509_V_ERR_INVALID_PURPOSE: return SSL_AD_UNSUPPORTED_CERTIFICATE;
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_REJECTED: return SSL_AD_BAD_CERTIFICATE;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_CHAIN_TOO_LONG:
    case X509_V_ERR_INVALID_CA: return SSL_AD_UNKNOWN_CA;
    default: return SSL_AD_CERTIFICATE_UNKNOWN;
    }
}

tlslife_status tlslife_conn_answer_verify(tlslife_conn *conn, bool accept) {
    if (check_asked(conn, conn->asked.verify, "answer_verify") != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    conn->asked.refuse_alert = alert_for(tlslife_conn_verify_result(conn));
    conn->asked.alert_chosen = false;
    conn->asked.verify = accept ? TLSL_ACCEPTED : TLSL_REFUSED;
    return TLSLIFE_OK;
}

tlslife_status tlslife_conn_refuse(tlslife_conn *conn, int alert) {
    if (alert < 0 || alert > 255) {
        return tlsl_conn_fail(conn, TLSLIFE_ERR_USAGE, "an alert is 0 to 255, not %d", alert);
    }
    if (conn->asked.hello == TLSL_ASKED) {
        conn->asked.refuse_alert = alert;
        hello_answered(conn, TLSL_REFUSED);
    } else if (conn->asked.certificate == TLSL_ASKED) {
        conn->asked.certificate = TLSL_REFUSED;
        conn->asked.refuse_alert = alert;
    } else if (tlsl_psk_waits(conn)) {
        tlsl_psk_refuse(conn);
        conn->asked.refuse_alert = alert;
    } else if (tlslife_conn_answer_verify(conn, false) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    } else {
        conn->asked.refuse_alert = alert;
    }
    conn->asked.alert_chosen = true;
    return TLSLIFE_OK;
}

/* ------------------------------------------------------------------------------------ refusing */

/*
 * libssl has no call that sends an alert. In TLS 1.3 a ticket is begun, and its extension fails
 * with the alert (on_ticket_extension in verify.c).
 */
static void send_alert_in_ticket(tlslife_conn *conn) {
    if (SSL_new_session_ticket(conn->ssl) == 1) {
        SSL_do_handshake(conn->ssl);
    }
}

/*
 * Before this side has encrypted anything, the alert is a record in plain text, of a version that
 * is TLS 1.2 at most (RFC 5246 sections 6.2.1 and 7.2, RFC 8446 section 5.1). libssl sends its own
 * alerts so, too.
 */
static void send_plain_alert(tlslife_conn *conn) {
    int alert = conn->asked.refuse_alert, version = SSL_version(conn->ssl);
    version = version > TLS1_2_VERSION ? TLS1_2_VERSION : version;
    const unsigned char record[] = {
        SSL3_RT_ALERT, (unsigned char)(version >> 8), (unsigned char)version, 0, 2,
        SSL3_AL_FATAL, (unsigned char)alert};
    if (BIO_write(SSL_get_wbio(conn->ssl), record, sizeof record) == (int)sizeof record) {
        conn->found.alert = alert;
        conn->found.alert_received = false;
        tlsl_measured_alert(conn, true, alert);
    }
}

/* Sends the alert, if that is possible. It does not wait for a refused peer to read it. */
static void send_refusal(tlslife_conn *conn, bool plain) {
    bool blocking = conn->blocking;
    tlsl_conn_set_waiting(conn, false, conn->timeout_ms);
    if (plain) {
        send_plain_alert(conn);
    } else if (SSL_is_server(conn->ssl) && SSL_version(conn->ssl) >= TLS1_3_VERSION) {
        send_alert_in_ticket(conn);
    }
    ERR_clear_error();
    tlsl_conn_set_waiting(conn, blocking, conn->timeout_ms);
}

/*
 * Ends the connection with a peer that the program refused. A server sends an alert in TLS 1.3, and
 * in TLS 1.2 before the end of a full handshake; elsewhere none can be sent when libssl's
 * verification is over. The peer gets no close_notify, because its end must not look clean.
 */
static tlslife_status refuse_peer(tlslife_conn *conn, bool plain) {
    SSL_SESSION *session = SSL_get0_session(conn->ssl);
    if (session != NULL) {
        SSL_CTX_remove_session(conn->origin->ctx, session);
    }
    send_refusal(conn, plain);
    tlslife_error *err = tlsl_conn_error(conn);
    tlsl_fail(err, TLSLIFE_ERR_VERIFY, "the program refused the peer's certificate");
    if (err != NULL) {
        err->alert = conn->found.alert;
        err->verify_result = conn->found.verify_result != X509_V_OK
                                 ? conn->found.verify_result
                                 : X509_V_ERR_APPLICATION_VERIFICATION;
        err->verify_depth = 0;
    }
    return tlsl_conn_end(conn, TLSLIFE_ERROR);
}

static tlslife_status refuse_plainly(tlslife_conn *conn, const char *verb, const char *what) {
    if (SSL_get_state(conn->ssl) != TLS_ST_BEFORE) {
        send_refusal(conn, true); /* before its ClientHello a client has nothing to end */
    }
    tlslife_error *err = tlsl_conn_error(conn);
    tlsl_fail(err, TLSLIFE_ERR_TLS, "%s failed: the program refused %s with the alert %s", verb,
              what, tlslife_alert_name(conn->asked.refuse_alert));
    if (err != NULL) {
        err->alert = conn->found.alert;
    }
    return tlsl_conn_end(conn, TLSLIFE_ERROR);
}

tlslife_status tlsl_handshake_question(tlslife_conn *conn) {
    if (conn->asked.verify == TLSL_REFUSED) {
        return refuse_peer(conn, tlsl_handshake_held(conn));
    }
    if (conn->asked.verify != TLSL_ACCEPTED) {
        conn->asked.verify = TLSL_ASKED;
        return TLSLIFE_WANT_VERIFY;
    }
    return TLSLIFE_OK;
}

/*
 * A client has encrypted nothing yet when it is asked about the server, and neither side when it is
 * asked for its certificate, in a first handshake. There the alert that the program has chosen is
 * sent here, since libssl would choose its own. It is not called again then.
 */
tlslife_status tlsl_handshake_refusal(tlslife_conn *conn, const char *verb) {
    bool first = conn->asked.alert_chosen && !conn->shaken && !conn->known;
    if (first && conn->asked.certificate == TLSL_REFUSED) {
        return refuse_plainly(conn, verb, "to present a certificate");
    }
    if (first && tlsl_psk_is_refused(conn)) {
        return refuse_plainly(conn, verb, "the identity of a PSK");
    }
    return first && conn->asked.verify == TLSL_REFUSED && !SSL_is_server(conn->ssl)
               ? refuse_peer(conn, true)
               : TLSLIFE_OK;
}
