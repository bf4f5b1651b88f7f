/*
 * switch.c: lets a connection continue under another context, which a server name or on_hello has
 * chosen.
 *
 * SSL_set_SSL_CTX takes over the certificate and what libssl reads from the SSL_CTX as it needs it
 * (ALPN, OCSP, key log, CA names, trusted CAs, the session id context). It leaves behind what
 * SSL_new had copied, so each of these attributes is applied here by hand. An attacker would look
 * for one that is left behind, say to reach a server name that demands client certificates under
 * the verify mode of one that does not.
 *
 * Two things stay the first context's for the connection's whole life, because libssl keeps them
 * there: the cache and the ticket keys. The session id context keeps their sessions apart, and the
 * context in force decides which of them are used (resumption.c).
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "base/names.h"
#include "net/address.h"
#include "tls/context/context.h"
#include "tls/context/psk.h"
#include "tls/context/settle.h"
#include "tls/context/switch.h"
#include "tlslife.h"

#if OPENSSL_VERSION_NUMBER >= 0x30500000L
#define GROUPS_DEFAULT "DEFAULT"
#else
#define GROUPS_DEFAULT "X25519:P-256:X448:P-521:P-384"
#endif

bool tlsl_context_apply(tlslife_context *context, SSL *ssl) {
    SSL_CTX *ctx = context->ctx;
    /*
     * A quiet shutdown that the program set on this connection stays, as a session id context does
     * in libssl.
     */
    bool quiet_inherited =
        SSL_get_quiet_shutdown(ssl) == SSL_CTX_get_quiet_shutdown(SSL_get_SSL_CTX(ssl));
    if (SSL_set_SSL_CTX(ssl, ctx) == NULL) {
        return false;
    }
    if (quiet_inherited) {
        SSL_set_quiet_shutdown(ssl, SSL_CTX_get_quiet_shutdown(ctx));
    }
    SSL_clear_options(ssl, SSL_get_options(ssl));
    SSL_set_options(ssl, SSL_CTX_get_options(ctx));
    SSL_clear_mode(ssl, SSL_get_mode(ssl));
    SSL_set_mode(ssl, SSL_CTX_get_mode(ctx));
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(ctx), SSL_CTX_get_verify_callback(ctx));
    SSL_set_psk_server_callback(ssl, tlsl_psk_is_known(context) ? tlsl_psk_server : NULL);
    /* X509_VERIFY_PARAM_set1 below would leave a purpose that the target does not set. */
    SSL_set_purpose(ssl, context->purpose == 0 ? X509_PURPOSE_SSL_CLIENT : context->purpose);
    SSL_set_max_early_data(ssl, SSL_CTX_get_max_early_data(ctx));
    SSL_set_recv_max_early_data(ssl, SSL_CTX_get_recv_max_early_data(ctx));
    return X509_VERIFY_PARAM_set1(SSL_get0_param(ssl), SSL_CTX_get0_param(ctx)) == 1 &&
           SSL_set_session_id_context(ssl, context->sid_ctx, (unsigned)context->sid_ctx_len) == 1 &&
           SSL_set_min_proto_version(ssl, (int)SSL_CTX_get_min_proto_version(ctx)) == 1 &&
           SSL_set_max_proto_version(ssl, (int)SSL_CTX_get_max_proto_version(ctx)) == 1 &&
           SSL_set1_groups_list(ssl, context->groups == NULL ? GROUPS_DEFAULT : context->groups) ==
               1;
}

bool tlsl_context_present(const tlslife_context *context, SSL *ssl) {
    SSL_certs_clear(ssl);
    for (size_t i = 0; i < context->credentials_len; i++) {
        const tlsl_credential *credential = &context->credentials[i];
        if (SSL_use_cert_and_key(ssl, credential->leaf, credential->key, credential->chain, 1) !=
            1) {
            return false;
        }
    }
    return true;
}

tlslife_status tlsl_switch_check(const tlslife_context *from, const tlslife_context *to,
                                 tlslife_error *err) {
    if (to->role != TLSLIFE_SERVER || from->role != TLSLIFE_SERVER) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "a server name, or on_hello, leads from a server's context to another "
                         "server's context");
    }
    return TLSLIFE_OK;
}

/* --------------------------------------------------------------------------------- server names */

static char *lower(const char *name) {
    char *copy = strdup(name);
    if (copy != NULL) {
        tlsl_lower(copy);
    }
    return copy;
}

static tlslife_status check_pattern(const char *pattern, tlslife_error *err) {
    tlsl_address address;
    const char *name = strncmp(pattern, "*.", 2) == 0 ? pattern + 2 : pattern;
    if (tlsl_address_split(name, &address, NULL) == TLSLIFE_OK && tlsl_is_ip(address.host)) {
        return tlsl_fail(
            err, TLSLIFE_ERR_USAGE,
            "\"%s\" can match no client: an IP address is never sent as a server name (RFC 6066 "
            "section 3)",
            pattern);
    }
    return tlsl_is_hostname(name)
               ? TLSLIFE_OK
               : tlsl_fail(err, TLSLIFE_ERR_USAGE,
                           "\"%s\" must be a host name, or one after \"*.\"", pattern);
}

tlslife_status tlslife_context_add_server_name(tlslife_context *context, const char *pattern,
                                               tlslife_context *target, tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK ||
        tlsl_switch_check(context, target, err) != TLSLIFE_OK ||
        check_pattern(pattern, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (target == context) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE, "\"%s\" must lead to another context", pattern);
    }
    tlsl_server_name *name = calloc(1, sizeof *name);
    if (name == NULL || (name->pattern = lower(pattern)) == NULL) {
        free(name);
        return tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for a server name");
    }
    /*
     * The first name that leads to a context is part of its policy, so that no session of another
     * name resumes there.
     */
    ERR_clear_error();
    bool added = tlsl_policy_add_name(target, name->pattern);
    if (!added) {
        (void)tlsl_fail_openssl(err, TLSLIFE_ERR_MEMORY, "out of memory for a server name");
    }
    if (!added || tlsl_context_ready(target, err) != TLSLIFE_OK) {
        free(name->pattern);
        free(name);
        return TLSLIFE_ERROR;
    }
    name->target = tlslife_context_up_ref(target);
    name->next = context->server_names;
    context->server_names = name;
    tlsl_resumption_settle(context);
    return TLSLIFE_OK;
}

static tlslife_context *find(const tlslife_context *context, const char *pattern) {
    for (const tlsl_server_name *name = context->server_names; name != NULL; name = name->next) {
        if (strcmp(name->pattern, pattern) == 0) {
            return name->target;
        }
    }
    return NULL;
}

tlslife_context *tlsl_context_match(const tlslife_context *context, const char *server_name) {
    char *name = server_name == NULL ? NULL : lower(server_name);
    char *dot = name == NULL ? NULL : strchr(name, '.');
    tlslife_context *target = name == NULL ? NULL : find(context, name);
    if (target == NULL && dot != NULL && dot != name) {
        dot[-1] = '*'; /* "a.b.example" is looked up as "*.b.example" */
        target = find(context, dot - 1);
    }
    free(name);
    return target;
}
