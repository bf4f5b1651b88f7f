/*
 * context.c: freezes and frees contexts, and derives the session id context from their policy.
 *
 * A context is configured by one thread and frozen by its first connection. In every handshake of
 * every thread libssl reads the SSL_CTX without a lock, so a setting that changed meanwhile would
 * be a data race. Freezing makes that impossible. It is also the moment at which everything that
 * depends on several settings is derived.
 *
 * The session id context keeps sessions apart. An attacker would try to make a session where no
 * client certificate is asked for, and resume it where one is (CVE-2025-23419, CVE-2025-23048). So
 * the session id context is a hash of the policy: role, verification, CAs, questions, and the names
 * in our certificates, so that renewing a certificate keeps the sessions. A client's also holds the
 * context's number. libssl never sends it, and it tells which context a session belongs to, so that
 * the SSL_SESSION needs no structure of ours around it.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "tls/context/agree.h"
#include "tls/context/context.h"
#include "tls/context/policy.h"
#include "tls/state/ex_data.h"
#include "tlslife.h"
#include "tlslife_openssl.h"
#include "values/session_value.h"

static atomic_uint_fast64_t context_numbers = 1;

bool tlsl_policy_add_name(tlslife_context *context, const char *name) {
    bool ok = true;
    pthread_mutex_lock(&context->freeze_lock);
    if (!atomic_load_explicit(&context->frozen, memory_order_relaxed)) {
        ok = tlsl_policy_add(&context->policy, TLSL_FACT_SERVER_NAME, name, strlen(name));
    }
    pthread_mutex_unlock(&context->freeze_lock);
    return ok;
}

/* --------------------------------------------------------------------------- making and freeing */

tlslife_context *tlsl_context_alloc(SSL_CTX *ctx, tlslife_role role) {
    tlslife_context *context = calloc(1, sizeof *context);
    if (context == NULL) {
        return NULL;
    }
    pthread_mutex_init(&context->freeze_lock, NULL);
    atomic_init(&context->refs, 1);
    atomic_init(&context->timeout_ms, -1);
    atomic_init(&context->keylog_torn, false);
    context->ctx = ctx;
    context->role = role;
    context->keylog_fd = -1;
    return context;
}

tlslife_context *tlslife_context_from_ssl_ctx(SSL_CTX *ctx, tlslife_role role, tlslife_error *err) {
    tlslife_context *context = tlsl_context_of(ctx);
    if (context != NULL) {
        return tlslife_context_up_ref(context);
    }
    context = tlsl_context_alloc(ctx, role);
    if (context == NULL) {
        tlsl_fail(err, TLSLIFE_ERR_MEMORY, "out of memory for a context");
        return NULL;
    }
    SSL_CTX_up_ref(ctx);
    context->foreign = true;
    atomic_init(&context->frozen, true);
    int mode = SSL_CTX_get_verify_mode(ctx);
    context->verify = mode & SSL_VERIFY_PEER ? TLSLIFE_VERIFY_REQUIRED : TLSLIFE_VERIFY_NONE;
    (void)tlsl_context_attach(ctx, context);
    return context;
}

SSL_CTX *tlslife_context_ssl_ctx(tlslife_context *context) {
    atomic_store_explicit(&context->lent, true, memory_order_relaxed);
    return context->ctx;
}

tlslife_context *tlslife_context_up_ref(tlslife_context *context) {
    atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

static void free_lists(tlslife_context *context) {
    while (context->server_names != NULL) {
        tlsl_server_name *name = context->server_names;
        context->server_names = name->next;
        tlslife_context_free(name->target);
        free(name->pattern);
        free(name);
    }
    while (context->psk != NULL) {
        tlsl_psk *psk = context->psk;
        context->psk = psk->next;
        OPENSSL_clear_free(psk->key, psk->key_len);
        free(psk->identity);
        free(psk);
    }
}

static void free_credentials(tlslife_context *context) {
    for (size_t i = 0; i < context->credentials_len; i++) {
        X509_free(context->credentials[i].leaf);
        EVP_PKEY_free(context->credentials[i].key);
        sk_X509_pop_free(context->credentials[i].chain, X509_free);
    }
    context->credentials_len = 0;
}

void tlslife_context_free(tlslife_context *context) {
    if (context == NULL ||
        atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    (void)tlsl_context_attach(context->ctx, NULL);
    SSL_CTX_free(context->ctx);
    free_lists(context);
    free_credentials(context);
    tlslife_cache_free(context->cache);
    tlslife_cache_free(atomic_load(&context->own_cache));
    tlslife_ticket_keys_free(context->ticket_keys);
    tlslife_trace_free(context->trace);
    tlsl_policy_clear(&context->policy);
    pthread_mutex_destroy(&context->freeze_lock);
    if (context->keylog_fd >= 0) {
        close(context->keylog_fd);
    }
    free(context->groups);
    free(context->alpn);
    free(context->ocsp);
    free(context);
}

tlslife_role tlslife_context_role(const tlslife_context *context) {
    return context->role;
}

void tlslife_context_set_timeout_ms(tlslife_context *context, int timeout_ms) {
    atomic_store(&context->timeout_ms, timeout_ms < 0 ? -1 : timeout_ms);
}

/* --------------------------------------------------------------------------------------- freeze */

/*
 * The identity of a server is the names in its certificate, which a renewal leaves as they are. A
 * server may know a client by the name, the issuer or the key, so each certificate counts as
 * another client.
 */
static bool policy_add_own(const tlslife_context *context, tlsl_policy *policy, X509 *leaf) {
    if (context->role == TLSLIFE_CLIENT) {
        return tlsl_policy_add_certificate(policy, TLSL_FACT_OWN_IDENTITY, leaf);
    }
    unsigned char *name = NULL;
    int name_len = i2d_X509_NAME(X509_get_subject_name(leaf), &name);
    if (name_len < 0) {
        return false;
    }
    bool ok = tlsl_policy_add(policy, TLSL_FACT_OWN_NAME, name, (size_t)name_len);
    OPENSSL_free(name);
    int at = X509_get_ext_by_NID(leaf, NID_subject_alt_name, -1);
    if (ok && at >= 0) {
        const ASN1_OCTET_STRING *alt = X509_EXTENSION_get_data(X509_get_ext(leaf, at));
        ok = tlsl_policy_add(policy, TLSL_FACT_OWN_NAME, ASN1_STRING_get0_data(alt),
                             (size_t)ASN1_STRING_length(alt));
    }
    return ok;
}

/*
 * Completes the chain of a certificate that came alone. libssl would look for its issuers among the
 * CAs again in each full handshake; here it does so once, with the same result. A chain that cannot
 * be completed is left as libssl finds it. libssl ends one for which it has no memory in the same
 * way (2), so it is sought twice.
 *
 * Suite B and the strict checks judge a chain that is there, even an empty one, before a
 * certificate is chosen, and judge none where there is none. In these modes the chain is left to
 * libssl.
 */
static void build_chain(SSL_CTX *ctx) {
    static const int flags = SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR | SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR;
    STACK_OF(X509) *given = NULL;
    bool judged = (SSL_CTX_set_cert_flags(ctx, 0) &
                   (SSL_CERT_FLAG_TLS_STRICT | SSL_CERT_FLAG_SUITEB_128_LOS)) != 0;
    /* This is the certificate's own chain, or else the one for all certificates. */
    SSL_CTX_get_extra_chain_certs(ctx, &given);
    if (given == NULL && !judged && !(SSL_CTX_get_mode(ctx) & SSL_MODE_NO_AUTO_CHAIN)) {
        long built = SSL_CTX_build_cert_chain(ctx, flags);
        if (built == 2) {
            SSL_CTX_build_cert_chain(ctx, flags);
        }
        ERR_clear_error();
    }
}

/*
 * Collects the certificates with their keys and chains. libssl's cursor over them is part of the
 * SSL_CTX, so they are visited while no other thread uses the context.
 */
static bool collect_credentials(tlslife_context *context, tlsl_policy *policy) {
    SSL_CTX *ctx = context->ctx;
    long more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST);
    while (more == 1 && context->credentials_len < TLSL_CREDENTIALS_MAX) {
        tlsl_credential *credential = &context->credentials[context->credentials_len++];
        STACK_OF(X509) *chain = NULL;
        build_chain(ctx);
        credential->leaf = SSL_CTX_get0_certificate(ctx);
        credential->key = SSL_CTX_get0_privatekey(ctx);
        X509_up_ref(credential->leaf);
        EVP_PKEY_up_ref(credential->key);
        SSL_CTX_get0_chain_certs(ctx, &chain);
        credential->chain = chain == NULL ? NULL : X509_chain_up_ref(chain);
        if (!policy_add_own(context, policy, credential->leaf) ||
            (chain != NULL && credential->chain == NULL)) {
            return false;
        }
        more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT);
    }
    return true;
}

/* A client offers its first PSK, whose identity counts. A server accepts all of its PSKs. */
static bool policy_add_psks(const tlslife_context *context, tlsl_policy *policy) {
    bool ok = true;
    for (const tlsl_psk *psk = context->psk; ok && psk != NULL; psk = psk->next) {
        ok = tlsl_policy_add(policy, TLSL_FACT_PSK, psk->identity, strlen(psk->identity));
        if (context->role == TLSLIFE_CLIENT) {
            break;
        }
    }
    return ok;
}

static bool derive_session_id_context(tlslife_context *context, tlsl_policy *policy) {
    unsigned chooses = TLSLIFE_ASK_HELLO | TLSLIFE_ASK_CERTIFICATE;
    int demands[] = {(int)context->role, context->verify_host, (int)(context->questions & ~chooses),
                     context->purpose, (int)context->ocsp_verify};
    unsigned char hash[TLSL_POLICY_HASH];
    if (!tlsl_policy_add(policy, TLSL_FACT_DEMANDS, demands, sizeof demands) ||
        !tlsl_policy_add_verification(policy, context->ctx) || !policy_add_psks(context, policy) ||
        !tlsl_policy_hash(policy, hash)) {
        return false;
    }
    if (context->role == TLSLIFE_CLIENT) {
        tlsl_client_id id = {.number = atomic_fetch_add(&context_numbers, 1)};
        memcpy(id.policy, hash, sizeof id.policy);
        memcpy(hash, &id, sizeof id);
    }
    if (context->sid_ctx_len == 0) {
        context->sid_ctx_len = sizeof context->sid_ctx;
        memcpy(context->sid_ctx, hash, sizeof context->sid_ctx);
    }
    return SSL_CTX_set_session_id_context(context->ctx, context->sid_ctx,
                                          (unsigned)context->sid_ctx_len) == 1;
}

/*
 * Derives what is derived. The facts of this moment go into a copy, so that after a failure the
 * next try begins with what the setters have said.
 */
static bool derive(tlslife_context *context) {
    tlsl_policy whole = {0};
    bool ok = tlsl_policy_copy(&whole, &context->policy) && collect_credentials(context, &whole) &&
              derive_session_id_context(context, &whole);
    tlsl_policy_clear(&whole);
    return ok;
}

tlslife_status tlsl_context_trust_system(tlslife_context *context, tlslife_error *err) {
    static const char system[] = "system";
    if (!tlsl_policy_add(&context->policy, TLSL_FACT_CA_PLACE, system, sizeof system) ||
        SSL_CTX_set_default_verify_paths(context->ctx) != 1) {
        return tlsl_fail_openssl(err, TLSLIFE_ERR_INPUT,
                                 "the system's CA certificates cannot be used");
    }
    context->ca_given = true;
    return TLSLIFE_OK;
}

static tlslife_status freeze_once(tlslife_context *context, tlslife_error *err) {
    if (tlsl_asks_verify(context) && context->verify == TLSLIFE_VERIFY_NONE) {
        return tlsl_fail(
            err, TLSLIFE_ERR_USAGE,
            "this context asks whether the peer is acceptable but does not ask the peer for a "
            "certificate: set its verification to required (or, on a server, optional)");
    }
    if (tlsl_settings_agree(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR; /* the setter has returned the same error */
    }
    if (context->verify != TLSLIFE_VERIFY_NONE && !context->ca_given &&
        tlsl_context_trust_system(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (!derive(context)) {
        free_credentials(context);
        return tlsl_fail_making(err, "cannot freeze the context");
    }
    tlsl_policy_clear(&context->policy);
    return TLSLIFE_OK;
}

tlslife_status tlsl_context_freeze(tlslife_context *context, tlslife_error *err) {
    if (atomic_load_explicit(&context->frozen, memory_order_acquire)) {
        return TLSLIFE_OK;
    }
    pthread_mutex_lock(&context->freeze_lock);
    tlslife_status status = TLSLIFE_OK;
    if (!atomic_load_explicit(&context->frozen, memory_order_relaxed)) {
        ERR_clear_error();
        status = freeze_once(context, err);
        atomic_store_explicit(&context->frozen, status == TLSLIFE_OK, memory_order_release);
    }
    pthread_mutex_unlock(&context->freeze_lock);
    return status;
}

/*
 * Whether a cipher is enabled that needs neither certificate nor PSK. A program that enables one
 * means to use it.
 */
static bool is_anonymous(const tlslife_context *context) {
    const STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(context->ctx);
    for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        if (SSL_CIPHER_get_auth_nid(sk_SSL_CIPHER_value(ciphers, i)) == NID_auth_null) {
            return true;
        }
    }
    return false;
}

tlslife_status tlsl_context_settable(tlslife_context *context, tlslife_error *err) {
    ERR_clear_error();
    if (!atomic_load_explicit(&context->frozen, memory_order_acquire)) {
        return TLSLIFE_OK;
    }
    return tlsl_fail(
        err, TLSLIFE_ERR_USAGE, "%s",
        context->foreign
            ? "this context is the program's own SSL_CTX: set it there"
            : "this context has connections, which read its settings: set them before the "
              "first connection, or make another context");
}

tlslife_status tlsl_context_ready(tlslife_context *context, tlslife_error *err) {
    if (tlsl_context_freeze(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (!context->foreign && context->credentials_len == 0 &&
        SSL_CTX_get0_certificate(context->ctx) != NULL) {
        return tlsl_fail(err, TLSLIFE_ERR_INPUT,
                         "this context's certificate has no private key: set it, too");
    }
    unsigned chooses =
        context->questions & (TLSLIFE_ASK_HELLO | TLSLIFE_ASK_CERTIFICATE | TLSLIFE_ASK_PSK);
    if (context->role == TLSLIFE_CLIENT || context->foreign || context->credentials_len > 0 ||
        context->psk != NULL || context->server_names != NULL || chooses || is_anonymous(context)) {
        return TLSLIFE_OK;
    }
    return tlsl_fail(
        err, TLSLIFE_ERR_INPUT,
        "this server can serve no client: give it a certificate and its private key, a PSK, or a "
        "server name or a question (ASK_HELLO, ASK_CERTIFICATE, ASK_PSK; on_hello, on_certificate, "
        "on_psk) that leads to one");
}

size_t tlslife_context_session_id_context(tlslife_context *context, unsigned char out[32]) {
    if (tlsl_context_freeze(context, NULL) != TLSLIFE_OK) {
        return 0;
    }
    memcpy(out, context->sid_ctx, context->sid_ctx_len);
    return context->sid_ctx_len;
}
