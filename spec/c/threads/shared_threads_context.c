/*
 * shared_threads_context.c: lists the calls of shared_threads.c on contexts.
 *
 * One thread configures a context before the others know it. Once the context is frozen every
 * setter must fail in any thread, and change nothing. The deadline is the one setting that may
 * still change.
 */
#include "shared_threads.h"

#include <string.h>

static const unsigned char some_bytes[] = "some bytes";

static bool add_credentials(hand *h, tlslife_context *context) {
    const test_identity *identity = &h->world->identity;
    size_t certificate_len = strlen(identity->certificate);
    return tlslife_context_add_ca_pem(context, identity->certificate, certificate_len, &h->err) ==
               TLSLIFE_OK &&
           (tlslife_context_role(context) == TLSLIFE_CLIENT ||
            (tlslife_context_set_certificate_pem(context, identity->certificate, certificate_len,
                                                 &h->err) == TLSLIFE_OK &&
             tlslife_context_set_private_key_pem(context, identity->key, strlen(identity->key),
                                                 NULL, &h->err) == TLSLIFE_OK));
}

/* Each context has other objects than the one before. */
static void join(hand *h, tlslife_context *context) {
    tlslife_context *other = pick(h, 4) == 0 ? borrow(h, PLACE_SERVER) : NULL;
    bool server = tlslife_context_role(context) == TLSLIFE_SERVER;
    if (h->cache != NULL && pick(h, 3) != 0) {
        (void)tlslife_context_set_cache(context, h->cache, NULL);
    }
    if (server && h->ticket_keys != NULL && pick(h, 2) == 0) {
        (void)tlslife_context_set_ticket_keys(context, h->ticket_keys, NULL);
    }
    if (server && other != NULL) {
        (void)tlslife_context_add_server_name(context, "localhost", other, NULL);
    }
    tlslife_context_free(other);
}

tlslife_context *make_context(hand *h, tlslife_role role) {
    static const tlslife_resumption ways[] = {TLSLIFE_RESUMPTION_BOTH, TLSLIFE_RESUMPTION_TICKETS,
                                              TLSLIFE_RESUMPTION_STATEFUL};
    int version = pick(h, 2) == 0 ? TLSLIFE_TLS1_2 : 0;
    tlslife_context *context = tlslife_context_new(role, &h->err);
    expect(h, context != NULL && add_credentials(h, context), "a context");
    if (role == TLSLIFE_CLIENT) {
        (void)tlslife_context_set_versions(context, 0, version, NULL);
    } else {
        (void)tlslife_context_set_resumption(context, ways[pick(h, 3)], NULL);
    }
    (void)tlslife_context_set_keylog(context, NULL, NULL);
    if (pick(h, 2) == 0) {
        (void)tlslife_context_set_trace(context, h->world->trace, NULL);
    }
    if (pick(h, 4) == 0) {
        (void)tlslife_context_add_psk(context, "someone", some_bytes, 10, NULL);
    }
    if (pick(h, 4) == 0) {
        (void)tlslife_context_set_questions(
            context, role == TLSLIFE_SERVER ? TLSLIFE_ASK_HELLO : TLSLIFE_ASK_VERIFY, NULL);
    }
    join(h, context);
    return context;
}

/* The setter is called on a frozen context that other threads use. */
static void refused(hand *h, tlslife_status status, const char *function) {
    expect(h, status == TLSLIFE_ERROR && h->err.kind == TLSLIFE_ERR_USAGE, function);
}

#define REFUSED(function, ...)                                            \
    CALL(function) {                                                      \
        refused(h, function(h->server, __VA_ARGS__, &h->err), #function); \
    }

REFUSED(tlslife_context_set_certificate_file, h->world->certificate)
REFUSED(tlslife_context_set_certificate_pem, h->world->identity.certificate, 10)
REFUSED(tlslife_context_set_private_key_file, h->world->key, NULL)
REFUSED(tlslife_context_set_private_key_pem, h->world->identity.key, 10, NULL)
REFUSED(tlslife_context_set_trace, h->world->trace)
REFUSED(tlslife_context_add_ca_file, h->world->certificate)
REFUSED(tlslife_context_add_ca_directory, h->world->directory)
REFUSED(tlslife_context_add_ca_pem, h->world->identity.certificate, 10)
REFUSED(tlslife_context_set_client_ca_file, h->world->certificate)
REFUSED(tlslife_context_set_client_ca_pem, h->world->identity.certificate, 10)
REFUSED(tlslife_context_set_identity_file, h->world->certificate, NULL)
REFUSED(tlslife_context_set_identity_pem, h->world->identity.certificate, 10, NULL)
REFUSED(tlslife_context_add_crl_file, h->world->certificate)
REFUSED(tlslife_context_add_crl_pem, h->world->identity.certificate, 10)
REFUSED(tlslife_context_set_crl_check, TLSLIFE_CRL_CHECK_LEAF)
REFUSED(tlslife_context_set_partial_chain, true)
REFUSED(tlslife_context_set_max_cert_list, 1000)
REFUSED(tlslife_context_set_dh_auto, false)
REFUSED(tlslife_context_set_dh_params_pem, "", 0)
REFUSED(tlslife_context_set_purpose, "any")
REFUSED(tlslife_context_set_dane, false)
REFUSED(tlslife_context_set_max_send_fragment, 512)
REFUSED(tlslife_context_set_verify, TLSLIFE_VERIFY_NONE)
REFUSED(tlslife_context_set_verify_depth, 3)
REFUSED(tlslife_context_set_verify_host, false)
REFUSED(tlslife_context_set_versions, 0, 0)
REFUSED(tlslife_context_set_cipher_list, "ALL")
REFUSED(tlslife_context_set_ciphersuites, "TLS_AES_128_GCM_SHA256")
REFUSED(tlslife_context_set_groups, "P-256")
REFUSED(tlslife_context_set_signature_algorithms, "ECDSA+SHA256")
REFUSED(tlslife_context_add_server_name, "a.example", h->server)
REFUSED(tlslife_context_add_psk, "someone", some_bytes, 10)
REFUSED(tlslife_context_set_psk_identity_hint, "hint")
REFUSED(tlslife_context_set_resumption, TLSLIFE_RESUMPTION_OFF)
REFUSED(tlslife_context_set_num_tickets, 1)
REFUSED(tlslife_context_set_session_timeout, 100)
REFUSED(tlslife_context_set_session_id_context, some_bytes, 10)
REFUSED(tlslife_context_set_cache, h->cache)
REFUSED(tlslife_context_set_ticket_keys, h->ticket_keys)
REFUSED(tlslife_context_set_ocsp_response, some_bytes, 10)
REFUSED(tlslife_context_set_ocsp_response_file, h->world->certificate)
REFUSED(tlslife_context_set_ocsp_request, true)
REFUSED(tlslife_context_set_ocsp_verify, TLSLIFE_VERIFY_NONE)
REFUSED(tlslife_context_set_keylog, NULL)
REFUSED(tlslife_context_set_option, "NO_TICKET", true)
REFUSED(tlslife_context_set_mode, "AUTO_RETRY", true)
REFUSED(tlslife_context_conf, "MinProtocol", "TLSv1.2")
REFUSED(tlslife_context_set_quiet_shutdown, true)
REFUSED(tlslife_context_set_max_early_data, 100)
REFUSED(tlslife_context_set_post_handshake_auth, true)
REFUSED(tlslife_context_set_questions, 0)

CALL(tlslife_context_set_alpn) {
    static const char *const protocols[] = {"h2"};
    refused(h, tlslife_context_set_alpn(h->client, protocols, 1, &h->err), "set_alpn");
}

CALL(tlslife_context_use_system_ca) {
    refused(h, tlslife_context_use_system_ca(h->client, &h->err), "use_system_ca");
}

/* The thread that makes its first connection freezes it. */
CALL(tlslife_context_new) {
    bool server = pick(h, 2) == 0;
    if (pick(h, 4) == 0) {
        publish(h, server ? PLACE_SERVER : PLACE_CLIENT,
                make_context(h, server ? TLSLIFE_SERVER : TLSLIFE_CLIENT));
    }
}

CALL(tlslife_context_up_ref) {
    tlslife_context_free(tlslife_context_up_ref(h->client));
}

CALL(tlslife_context_free) {
    (void)tlslife_context_up_ref(h->server);
    tlslife_context_free(h->server);
}

CALL(tlslife_context_role) {
    expect(h, tlslife_context_role(h->server) == TLSLIFE_SERVER, "role");
}

CALL(tlslife_context_set_timeout_ms) {
    tlslife_context_set_timeout_ms(pick(h, 2) == 0 ? h->client : h->server, (int)pick(h, 100));
}

CALL(tlslife_context_session_id_context) {
    unsigned char id[32];
    expect(h, tlslife_context_session_id_context(h->client, id) == 32, "session_id_context");
}

CALL(tlslife_context_get0_cache) {
    tlslife_cache_stats stats;
    tlslife_cache *cache = tlslife_context_get0_cache(h->server);
    if (cache != NULL) {
        tlslife_cache_get_stats(cache, &stats);
    }
}

/* Bytes that another context has exported can be imported if the policy is the same. */
CALL(tlslife_context_import_session) {
    unsigned char *bytes = NULL;
    size_t len = 0;
    if (h->session != NULL &&
        tlslife_session_export_der(h->session, &bytes, &len, NULL) == TLSLIFE_OK) {
        tlslife_session *session = tlslife_context_import_session(h->client, bytes, len, NULL);
        tlslife_session_bytes_free(bytes, len);
        if (session != NULL) {
            publish(h, PLACE_SESSION, session);
        }
    }
}

CALL(tlslife_context_ssl_ctx) {
    expect(h, SSL_CTX_get_timeout(tlslife_context_ssl_ctx(h->server)) > 0, "ssl_ctx");
}

CALL(tlslife_context_from_ssl_ctx) {
    SSL_CTX *ctx = tlslife_context_ssl_ctx(h->server);
    tlslife_context *same = tlslife_context_from_ssl_ctx(ctx, TLSLIFE_SERVER, NULL);
    expect(h, same == h->server, "from_ssl_ctx");
    tlslife_context_free(same);
}

#define CONTEXT(function) ROW("context", function)

const shared_call context_calls[] = {
    CONTEXT(tlslife_context_new),
    CONTEXT(tlslife_context_up_ref),
    CONTEXT(tlslife_context_free),
    CONTEXT(tlslife_context_role),
    CONTEXT(tlslife_context_set_certificate_file),
    CONTEXT(tlslife_context_set_certificate_pem),
    CONTEXT(tlslife_context_set_private_key_file),
    CONTEXT(tlslife_context_set_private_key_pem),
    CONTEXT(tlslife_context_add_ca_file),
    CONTEXT(tlslife_context_add_ca_directory),
    CONTEXT(tlslife_context_add_ca_pem),
    CONTEXT(tlslife_context_use_system_ca),
    CONTEXT(tlslife_context_set_client_ca_file),
    CONTEXT(tlslife_context_set_client_ca_pem),
    CONTEXT(tlslife_context_set_identity_file),
    CONTEXT(tlslife_context_set_identity_pem),
    CONTEXT(tlslife_context_add_crl_file),
    CONTEXT(tlslife_context_add_crl_pem),
    CONTEXT(tlslife_context_set_crl_check),
    CONTEXT(tlslife_context_set_partial_chain),
    CONTEXT(tlslife_context_set_max_cert_list),
    CONTEXT(tlslife_context_set_dh_auto),
    CONTEXT(tlslife_context_set_dh_params_pem),
    CONTEXT(tlslife_context_set_purpose),
    CONTEXT(tlslife_context_set_dane),
    CONTEXT(tlslife_context_set_max_send_fragment),
    CONTEXT(tlslife_context_set_verify),
    CONTEXT(tlslife_context_set_verify_depth),
    CONTEXT(tlslife_context_set_verify_host),
    CONTEXT(tlslife_context_set_versions),
    CONTEXT(tlslife_context_set_cipher_list),
    CONTEXT(tlslife_context_set_ciphersuites),
    CONTEXT(tlslife_context_set_groups),
    CONTEXT(tlslife_context_set_signature_algorithms),
    CONTEXT(tlslife_context_set_alpn),
    CONTEXT(tlslife_context_add_server_name),
    CONTEXT(tlslife_context_add_psk),
    CONTEXT(tlslife_context_set_psk_identity_hint),
    CONTEXT(tlslife_context_set_resumption),
    CONTEXT(tlslife_context_set_num_tickets),
    CONTEXT(tlslife_context_set_session_timeout),
    CONTEXT(tlslife_context_set_session_id_context),
    CONTEXT(tlslife_context_session_id_context),
    CONTEXT(tlslife_context_set_cache),
    CONTEXT(tlslife_context_get0_cache),
    CONTEXT(tlslife_context_set_ticket_keys),
    CONTEXT(tlslife_context_import_session),
    CONTEXT(tlslife_context_set_ocsp_response),
    CONTEXT(tlslife_context_set_ocsp_response_file),
    CONTEXT(tlslife_context_set_ocsp_request),
    CONTEXT(tlslife_context_set_ocsp_verify),
    CONTEXT(tlslife_context_set_keylog),
    CONTEXT(tlslife_context_set_trace),
    CONTEXT(tlslife_context_set_option),
    CONTEXT(tlslife_context_set_mode),
    CONTEXT(tlslife_context_conf),
    CONTEXT(tlslife_context_set_quiet_shutdown),
    CONTEXT(tlslife_context_set_max_early_data),
    CONTEXT(tlslife_context_set_post_handshake_auth),
    CONTEXT(tlslife_context_set_timeout_ms),
    CONTEXT(tlslife_context_set_questions),
    CONTEXT(tlslife_context_from_ssl_ctx),
    CONTEXT(tlslife_context_ssl_ctx),
    {NULL, NULL, NULL},
};
