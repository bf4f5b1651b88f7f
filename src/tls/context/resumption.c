/*
 * resumption.c: decides how a context resumes sessions: by tickets, by ids, both or not at all.
 *
 * Tickets and ids stand side by side, as in libssl. Only a TLS 1.2 client that takes no ticket is
 * given an id, and only its session takes memory. libssl's own cache is not used. It belongs to the
 * SSL_CTX that a connection was made of, even if a server name has chosen another since, so it
 * would store and find what the context in force does not allow. Instead a server's sessions are in
 * a cache of ours, which callbacks ask. It is the program's, or one that is made for the first
 * session that has no ticket.
 *
 * An attacker would send the same early data twice (RFC 8446 section 8). libssl's own protection
 * depends on its own cache, which no other process sees, and is switched off. Under ticket keys of
 * ours a ticket has a permit in the cache, which its first early data take (permit.c). With ids,
 * and under libssl's own keys, the cache hands out a session that allows early data only once; for
 * that a TLS 1.3 ticket must hold an id.
 */
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/error_queue.h"
#include "tls/context/context.h"
#include "tls/context/resumption.h"
#include "tls/context/settle.h"
#include "tls/context/ticket_keys.h"
#include "tls/state/conn.h"
#include "values/session_value.h"

/* --------------------------------------------------------------------------------- the settings */

tlslife_status tlslife_context_set_cache(tlslife_context *context, tlslife_cache *cache,
                                         tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlsl_agreed before;
    tlsl_settings_before(context, &before);
    context->cache = tlslife_cache_up_ref(cache); /* may be the same one */
    tlslife_status status = tlsl_settings_settle(context, &before, err);
    tlslife_cache_free(status == TLSLIFE_OK ? before.cache : cache);
    return status;
}

tlslife_cache *tlslife_context_get0_cache(const tlslife_context *context) {
    return context->cache;
}

tlslife_status tlslife_context_set_resumption(tlslife_context *context,
                                              tlslife_resumption resumption, tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (resumption > TLSLIFE_RESUMPTION_OFF) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE, "resumption is both, tickets, stateful or off");
    }
    tlsl_agreed before;
    tlsl_settings_before(context, &before);
    context->resumption = resumption;
    context->resumption_given = true;
    return tlsl_settings_settle(context, &before, err);
}

tlslife_status tlsl_check_num_tickets(size_t num_tickets, tlslife_error *err) {
    return num_tickets <= 16 ? TLSLIFE_OK
                             : tlsl_fail(err, TLSLIFE_ERR_USAGE,
                                         "the number of tickets is 0 to 16, not %zu", num_tickets);
}

tlslife_status tlslife_context_set_num_tickets(tlslife_context *context, size_t num_tickets,
                                               tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK ||
        tlsl_settings_role(context, TLSLIFE_SERVER, "num_tickets", "servers send tickets", err) !=
            TLSLIFE_OK ||
        tlsl_check_num_tickets(num_tickets, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlsl_agreed before;
    tlsl_settings_before(context, &before);
    SSL_CTX_set_num_tickets(context->ctx, num_tickets);
    context->num_tickets_given = true;
    return tlsl_settings_settle(context, &before, err);
}

tlslife_status tlslife_context_set_ticket_keys(tlslife_context *context, tlslife_ticket_keys *keys,
                                               tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    if (context->role == TLSLIFE_CLIENT) {
        return tlsl_fail(err, TLSLIFE_ERR_USAGE,
                         "a client's context has no ticket keys: servers make tickets");
    }
    tlsl_agreed before;
    tlsl_settings_before(context, &before);
    context->ticket_keys = tlslife_ticket_keys_up_ref(keys); /* may be the same ones */
    tlslife_status status = tlsl_settings_settle(context, &before, err);
    if (status == TLSLIFE_OK) {
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context->ctx, tlsl_on_ticket_key);
    }
    tlslife_ticket_keys_free(status == TLSLIFE_OK ? before.ticket_keys : keys);
    return status;
}

/*
 * libssl skips early data that it rejects up to recv_max_early_data, and ends the connection behind
 * them. A client sends what the ticket allowed, which another server may have made, or this one
 * before its settings changed. So it is never less than libssl's default; what is accepted is
 * bounded by the session (tlsl_permit_allows).
 */
static uint32_t skipped_at_most(uint32_t max_early_data) {
    return max_early_data > SSL3_RT_MAX_PLAIN_LENGTH ? max_early_data : SSL3_RT_MAX_PLAIN_LENGTH;
}

tlslife_status tlslife_context_set_max_early_data(tlslife_context *context, uint32_t max_early_data,
                                                  tlslife_error *err) {
    if (tlsl_context_settable(context, err) != TLSLIFE_OK) {
        return TLSLIFE_ERROR;
    }
    tlsl_agreed before;
    tlsl_settings_before(context, &before);
    if (SSL_CTX_set_max_early_data(context->ctx, max_early_data) != 1 ||
        SSL_CTX_set_recv_max_early_data(context->ctx, skipped_at_most(max_early_data)) != 1) {
        return tlsl_fail_openssl(err, TLSLIFE_ERR_TLS, "cannot set early data");
    }
    return tlsl_settings_settle(context, &before, err);
}

/* ------------------------------------------------------------------------------------ the cache */

static tlslife_cache *make_own_cache(tlslife_context *context) {
    const tlslife_cache_options options = tlslife_cache_defaults();
    pthread_mutex_lock(&context->freeze_lock);
    tlslife_cache *own = atomic_load_explicit(&context->own_cache, memory_order_relaxed);
    if (own == NULL) {
        own = tlslife_cache_new(&options, NULL);
        atomic_store_explicit(&context->own_cache, own, memory_order_release);
    }
    pthread_mutex_unlock(&context->freeze_lock);
    return own;
}

tlslife_cache *tlsl_context_session_cache(tlslife_context *context, bool make) {
    if (context->cache != NULL) {
        return context->cache;
    }
    tlslife_cache *own = atomic_load_explicit(&context->own_cache, memory_order_acquire);
    return own == NULL && make && context->role == TLSLIFE_SERVER ? make_own_cache(context) : own;
}

/* ---------------------------------------------------------------------------------- a handshake */

tlslife_bytes tlsl_policy_of(const tlslife_conn *conn) {
    /* The context's number is left out, since it means something in this process only. */
    if (!SSL_is_server(conn->ssl)) {
        return (tlslife_bytes){conn->resume.sid_ctx, offsetof(tlsl_client_id, number)};
    }
    return (tlslife_bytes){conn->context->sid_ctx, conn->context->sid_ctx_len};
}

bool tlsl_conn_speaks_tls13(const tlslife_conn *conn) {
    long max = SSL_get_max_proto_version(conn->ssl);
    return (max == 0 || max >= TLS1_3_VERSION) && !(SSL_get_options(conn->ssl) & SSL_OP_NO_TLSv1_3);
}

bool tlsl_conn_permits(const tlslife_conn *conn) {
    const tlslife_context *context = conn->context;
    return context->gives_once && conn->origin->ticket_keys != NULL &&
           (context->resumption == TLSLIFE_RESUMPTION_BOTH ||
            context->resumption == TLSLIFE_RESUMPTION_TICKETS);
}

bool tlsl_conn_keeps_ids(const tlslife_conn *conn, bool tls13) {
    const tlslife_context *context = conn->context;
    return context->resumption == TLSLIFE_RESUMPTION_STATEFUL ||
           (tls13 ? context->gives_once && !tlsl_conn_permits(conn)
                  : context->resumption == TLSLIFE_RESUMPTION_BOTH);
}

/*
 * SSL_set_not_resumable_session_callback(3): of a session that was just made, before the
 * ServerHello. libssl would send its id all the same.
 */
static int never_resumed(SSL *ssl, int is_forward_secure) {
    static const unsigned char none[1];
    (void)is_forward_secure;
    (void)SSL_SESSION_set1_id(SSL_get_session(ssl), none, 0);
    return 1;
}

void tlsl_conn_choose_tickets(tlslife_conn *conn, bool tls13, bool takes_ticket) {
    const tlslife_context *context = conn->context;
    bool none = context->resumption == TLSLIFE_RESUMPTION_OFF ||
                context->resumption == TLSLIFE_RESUMPTION_STATEFUL ||
                (tls13 && context->gives_once && !tlsl_conn_permits(conn));
    if (none) {
        SSL_set_options(conn->ssl, SSL_OP_NO_TICKET);
    } else {
        SSL_clear_options(conn->ssl, SSL_OP_NO_TICKET);
    }
    /*
     * Whether libssl gives out ids is a matter of the SSL_CTX, and other handshakes may need them.
     * A TLS 1.2 client that gets neither a ticket nor an id that is kept gets no id.
     */
    bool nowhere = !tls13 && (none || !takes_ticket) && !tlsl_conn_keeps_ids(conn, false);
    SSL_set_not_resumable_session_callback(conn->ssl, nowhere ? never_resumed : NULL);
}

bool tlsl_session_fits(SSL *ssl, const SSL_SESSION *session) {
    const SSL_CIPHER *cipher = SSL_SESSION_get0_cipher(session);
    if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION) {
        return true;
    }
    /* A server that gets a session whose cipher is not among those of the ClientHello aborts. */
    STACK_OF(SSL_CIPHER) *offered = SSL_is_server(ssl) ? NULL : SSL_get1_supported_ciphers(ssl);
    const STACK_OF(SSL_CIPHER) *known = SSL_is_server(ssl) ? SSL_get_ciphers(ssl) : offered;
    bool fits = false;
    for (int i = 0; !fits && i < sk_SSL_CIPHER_num(known); i++) {
        fits = sk_SSL_CIPHER_value(known, i) == cipher;
    }
    sk_SSL_CIPHER_free(offered);
    return fits;
}
