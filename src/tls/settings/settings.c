/*
 * settings.c: the setters of a context, but for those of certificates, keys and CAs
 * (credentials.c), OCSP (staple.c), the key log (keylog.c) and resumption (resumption.c).
 *
 * Each setter checks whether the context is frozen, clears OpenSSL's queue, makes one call of
 * libssl, and reports what was wrong with its arguments. It copies what it keeps.
 */
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "base/names.h"
#include "tls/context/context.h"
#include "tls/context/policy.h"
#include "tls/context/psk.h"
#include "tls/context/settle.h"
#include "tls/settings/credentials.h"
#include "tls/settings/verify.h"
#include "tlslife.h"
#include "values/session_value.h"

/* Limits in bytes. */
#define CERT_LIST_MAX 16777216
#define FRAGMENT_MIN 512

/* The result of a setter: OK, or what libssl says against `value`. */
static tlslife_status settled(bool ok, const char *what, const char *value, tlslife_error *err) {
    return ok ? TLSLIFE_OK
              : tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "%s \"%s\" cannot be used", what, value);
}

/* --------------------------------------------------------------------------------- verification */

tlslife_status tlslife_context_set_verify(tlslife_context *context, tlslife_verify verify,
                                          tlslife_error *err) {
    static const int modes[] = {SSL_VERIFY_NONE, SSL_VERIFY_PEER,
                                SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT};
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (verify > TLSLIFE_VERIFY_REQUIRED ||
        (verify == TLSLIFE_VERIFY_OPTIONAL && context->role == TLSLIFE_CLIENT)) {
        return tlsl_fail(
            err, TLSLIFE_ERR_USAGE,
            "a client verifies its server (required) or does not (none); optional is for servers");
    }
    tlsl_agreed before;
    tlsl_settings_before(context, &before);
    context->verify = verify;
    SSL_CTX_set_verify(context->ctx, modes[verify], NULL);
    return tlsl_settings_settle(context, &before, err);
}

tlslife_status tlslife_context_set_verify_depth(tlslife_context *context, int depth,
                                                tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (depth < 0 || depth > 100) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE, "the verify depth is 0 to 100, not %d", depth);
    }
    SSL_CTX_set_verify_depth(context->ctx, depth);
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_set_verify_host(tlslife_context *context, bool verify_host,
                                               tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK ||
        tlsl_settings_role(context, TLSLIFE_CLIENT, "verify_host", "clients have no host name",
                           err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlsl_agreed before;
    tlsl_settings_before(context, &before);
    context->verify_host = verify_host;
    context->verify_host_given = verify_host;
    return tlsl_settings_settle(context, &before, err);
}

static void set_verify_flag(tlslife_context *context, unsigned long flag, bool on) {
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context->ctx);
    (void)(on ? X509_VERIFY_PARAM_set_flags(param, flag)
              : X509_VERIFY_PARAM_clear_flags(param, flag));
}

tlslife_status tlslife_context_set_crl_check(tlslife_context *context, tlslife_crl_check check,
                                             tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (check > TLSLIFE_CRL_CHECK_CHAIN) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE, "%d is no TLSLIFE_CRL_CHECK_*", (int)check);
    }
    set_verify_flag(context, X509_V_FLAG_CRL_CHECK, check != TLSLIFE_CRL_CHECK_NONE);
    set_verify_flag(context, X509_V_FLAG_CRL_CHECK_ALL, check == TLSLIFE_CRL_CHECK_CHAIN);
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_set_purpose(tlslife_context *context, const char *purpose,
                                           tlslife_error *err) {
    static const struct {
        const char *word;
        int value;
    } purposes[] = {{"client", X509_PURPOSE_SSL_CLIENT},
                    {"server", X509_PURPOSE_SSL_SERVER},
                    {"any", X509_PURPOSE_ANY}};
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    for (size_t i = 0; i < sizeof purposes / sizeof *purposes; i++) {
        if (strcmp(purpose, purposes[i].word) == 0) {
            bool ok = SSL_CTX_set_purpose(context->ctx, purposes[i].value) == 1;
            context->purpose = ok ? purposes[i].value : context->purpose;
            return settled(ok, "purpose", purpose, err);
        }
    }
    return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                     "a purpose is \"client\", \"server\" or \"any\", not \"%s\"", purpose);
}

tlslife_status tlslife_context_set_dane(tlslife_context *context, bool no_ee_namechecks,
                                        tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (context->role == TLSLIFE_SERVER) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE, "DANE is a client's: it looks for TLSA records");
    }
    if (!context->dane && SSL_CTX_dane_enable(context->ctx) <= 0) {
        return tlsl_fail_openssl(err, TLSLIFE_ERR_MEMORY, "out of memory for DANE");
    }
    /* Without context->dane no connection has records. */
    if (tlslife_context_set_resumption(context, TLSLIFE_RESUMPTION_OFF, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    context->dane = true;
    if (no_ee_namechecks) {
        SSL_CTX_dane_set_flags(context->ctx, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    }
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_set_partial_chain(tlslife_context *context, bool partial_chain,
                                                 tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    set_verify_flag(context, X509_V_FLAG_PARTIAL_CHAIN, partial_chain);
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_set_max_cert_list(tlslife_context *context, size_t max_cert_list,
                                                 tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (max_cert_list < 1 || max_cert_list > CERT_LIST_MAX) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "a peer's certificates may have 1 to %d bytes, not %zu", CERT_LIST_MAX,
                         max_cert_list);
    }
    SSL_CTX_set_max_cert_list(context->ctx, (long)max_cert_list);
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_set_questions(tlslife_context *context, unsigned questions,
                                             tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    unsigned all = TLSLIFE_ASK_HELLO | TLSLIFE_ASK_CERTIFICATE | TLSLIFE_ASK_VERIFY |
                   TLSLIFE_ASK_VERIFY_ALL | TLSLIFE_ASK_PSK;
    bool hello = questions & TLSLIFE_ASK_HELLO;
    if ((questions & ~all) != 0 || (hello && context->role == TLSLIFE_CLIENT)) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "questions are a mask of TLSLIFE_ASK_*, with ASK_HELLO for servers only; "
                         "got 0x%x",
                         questions);
    }
    if (tlsl_psk_agrees(context, context->psk != NULL, questions, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    context->questions = questions;
    tlsl_resumption_settle(context);
    tlsl_credentials_ask(context);
    tlsl_psk_install(context);
    return tlsl_verify_ask(context)
               ? TLSLIFE_OK
               : tlsl_fail_openssl(err, TLSLIFE_ERR_MEMORY, "out of memory for questions");
}

/* ----------------------------------------------------------------------------------- algorithms */

tlslife_status tlslife_context_set_dh_auto(tlslife_context *context, bool dh_auto,
                                           tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (context->role == TLSLIFE_CLIENT) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "dh_auto is a server's: a client takes the "
                         "parameters that the server sends");
    }
    SSL_CTX_set_dh_auto(context->ctx, dh_auto);
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_set_dh_params_pem(tlslife_context *context, const char *pem,
                                                 size_t pem_len, tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (context->role == TLSLIFE_CLIENT) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "dh_params are a server's: a client takes those that the server sends");
    }
    BIO *bio = pem_len > INT_MAX ? NULL : BIO_new_mem_buf(pem, (int)pem_len);
    EVP_PKEY *params = bio == NULL ? NULL : PEM_read_bio_Parameters(bio, NULL);
    BIO_free(bio);
    if (params == NULL || SSL_CTX_set0_tmp_dh_pkey(context->ctx, params) != 1) {
        EVP_PKEY_free(params);
        return tlsl_fail_openssl(
            err, TLSLIFE_ERR_INPUT,
            "these are no DH parameters in PEM that the security level allows");
    }
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_set_max_send_fragment(tlslife_context *context,
                                                     size_t max_send_fragment, tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (max_send_fragment < FRAGMENT_MIN || max_send_fragment > SSL3_RT_MAX_PLAIN_LENGTH) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "a record's plain text has %d to %d bytes, not %zu", FRAGMENT_MIN,
                         SSL3_RT_MAX_PLAIN_LENGTH, max_send_fragment);
    }
    SSL_CTX_set_max_send_fragment(context->ctx, (long)max_send_fragment);
    return TLSLIFE_OK;
}

static bool version_known(int version) {
    return version == 0 || (version >= TLSLIFE_TLS1_0 && version <= TLSLIFE_TLS1_3);
}

tlslife_status tlslife_context_set_versions(tlslife_context *context, int min_version,
                                            int max_version, tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    int least = min_version == 0 ? TLSLIFE_TLS1_2 : min_version;
    if (!version_known(min_version) || !version_known(max_version) ||
        (max_version != 0 && least > max_version)) {
        return tlsl_fail(
            err, TLSLIFE_ERR_USAGE,
            "versions 0x%04x to 0x%04x are no range of TLSLIFE_TLS1_0 to TLSLIFE_TLS1_3 (the least "
            "is TLS 1.2 unless a lower one is given)",
            (unsigned)min_version, (unsigned)max_version);
    }
    tlsl_agreed before;
    tlsl_settings_before(context, &before);
    bool ok = SSL_CTX_set_min_proto_version(context->ctx, least) == 1 &&
              SSL_CTX_set_max_proto_version(context->ctx, max_version) == 1;
    context->min_version = min_version;
    context->max_version = max_version;
    if (!ok) {
        tlsl_settings_take_back(context, &before);
        return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "these versions cannot be used");
    }
    return tlsl_settings_settle(context, &before, err);
}

tlslife_status tlslife_context_set_cipher_list(tlslife_context *context, const char *list,
                                               tlslife_error *err) {
    bool ok = false;
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    for (int i = 0; i < 2 && !ok; i++) { /* libssl does not always say that it had no memory */
        ERR_clear_error();
        ok = SSL_CTX_set_cipher_list(context->ctx, list) == 1;
    }
    return settled(ok, "cipher list", list, err);
}

tlslife_status tlslife_context_set_ciphersuites(tlslife_context *context, const char *list,
                                                tlslife_error *err) {
    return tlsl_context_settable(context, err) != TLSLIFE_OK
               ? TLSLIFE_ERROR
               : settled(SSL_CTX_set_ciphersuites(context->ctx, list) == 1, "TLS 1.3 cipher suites",
                         list, err);
}

/*
 * libssl refuses an unknown group, and has no memory for the list, without saying which it is. That
 * of OpenSSL 3.5 takes an empty list, with which no handshake could be made.
 */
static bool set_groups(SSL_CTX *ctx, const char *list) {
    if (list[0] == '\0') {
        return false;
    }
    long set = SSL_CTX_set1_groups_list(ctx, list);
    return set == 1 || SSL_CTX_set1_groups_list(ctx, list) == 1;
}

tlslife_status tlslife_context_set_groups(tlslife_context *context, const char *list,
                                          tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK ||
        settled(set_groups(context->ctx, list), "groups", list, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    free(context->groups);
    context->groups = strdup(list);
    return context->groups != NULL ? TLSLIFE_OK
                                   : tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for groups");
}

tlslife_status tlslife_context_set_signature_algorithms(tlslife_context *context, const char *list,
                                                        tlslife_error *err) {
    return tlsl_context_settable(context, err) != TLSLIFE_OK
               ? TLSLIFE_ERROR
               : settled(SSL_CTX_set1_sigalgs_list(context->ctx, list) == 1, "signature algorithms",
                         list, err);
}

/* ----------------------------------------------------------------------------------------- ALPN */

tlslife_status tlslife_context_set_alpn(tlslife_context *context, const char *const *protocols,
                                        size_t protocols_len, tlslife_error *err) {
    size_t len = 0;
    unsigned char *wire = NULL;
    if (tlsl_context_settable(context, err) != TLSLIFE_OK ||
        (wire = tlsl_alpn_wire(protocols, protocols_len, &len, err)) == NULL) {
        return TLSLIFE_ERROR;
    }
    free(context->alpn);
    context->alpn = wire;
    context->alpn_len = len;
    /* SSL_CTX_set_alpn_protos(3) returns 0 for success. */
    bool ok = context->role == TLSLIFE_SERVER ||
              SSL_CTX_set_alpn_protos(context->ctx, wire, (unsigned)len) == 0;
    return ok ? TLSLIFE_OK : tlsl_fail_openssl(err, TLSLIFE_ERR_MEMORY, "out of memory for ALPN");
}

/* ------------------------------------------------------------------------------------- sessions */

tlslife_status tlslife_context_set_session_timeout(tlslife_context *context, long timeout_seconds,
                                                   tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (timeout_seconds < 1 || timeout_seconds > TLSL_SESSION_TIMEOUT_MAX) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "a session lives 1 to 604800 seconds (RFC 8446 4.6.1), not %ld",
                         timeout_seconds);
    }
    SSL_CTX_set_timeout(context->ctx, timeout_seconds);
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_set_session_id_context(tlslife_context *context,
                                                      const unsigned char *id, size_t id_len,
                                                      tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (context->role == TLSLIFE_CLIENT || id_len == 0 || id_len > sizeof context->sid_ctx) {
        return tlsl_fail(
            err, TLSLIFE_ERR_USAGE,
            "a server's session id context has 1 to 32 bytes, not %zu (a client's is derived)",
            id_len);
    }
    memcpy(context->sid_ctx, id, id_len);
    context->sid_ctx_len = id_len;
    return TLSLIFE_OK;
}

/* -------------------------------------------------------------------------------------- by name */

tlslife_status tlslife_context_set_option(tlslife_context *context, const char *name, bool on,
                                          tlslife_error *err) {
    uint64_t bit = 0;
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (!tlsl_option_bit(name, &bit)) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE, "no option SSL_OP_%s in this OpenSSL", name);
    }
    tlsl_agreed before;
    tlsl_settings_before(context, &before);
    tlsl_set_option(context->ctx, bit, on);
    tlsl_resumption_note_options(context, bit, on ? bit : 0);
    return tlsl_settings_settle(context, &before, err);
}

tlslife_status tlslife_context_set_mode(tlslife_context *context, const char *name, bool on,
                                        tlslife_error *err) {
    uint64_t bit = 0;
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (!tlsl_mode_bit(name, &bit)) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE, "no mode SSL_MODE_%s in this OpenSSL", name);
    }
    if (bit & SSL_MODE_ASYNC) {
        return tlsl_fail(
            err, TLSLIFE_ERR_USAGE,
            "SSL_MODE_ASYNC cannot be used: it suspends a call in the middle, and no call here can "
            "be resumed so");
    }
    if (!on && (bit & (SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER))) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "SSL_MODE_%s cannot be switched off: write depends on it", name);
    }
    if (on) {
        SSL_CTX_set_mode(context->ctx, (long)bit);
    } else {
        SSL_CTX_clear_mode(context->ctx, (long)bit);
    }
    return TLSLIFE_OK;
}

/*
 * The trusted certificates are read when the context is frozen. Those that libssl looks for in a
 * directory or store later are known by its name, which is added to the policy here.
 */
static bool policy_add_place(tlslife_context *context, const char *command, const char *value) {
    bool place =
        strcasecmp(command, "VerifyCAPath") == 0 || strcasecmp(command, "VerifyCAStore") == 0;
    return !place || tlsl_policy_add(&context->policy, TLSL_FACT_CA_PLACE, value, strlen(value));
}

tlslife_status tlslife_context_conf(tlslife_context *context, const char *command,
                                    const char *value, tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    SSL_CONF_CTX *conf = SSL_CONF_CTX_new();
    if (conf == NULL) {
        return tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for a setting");
    }
    unsigned side = context->role == TLSLIFE_SERVER ? SSL_CONF_FLAG_SERVER : SSL_CONF_FLAG_CLIENT;
    SSL_CONF_CTX_set_flags(conf, SSL_CONF_FLAG_FILE | SSL_CONF_FLAG_CERTIFICATE |
                                     SSL_CONF_FLAG_SHOW_ERRORS | side);
    SSL_CONF_CTX_set_ssl_ctx(conf, context->ctx);
    tlsl_agreed before;
    tlsl_settings_before(context, &before);
    bool ok = policy_add_place(context, command, value) && SSL_CONF_cmd(conf, command, value) > 0 &&
              SSL_CONF_CTX_finish(conf) == 1;
    SSL_CONF_CTX_free(conf);
    if (!ok) {
        tlsl_settings_take_back(context, &before);
        return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT, "the setting %s = \"%s\" cannot be used",
                                 command, value);
    }
    /* The command may have changed whether the peer is verified. */
    int mode = SSL_CTX_get_verify_mode(context->ctx);
    bool demands = context->role == TLSLIFE_CLIENT || (mode & SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
    context->verify = !(mode & SSL_VERIFY_PEER) ? TLSLIFE_VERIFY_NONE
                      : demands                 ? TLSLIFE_VERIFY_REQUIRED
                                                : TLSLIFE_VERIFY_OPTIONAL;
    context->num_tickets_given =
        context->num_tickets_given || SSL_CTX_get_num_tickets(context->ctx) != before.num_tickets;
    tlsl_resumption_note_options(context, SSL_CTX_get_options(context->ctx) ^ before.options,
                                 SSL_CTX_get_options(context->ctx));
    return tlsl_settings_settle(context, &before, err);
}

tlslife_status tlslife_context_set_quiet_shutdown(tlslife_context *context, bool quiet,
                                                  tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    SSL_CTX_set_quiet_shutdown(context->ctx, quiet);
    return TLSLIFE_OK;
}

tlslife_status tlslife_context_set_post_handshake_auth(tlslife_context *context, bool on,
                                                       tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK ||
        tlsl_settings_role(context, TLSLIFE_CLIENT, "post_handshake_auth",
                           "a server asks with request_client_certificate, which clients must "
                           "have offered",
                           err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlsl_agreed before;
    tlsl_settings_before(context, &before);
    SSL_CTX_set_post_handshake_auth(context->ctx, on);
    context->post_handshake_auth = on;
    return tlsl_settings_settle(context, &before, err);
}
